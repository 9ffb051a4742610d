"""The formats of exports, by the name that users give."""

from __future__ import annotations

from device_runners.exports.arduino import FORMAT as ARDUINO
from device_runners.exports.c_array import FORMAT as C_ARRAY
from device_runners.exports.cmake import FORMAT as CMAKE
from device_runners.exports.cmsis_pack import FORMAT as CMSIS_PACK
from device_runners.exports.esp_idf import FORMAT as ESP_IDF
from device_runners.exports.layout import Format
from device_runners.exports.platformio import FORMAT as PLATFORMIO
from device_runners.exports.zephyr import FORMAT as ZEPHYR

FORMATS: dict[str, Format] = {
    each.name: each for each in (ARDUINO, PLATFORMIO, ZEPHYR, ESP_IDF, CMSIS_PACK, CMAKE, C_ARRAY)
}
"""Name -> format. A new ecosystem is a new module with a ``FORMAT``, and one line here."""
