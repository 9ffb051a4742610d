"""The settings of a run: ``tidepool.toml``, overridden by the command line's options."""

from __future__ import annotations

import difflib
import os
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from converters.errors import TidepoolError
from device_runners.cgen import Optimize
from device_runners.cortex_m import EmulatorKind
from device_runners.cortex_m.firmware import RuntimeKind
from device_runners.edge_tpu import SearchMode


class Target(StrEnum):
    """What a run builds for."""

    MCU = "mcu"
    EDGE_TPU = "edge-tpu"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(_Section):
    """``[model]``: the model that goes in."""

    trust: bool = Field(
        False, description="load Lambda layers and custom objects (runs their code)"
    )


class DatasetSettings(_Section):
    """``[dataset]``: the data that calibrates and tests."""

    source: str | None = Field(
        None, description="recipe .py, .npz, .npy, folder of images by class, or 'random'"
    )
    image_range: tuple[float, float] | None = Field(
        None, description="what a folder's images are scaled to, for example [0, 1]"
    )
    seed: int = Field(0, ge=0, description="seed of every split and of random data")


class ConversionSettings(_Section):
    """``[conversion]``: Keras to full-integer TFLite."""

    calibration_samples: int = Field(
        500, ge=1, description="at most this many samples calibrate the ranges"
    )
    per_channel_dense: bool = Field(
        True, description="one scale for each unit of a dense layer; false: one for the layer"
    )
    timeout_seconds: float = Field(900, gt=0, description="time limit of the converter")
    cluster_bits: int | None = Field(
        None,
        ge=1,
        le=7,
        description="group each channel's weights into 2^bits values; the gate decides",
    )


class GateSettings(_Section):
    """``[gate]``: what a model may lose on its way."""

    max_drop: float = Field(
        1.0,
        ge=0,
        description="largest loss from float to int8: percentage points of a score such as "
        "accuracy, percent of an error such as mse",
    )
    test_samples: int | None = Field(
        None, ge=1, description="at most this many test samples; all when not set"
    )


class BudgetSettings(_Section):
    """``[budget]``: what the model may take on the emulated core."""

    max_arena_bytes: int | None = Field(
        None, ge=0, description="largest arena: inputs, outputs, activations and scratch"
    )
    max_flash_bytes: int | None = Field(
        None, ge=0, description="largest code and constants of the model, harness left out"
    )
    max_instructions: int | None = Field(
        None, ge=0, description="most executed instructions of one inference"
    )
    baseline: Path | None = Field(
        None, description="report.json of an earlier run, than which nothing may be worse"
    )
    max_growth_percent: float = Field(
        0.0, ge=0, description="what a figure may grow by from the baseline"
    )


class QatMode(StrEnum):
    """When the model is trained on the quantized grid."""

    OFF = "off"
    ON = "on"
    AUTO = "auto"


class QatStrategy(StrEnum):
    """What a training is distributed over."""

    NONE = "none"
    MIRRORED = "mirrored"
    MULTIWORKER = "multiworker"


class QatSettings(_Section):
    """``[qat]``: quantization-aware training."""

    mode: QatMode = Field(
        QatMode.OFF, description="off; on; auto: only if post-training conversion fails the gate"
    )
    scheme: str = Field(
        "int8",
        description="int8 (also for the Edge TPU); edge_tpu: dense weights with one scale for the "
        "layer; int8_int16; int4",
    )
    epochs: int = Field(10, ge=1, description="epochs of fine-tuning")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="adam, or sgd with momentum 0.9")
    learning_rate: float = Field(
        1e-3, gt=0, description="at the start; it decays to zero along a cosine"
    )
    batch_size: int = Field(32, ge=1, description="samples of a step")
    patience: int | None = Field(
        None, ge=1, description="stop after so many epochs without a better validation loss"
    )
    seed: int = Field(0, ge=0, description="seed of the training")
    distill: float = Field(
        0.0, ge=0, le=1, description="weight of the float model's teaching in the loss"
    )
    distill_temperature: float = Field(4.0, gt=0, description="temperature of the distillation")
    strategy: QatStrategy = Field(
        QatStrategy.NONE,
        description="none; mirrored: all GPUs of this machine; multiworker: the processes that "
        "TF_CONFIG lists",
    )


class RuntimeChoice(StrEnum):
    """What executes the model on the core."""

    AOT = "aot"
    TFLM = "tflm"
    BOTH = "both"

    @property
    def kind(self) -> RuntimeKind:
        """The runtime that a run proves and budgets; with both, the generated code."""
        return RuntimeKind.TFLM if self is RuntimeChoice.TFLM else RuntimeKind.AOT


