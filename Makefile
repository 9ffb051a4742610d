# The front door. `make` lists the targets; each makes what it needs, once.

MODEL ?= examples/digits
CORE ?=
BOARD ?=
FORMAT ?= cmake
DATASET ?=
CONFIG ?=
SAMPLES ?=
RUNTIME ?=
QAT ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
TIDEPOOL := $(BIN)/tidepool
READY := $(VENV)/.ready

# What the targets hand to the command: only what was given.
options = $(if $(CONFIG),--config "$(CONFIG)") $(if $(DATASET),--dataset "$(DATASET)")
qat_options = $(if $(QAT),--qat "$(QAT)")
mcu_options = $(if $(CORE),--core "$(CORE)") $(if $(SAMPLES),--samples "$(SAMPLES)") \
	$(if $(RUNTIME),--runtime "$(RUNTIME)")

.DEFAULT_GOAL := help
.PHONY: help setup mcu edge-tpu emulate check convert flash fit export doctor bench bench-tflm bench-qat applications \
	test test-quick lint format docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  MODEL=file or folder   (default: $(MODEL))     DATASET=...   CONFIG=tidepool.toml"
	@echo "  CORE=cortex-m0plus|m3|m4|m7|m33|m55   SAMPLES=n   RUNTIME=aot|tflm|both   QAT=on|auto"
	@echo "  BOARD=... (tidepool boards list)   FORMAT=...   ARGS='any other option'"

mcu: $(READY) ## deploy MODEL to a Cortex-M CORE and prove it on the emulator
	@$(TIDEPOOL) deploy "$(MODEL)" --target mcu $(options) $(qat_options) $(mcu_options) $(ARGS)

edge-tpu: $(READY) ## deploy MODEL to the Coral Edge TPU
	@$(TIDEPOOL) deploy "$(MODEL)" --target edge-tpu $(options) $(qat_options) $(ARGS)

convert: $(READY) ## convert MODEL to full-integer TFLite and verify it
	@$(TIDEPOOL) convert "$(MODEL)" $(options) $(qat_options) $(ARGS)

check: $(READY) ## say what would stand in MODEL's way, without building
	@$(TIDEPOOL) check "$(MODEL)" $(ARGS)

emulate: $(READY) ## run the deployed MODEL on an emulated CORE again
	@$(TIDEPOOL) emulate "$(MODEL)" $(options) $(mcu_options) $(ARGS)

flash: $(READY) ## flash BOARD with the deployed MODEL through a debug probe, compare, read the cycles
	@$(TIDEPOOL) flash "$(MODEL)" --board "$(BOARD)" $(options) $(if $(SAMPLES),--samples "$(SAMPLES)") \
		$(if $(RUNTIME),--runtime "$(RUNTIME)") $(ARGS)

fit: $(READY) ## say which boards' flash and RAM the deployed MODEL fits
	@$(TIDEPOOL) fit "$(MODEL)" $(if $(CONFIG),--config "$(CONFIG)") $(ARGS)

export: $(READY) ## write the deployed MODEL as a library: FORMAT=arduino, zephyr, ... (docs/exports.md)
	@$(TIDEPOOL) export "$(MODEL)" --format "$(FORMAT)" $(if $(CORE),--core "$(CORE)") \
		$(if $(CONFIG),--config "$(CONFIG)") $(ARGS)

doctor: $(READY) ## say what is installed, what is missing, and how to get it
	@$(TIDEPOOL) doctor $(ARGS)

bench: $(READY) ## measure the MLPerf Tiny models on every core against TFLM
	@$(BIN)/python benchmarks/mcu.py $(ARGS)

bench-tflm: $(READY) ## compare TFLM (under TFLM_ROOT) with the generated C on every core
	@$(BIN)/python benchmarks/tflm.py $(ARGS)

bench-qat: $(READY) ## compare quantization-aware training with conversion alone and with tfmot
	@$(BIN)/python benchmarks/qat.py $(ARGS)

applications: $(READY) ## take every keras.applications model through it (docs/applications.md)
	@$(BIN)/python benchmarks/applications.py $(ARGS)

test: lint ## lint, then all tests (make test-quick: without the slow ones)
	@$(BIN)/pytest -n auto $(ARGS)

test-quick: $(READY)
	@$(BIN)/pytest -n auto -m "not slow" $(ARGS)

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY) ## let ruff format and sort
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

docs: $(READY) ## write the generated pages of docs/
	@$(BIN)/python -m pipeline.reference

setup: $(READY) ## only set up: system packages and the environment in .venv

clean: ## remove the results of runs
	rm -rf build

# The stamp is younger than what it depends on once everything is installed, so a second run of
# any target does no set-up work.
$(READY): pyproject.toml constraints.txt scripts/system_packages.sh scripts/find_python.sh
	@scripts/system_packages.sh
	@test -x $(BIN)/python || { python="$$(scripts/find_python.sh)" && \
		echo "Making the environment in $(VENV) ($$python)" && "$$python" -m venv $(VENV); }
	@echo "Installing Python packages into $(VENV) (TensorFlow is large: a minute or more)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev,examples]'
	@touch $@
