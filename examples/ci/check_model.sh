#!/bin/sh
# What CI runs: the committed int8 model on the emulated core, held against its budgets.
set -eu
cd "$(dirname "$0")"
tidepool emulate model/digits_int8.tflite --config tidepool.toml \
    --junit build/junit.xml --summary build/summary.md "$@"