class McuSettings(_Section):
    """``[mcu]``: the Cortex-M target."""

    core: str = Field(
        "cortex-m4",
        description="cortex-m0plus, -m3, -m4, -m7, -m33, -m55 or a board of `tidepool boards list`",
    )
    optimize: Optimize = Field(
        Optimize.BALANCED,
        description="what the generated code is optimized for: size; balanced; speed, whatever "
        "the weights take",
    )
    emulator: EmulatorKind = Field(
        EmulatorKind.QEMU, description="qemu; renode: every board, needs renode on the PATH"
    )
    runtime: RuntimeChoice = Field(
        RuntimeChoice.AOT, description="aot; tflm (needs TFLM_ROOT); both: compares them"
    )
    compress: bool = Field(
        False, description="store weights as lookup tables for TFLM, without loss"
    )
    samples: Annotated[int | None, Field(ge=1)] = Field(
        16, description="samples that run on the emulator"
    )
    timeout_seconds: float = Field(60, gt=0, description="time limit of one sample on the emulator")


class RewriteMode(StrEnum):
    """Which rewrites make a model map to the Edge TPU."""

    ALL = "all"
    EXACT = "exact"
    OFF = "off"


class EdgeTpuSettings(_Section):
    """``[edge_tpu]``: the Coral target."""

    rewrite: RewriteMode = Field(
        RewriteMode.ALL,
        description="make more of the model map: all, also by approximations of activations, on "
        "which the gate decides; exact; off",
    )
    skip_rewrites: tuple[str, ...] = Field(
        (), description="rewrites of the int8 graph to leave out, for example cut_tail"
    )
    timeout_seconds: float = Field(
        600, gt=0, description="time limit of the Edge TPU compiler, over all of its attempts"
    )
    container: str | None = Field(
        None, description="container image with the compiler, run by docker or podman"
    )
    retries: int = Field(
        2, ge=0, description="how often the compiler's random internal error is answered by a retry"
    )
    min_runtime_version: int | None = Field(
        None, ge=10, le=14, description="oldest Edge TPU runtime that must run the result"
    )
    timeout_sec: int | None = Field(
        None, ge=1, description="the compiler's own time limit for one attempt (180 when not set)"
    )
    num_segments: int = Field(
        1, ge=1, description="cut the model into this many files, for a pipeline of Edge TPUs"
    )
    search_delegate: SearchMode = Field(
        SearchMode.AUTO,
        description="search for a part of the model that compiles: on; off; auto: after a failure "
        "because of large activations",
    )
    delegate_search_step: int = Field(
        1, ge=1, description="by how many operators each try of that search is smaller"
    )
    intermediate_tensors: tuple[str, ...] | None = Field(
        None, description="names of the tensors where the Edge TPU's part of the model ends"
    )
    enable_multiple_subgraphs: bool = Field(
        False, description="map every supported part (experimental; users measured slowdowns)"
    )


class Settings(_Section):
    """All settings of a run, with their defaults."""

    build_directory: Path = Field(Path("build"), description="where results go")
    model: ModelSettings = ModelSettings()
    dataset: DatasetSettings = DatasetSettings()
    conversion: ConversionSettings = ConversionSettings()
    gate: GateSettings = GateSettings()
    budget: BudgetSettings = BudgetSettings()
    qat: QatSettings = QatSettings()
    mcu: McuSettings = McuSettings()
    edge_tpu: EdgeTpuSettings = EdgeTpuSettings()


def load_settings(config: Path | None, overrides: dict[str, Any]) -> Settings:
    """Reads the settings.

    Args:
        config: A ``tidepool.toml``; None for the defaults. A relative ``dataset.source`` or
            ``budget.baseline`` in it is relative to the file.
        overrides: Dotted keys of the command line's options, for example
            ``{"mcu.core": "cortex-m7"}``; a value of None overrides nothing.

    Raises:
        TidepoolError: The file is missing or isn't TOML, a key is unknown (the message names the
            nearest known one) or a value is not valid.
    """
    values = _read_toml(config) if config is not None else {}
    for dotted, value in overrides.items():
        if value is None:
            continue
        *sections, key = dotted.split(".")
        table = values
        for section in sections:
            table = table.setdefault(section, {})
        table[key] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        where = str(config) if config is not None else "the options"
        raise TidepoolError(
            f"the settings in {where} are not valid:\n"
            + "\n".join(f"  {_describe(item)}" for item in error.errors()),
            hint="docs/settings.md lists every key",
        ) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TidepoolError(
            f"settings file {path} does not exist", hint="check the path given as CONFIG"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise TidepoolError(
            f"settings file {path} can't be read: {error}", hint="the format is TOML"
        ) from None
    for section, key in (("dataset", "source"), ("budget", "baseline")):
        table = values.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str):
            beside = os.path.normpath(path.parent / table[key])
            if Path(beside).exists():
                table[key] = beside
    return values


def _describe(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"{key}: {item['msg']} (it is {item['input']!r})"
    nearest = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.0)
    return f"{key}: unknown key; the nearest known one is '{nearest[0]}'"


def known_keys() -> list[str]:
    """Every dotted key of the settings, for example ``mcu.core``."""
    keys: list[str] = []
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            keys += [f"{name}.{key}" for key in section.model_fields]
        else:
            keys.append(name)
    return keys
