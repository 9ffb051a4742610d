"""Each ecosystem's manifest: by its own tool where that is installed, and by its rules."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.export_packages import small_package

from device_runners.exports import FORMATS, Identity, Package, Runtime, write_export

every_runtime = pytest.mark.parametrize("runtime", Runtime)
ARDUINO_CATEGORIES = {
    *("Display", "Communication", "Signal Input/Output", "Sensors", "Device Control"),
    *("Timing", "Data Storage", "Data Processing", "Other"),
}


def needs_module(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"the Python package of {name} is not installed")


def exported(packages, name: str, runtime: Runtime, folder: Path) -> Path:
    write_export(packages["one", runtime], name, folder / "out")
    return folder / "out"


def unpacked(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder.parent / "unpacked")
    return folder.parent / "unpacked"


@every_runtime
def test_arduino_properties_follow_the_specification(tmp_path, packages, runtime) -> None:
    root = unpacked(exported(packages, "arduino", runtime, tmp_path), "*.zip")
    (library,) = root.iterdir()  # one folder: what "Add .ZIP Library" wants
    lines = (library / "library.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category"}
    assert required | {"url", "architectures"} <= set(properties)
    assert all(properties.values())
    assert properties["name"] == library.name
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9 _.-]{0,62}", properties["name"])
    assert not properties["name"].lower().startswith("arduino")
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert properties["category"] in ARDUINO_CATEGORIES
    assert (library / "src" / properties["includes"]).is_file()
    # A sketch is called after its folder.
    assert (library / "examples" / "SelfTest" / "SelfTest.ino").is_file()
    assert ("depends" in properties) == (runtime is Runtime.TFLM)


def test_arduino_names_fit_however_long_the_models_is(tmp_path) -> None:
    package = small_package("m" * 90, Runtime.AOT, tmp_path)
    write_export(package, "arduino", tmp_path / "out")
    (library,) = unpacked(tmp_path / "out", "*.zip").iterdir()
    assert len(library.name) == 63


@every_runtime
def test_platformio_packs_the_library(tmp_path, packages, runtime) -> None:
    if shutil.which("pio") is None:
        pytest.skip("PlatformIO Core (pio) is not installed")
    folder = exported(packages, "platformio", runtime, tmp_path)
    environment = {**os.environ, "PLATFORMIO_CORE_DIR": str(tmp_path / "core")}
    pack = ["pio", "pkg", "pack", str(folder), "-o", str(tmp_path / "library.tar.gz")]
    subprocess.run(pack, check=True, env=environment)
    assert (tmp_path / "library.tar.gz").is_file()
    project = folder / "examples" / "self_test"
    config = ["pio", "project", "config", "-d", str(project)]
    subprocess.run(config, check=True, env=environment)


@every_runtime
def test_platformio_manifest_names_files_that_exist(tmp_path, packages, runtime) -> None:
    folder = exported(packages, "platformio", runtime, tmp_path)
    manifest = json.loads((folder / "library.json").read_text())
    assert {"name", "version", "description", "keywords", "headers"} <= set(manifest)
    assert all((folder / "include" / header).is_file() for header in manifest["headers"])
    (example,) = manifest["examples"]
    found = [p for p in (folder / example["base"]).rglob("*") if p.is_file()]
    assert len(found) == len(example["files"])
    assert all((folder / example["base"] / file).is_file() for file in example["files"])


@every_runtime
def test_zephyr_module_follows_the_build_systems_schema(tmp_path, packages, runtime) -> None:
    folder = exported(packages, "zephyr", runtime, tmp_path)
    # The mapping is flat enough to be read without a YAML parser, which nothing else here needs.
    text = (folder / "zephyr" / "module.yml").read_text()
    assert text == (
        "name: tidepool_one\nbuild:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig\n"
        "samples:\n  - samples\n"
    )
    assert (folder / "zephyr" / "CMakeLists.txt").is_file()
    assert (folder / "zephyr" / "Kconfig").is_file()
    assert (folder / "samples" / "self_test" / "sample.yaml").is_file()
    named = re.findall(r"/\.\./(src/\S+)", (folder / "zephyr" / "CMakeLists.txt").read_text())
    in_folder = {f"src/{p.name}" for p in (folder / "src").iterdir() if p.suffix != ".h"}
    assert set(named) == in_folder


@every_runtime
def test_zephyr_kconfig_selects_what_the_runtime_needs(tmp_path, packages, runtime) -> None:
    needs_module("kconfiglib")
    folder = exported(packages, "zephyr", runtime, tmp_path)
    root = tmp_path / "Kconfig"
    root.write_text(
        'config CPP\n\tbool "C++"\nconfig TENSORFLOW_LITE_MICRO\n\tbool "TFLM"\n'
        f'source "{folder / "zephyr" / "Kconfig"}"\n'
    )
    script = (
        "import sys, kconfiglib\n"
        "k = kconfiglib.Kconfig(sys.argv[1])\n"
        "k.load_config(sys.argv[2])\n"
        "print(k.syms['TIDEPOOL_ONE'].str_value, k.syms['TENSORFLOW_LITE_MICRO'].str_value)\n"
    )
    configuration = folder / "samples" / "self_test" / "prj.conf"
    command = [sys.executable, "-c", script, str(root), str(configuration)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert output == ["y", "y" if runtime is Runtime.TFLM else "n"]


@every_runtime
def test_esp_idf_manifests_are_valid(tmp_path, packages, runtime) -> None:
    needs_module("idf_component_tools")
    component = exported(packages, "esp-idf", runtime, tmp_path) / "one"
    script = (
        "import sys\nfrom idf_component_tools.manager import ManifestManager\n"
        "errors = ManifestManager(sys.argv[1], 'one').validate().validation_errors\n"
        "sys.exit('\\n'.join(map(str, errors)) or 0)\n"
    )
    for folder in (component, component / "examples" / "self_test" / "main"):
        subprocess.run([sys.executable, "-c", script, str(folder)], check=True)


@every_runtime
def test_esp_idf_registers_every_source(tmp_path, packages, runtime) -> None:
    component = exported(packages, "esp-idf", runtime, tmp_path) / "one"
    text = (component / "CMakeLists.txt").read_text()
    sources = set(re.findall(r'"src/([^"]+)"', text))
    assert sources == {p.name for p in (component / "src").iterdir() if p.suffix != ".h"}
    manifest = (component / "idf_component.yml").read_text()
    assert ("espressif/esp-tflite-micro" in manifest) == (runtime is Runtime.TFLM)


@every_runtime
def test_pack_description_names_every_file_of_the_pack(tmp_path, packages, runtime) -> None:
    out = exported(packages, "cmsis-pack", runtime, tmp_path)
    description = ElementTree.parse(out / "Tidepool.one.pdsc").getroot()
    pack = unpacked(out, "Tidepool.one.1.0.0.pack")
    assert (pack / "Tidepool.one.pdsc").read_bytes() == (out / "Tidepool.one.pdsc").read_bytes()
    files = {file.attrib["name"] for file in description.iter("file")}
    assert all((pack / name).exists() for name in files)
    (layer,) = description.iter("clayer")
    assert (pack / layer.attrib["path"] / layer.attrib["file"]).is_file()
    library = {
        p.relative_to(pack).as_posix()
        for part in ("include", "src")
        for p in (pack / part).iterdir()
    }
    assert library <= files
    (component,) = description.iter("component")
    assert (component.attrib["Csub"], component.attrib["Cversion"]) == ("one", "1.0.0")
    assert (description.find("conditions") is not None) == (runtime is Runtime.TFLM)


@every_runtime
def test_pack_description_follows_the_schema(tmp_path, packages, runtime) -> None:
    schema = os.environ.get("CMSIS_PACK_XSD")
    if schema is None:
        pytest.skip("CMSIS_PACK_XSD is not set: Open-CMSIS-Pack's PACK.xsd is in no registry")
    needs_module("lxml")
    out = exported(packages, "cmsis-pack", runtime, tmp_path)
    script = (
        "import sys\nfrom lxml import etree\n"
        "etree.XMLSchema(etree.parse(sys.argv[1])).assertValid(etree.parse(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, schema, str(out / "Tidepool.one.pdsc")]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("name", FORMATS)
def test_the_identity_reaches_the_manifests(tmp_path, packages, name) -> None:
    import dataclasses

    identity = Identity("2.3.4", "Acme", "https://acme.example/kws")
    package: Package = dataclasses.replace(packages["one", Runtime.AOT], identity=identity)
    export = write_export(package, name, tmp_path / "out")
    contents = b"\n".join((tmp_path / "out" / file).read_bytes() for file in export.files)
    names = "\n".join(export.files)
    assert b"2.3.4" in contents
    if name == "arduino":
        assert "Acme_one-2.3.4.zip" in names
    if name == "cmsis-pack":
        assert "Acme.one.2.3.4.pack" in names
    if name in ("platformio", "esp-idf", "cmsis-pack"):
        assert b"https://acme.example/kws" in contents
