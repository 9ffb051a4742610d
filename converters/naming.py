"""Names of models, and the C identifiers made of them."""

from __future__ import annotations

import re
from pathlib import Path

# Words of C11 and C++17 that a model may not be called.
_C_KEYWORDS = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if
    inline int long main register restrict return short signed sizeof static struct switch typedef
    union unsigned void volatile while and or not xor bool class delete false friend namespace new
    operator private protected public template this throw true try typename using
    virtual""".split()  # noqa: SIM905 (fifty lines of quotes would be no easier to read)
)
# Names at global scope that a firmware has already (a namespace of that name would collide), and
# headers of the C library and of Arduino, which a model's own header would hide.
_TAKEN = frozenset(
    """arduino assert complex ctype errno fenv flatbuffers float gemmlowp inttypes iso646 limits
    locale loop main math memory setjmp setup signal stdalign stdarg stdatomic stdbool stddef
    stdint stdio stdlib stdnoreturn std string strings tflite tgmath threads time uchar wchar
    wctype""".split()  # noqa: SIM905
)
# Every kernel's name begins so.
_KERNEL_PREFIX = "tidepool_"


def c_identifier(name: str) -> str:
    """Makes a lower-case identifier of any name: valid in C11 and C++17, and free in a firmware.

    >>> c_identifier("My model (v2)")
    'my_model_v2'
    >>> c_identifier("2d-net")
    'm_2d_net'
    """
    identifier = re.sub(r"[^0-9a-zA-Z]+", "_", name).strip("_").lower() or "model"
    if (
        identifier[0].isdigit()
        or identifier in _C_KEYWORDS | _TAKEN
        or f"{identifier}_".startswith(_KERNEL_PREFIX)
    ):
        identifier = f"m_{identifier}"
    return identifier


def model_name(path: Path) -> str:
    """The name that a model's results are filed under.

    It is the stem of the file (or the folder's name) as a C identifier, without a trailing
    ``_int8``, which the converted file gets back.

    >>> model_name(Path("models/ad01_int8.tflite"))
    'ad01'
    """
    stem = path.stem if path.suffix else path.name
    if path.suffix == ".py" and stem == "model":
        # examples/digits/model.py is the model "digits".
        stem = path.resolve().parent.name
    return c_identifier(re.sub(r"_int8$", "", stem))
