"""Two exported models in one firmware, on the emulated Cortex-M4, against the reference."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.aot_folder import write_aot_folder
from support.export_packages import library_of, package_for

from converters.tflite import read_graph
from device_runners.cortex_m import build_firmware, find_board, layouts_of, run_firmware
from device_runners.exports import Package, Runtime, write_export
from device_runners.host.oracle import Oracle
from device_runners.runner import Int8Model
from pipeline.fixed_input import fixed_samples

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(shutil.which(t) is None for t in ("arm-none-eabi-gcc", "qemu-system-arm", "ninja")),
        reason="the Cortex-M tools are not installed",
    ),
]
SAMPLES = 3


def read_model(path: Path, name: str) -> Int8Model:
    return Int8Model(name, path.read_bytes(), read_graph(path))


def place_exports(packages: list[Package], format_name: str, aot: Path) -> None:
    """Puts each export into a folder of its own, and hands its files to the harness one by one.

    The harness compiles the C files of one folder: for each file of an export there is one that
    does nothing but include it.
    """
    for package in packages:
        write_export(package, format_name, aot / package.name)
        library = library_of(format_name, package.name, aot / package.name)
        for source in library.sources:
            (aot / f"{package.name}__{source.name}").write_text(
                f'#include "{source.relative_to(aot)}"\n'
            )


def another_version(folder: Path) -> None:
    """Makes the kernels of an export another version, whose parameters have another order."""
    (header,) = folder.rglob("tidepool_kernels.h")
    text = header.read_text()
    version = text.partition("TIDEPOOL_KERNELS_VERSION 0x")[2][:8]
    first, second = "    int32_t batches;\n", "    int32_t input_depth;\n"
    dense = header.with_name("tidepool_dense.h")
    assert first + second in dense.read_text()
    dense.write_text(dense.read_text().replace(first + second, second + first))
    for path in header.parent.iterdir():
        if path.is_file():
            path.write_text(path.read_text().replace(version, "0ddba115"))


@pytest.mark.parametrize("versions", ["one version", "two versions"])
@pytest.mark.parametrize("format_name", ["arduino", "c-array"])
def test_both_are_bit_exact_and_share_equal_kernels(
    tmp_path: Path, mlperf_tiny: Path, format_name: str, versions: str
) -> None:
    models = [
        read_model(mlperf_tiny / "kws_dscnn_int8.tflite", "kws"),
        read_model(mlperf_tiny / "ad01_int8.tflite", "ad"),
    ]
    packages = [package_for(model, Runtime.AOT, tmp_path / "built") for model in models]
    kws, ad = packages
    offset = kws.arena_bytes + -kws.arena_bytes % 16
    figures = {
        name: {
            kind: int(re.search(rf"{name.upper()}_{kind}_0_OFFSET \((\d+)\)", text)[1])
            for kind in ("INPUT", "OUTPUT")
        }
        for name, text in ((p.name, p.headers[p.header].decode()) for p in packages)
    }
    write_aot_folder(
        tmp_path / "mcu",
        f"kws_invoke(arena); ad_invoke(&arena[{offset}]);",
        model="pair",
        inputs=[
            (figures["kws"]["INPUT"], kws.inputs[0].bytes),
            (offset + figures["ad"]["INPUT"], ad.inputs[0].bytes),
        ],
        outputs=[
            (figures["kws"]["OUTPUT"], kws.outputs[0].bytes),
            (offset + figures["ad"]["OUTPUT"], ad.outputs[0].bytes),
        ],
        arena_bytes=offset + ad.arena_bytes,
        declarations="void kws_invoke(uint8_t *arena);\nvoid ad_invoke(uint8_t *arena);",
    )
    aot = tmp_path / "mcu" / "aot"
    place_exports(packages, format_name, aot)
    if versions == "two versions":
        another_version(next(p for p in aot.glob("ad*") if any(p.rglob("tidepool_kernels.h"))))

    firmware = build_firmware(tmp_path / "mcu", "pair", find_board("cortex-m4"))
    samples = [
        [first[0], second[0]]
        for first, second in zip(
            *(fixed_samples(model.graph, SAMPLES) for model in models), strict=True
        )
    ]
    outputs = layouts_of([model.graph.output_tensors[0] for model in models])
    result = run_firmware(firmware, samples, outputs)

    for index, model in enumerate(models):
        oracle = Oracle(model.content)
        for sample, actual in zip(samples, result.outputs, strict=True):
            np.testing.assert_array_equal(actual[index], oracle.run([sample[index]])[0])
    dense = [name for name in _functions(firmware.elf) if "fully_connected" in name]
    assert len(dense) == (1 if versions == "one version" else 2)
    # The copy that lost is not in flash either.
    text = firmware.map_file.read_text().partition("Linker script and memory map")[2]
    section = r"^ \.text\.tidepool_fully_connected_\w+\s+0x([0-9a-f]+) "
    placed = [address for address in re.findall(section, text, re.MULTILINE) if int(address, 16)]
    assert len(placed) == len(dense)


def _functions(elf: Path) -> list[str]:
    listing = subprocess.run(
        ["arm-none-eabi-nm", elf], check=True, capture_output=True, text=True
    ).stdout
    return [line.split()[-1] for line in listing.splitlines() if "tidepool_" in line]
