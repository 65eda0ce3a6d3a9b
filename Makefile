# Every target brings its own environment up first, in .venv, so one command on a fresh machine is enough.
MODEL ?= litehrnet-18-wider-naive-coco-256x192
PRECISION ?= fp32
WEIGHTS ?=
SIZE ?=
BATCH ?= 1
OUT ?=
SOURCE ?=
SAVE ?= out
PYTHON ?= python3

BIN := .venv/bin
READY := .venv/.ready
convert = $(BIN)/edgehr convert "$(MODEL)" --to $(1) --precision $(PRECISION) --batch $(BATCH) \
	$(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(SIZE),--size $(SIZE)) $(if $(OUT),--out "$(OUT)")

.PHONY: help onnx openvino demo test test-fast lint format bench clean

help:
	@echo "make demo       convert the sample model and draw a skeleton into a photograph (SOURCE= SAVE=)"
	@echo "make openvino   convert to OpenVINO   (MODEL= WEIGHTS= PRECISION=fp32|fp16 SIZE=HxW BATCH=N|dynamic OUT=)"
	@echo "make onnx       convert to ONNX       (the same)"
	@echo "make test       lint, types and all tests;  make test-fast leaves the slow ones out"
	@echo "make lint       lint and types;  make format rewrites the layout"
	@echo "make bench      measure what docs/performance.md states"

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("edgehr needs Python 3.10 or newer" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

onnx: $(READY)
	$(call convert,onnx)

openvino: $(READY)
	$(call convert,openvino)

DEMO_MODEL := artifacts/$(MODEL)-$(PRECISION).xml
$(DEMO_MODEL): $(READY)
	$(call convert,openvino)

demo: $(if $(OUT),openvino,$(DEMO_MODEL))
	$(BIN)/edgehr demo --model "$(or $(OUT),$(DEMO_MODEL))" $(if $(SOURCE),--source "$(SOURCE)") --save "$(SAVE)"

test: lint
	$(BIN)/python -m pytest

test-fast: lint
	$(BIN)/python -m pytest -m "not slow"

# Type checkers do not follow the package-dir mapping of pyproject.toml, so they get the package as links.
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typing && mkdir -p build/typing/edgehr
	ln -s $(CURDIR)/edgehr/* $(CURDIR)/calib $(CURDIR)/converters $(CURDIR)/runtimes build/typing/edgehr/
	MYPYPATH=build/typing $(BIN)/mypy -p edgehr

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv build dist out artifacts *.egg-info
