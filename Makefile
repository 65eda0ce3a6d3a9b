# Every target brings its own environment up first, in .venv, so one command on a fresh machine is enough.
MODEL ?= litehrnet-18-wider-naive-coco-256x192
PRECISION ?= fp32
WEIGHTS ?=
SIZE ?=
BATCH ?= 1
CALIB ?=
MAX_DROP ?=
ANNOTATIONS ?=
IMAGES ?=
OUT ?=
ONLY ?=
KINDS ?=
SEED ?=
COUNT ?=
PLAIN ?=
SOURCE ?=
SAVE ?= out
DETECTOR ?= $(if $(filter litehrnet-18-wider-naive-coco-256x192,$(MODEL)),rtmdet-nano-person-320x320)
QUIET := --quiet --disable-pip-version-check
# uv installs in a fifth of the time of pip. It does not read pip's settings, so it is told where that gets packages from.
UV_VERSION := 0.13.9
pip_setting = $(or $(PIP_$(1)),$(shell $(PYTHON) -m pip config get global.$(2) 2> /dev/null))
uv_install = $(if $(call pip_setting,INDEX_URL,index-url),UV_DEFAULT_INDEX="$(call pip_setting,INDEX_URL,index-url)") \
	$(if $(call pip_setting,FIND_LINKS,find-links),UV_FIND_LINKS="$(call pip_setting,FIND_LINKS,find-links)") \
	.venv/bin/uv pip install --quiet --python
TRT_OPTIONS ?=
TFLITE_OPTIONS ?=
VENV_OPTIONS ?=
SHARED ?= ../shared
PEOPLE ?=
FRESH ?=
PYTHON ?= python3
WORKERS ?= 2

BIN := .venv/bin
OLD := .venv-tflite-runtime
LOWEST := .venv-lowest
NNCF := .venv-nncf
SERVERS := .venv-servers
AUDIT := .venv-audit
PAGE_CHECKS := tests/live/web_demo/js
READY := .venv/.ready
# Converting to OpenVINO and ONNX needs part of that only, so that a first conversion does not wait for the rest.
CONVERTS := $(if $(wildcard $(READY)),$(READY),.venv/.ready-convert)
convert = $(BIN)/edgehr convert "$(MODEL)" --to $(1) --precision $(PRECISION) --batch $(BATCH) \
	$(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(SIZE),--size $(SIZE)) $(if $(OUT),--out "$(OUT)") $(if $(PLAIN),--plain) \
	$(if $(CALIB),--calib "$(CALIB)" $(if $(IMAGES),--held-out "$(IMAGES)")) $(if $(MAX_DROP),--max-drop $(MAX_DROP))
# Workers, each with one processor (tests/one_processor.py), take files in the order of tests/conftest.py. Where a worker
# dies, the run ends: pytest-xdist would start another one with the same test, again and again.
test = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: help onnx openvino trt trt-bundle tflite tflite-runtime-env lowest-env servers-env test-servers wheel assets demo test say-how-long test-fast test-tflite-runtime test-lowest lint lint-page types format bench quant-report model-matrix campaign docs docs-serve licenses audit clean

help:
	@echo "make demo       convert the sample model and draw skeletons into a picture of people (SOURCE= SAVE= DETECTOR=|none)"
	@echo "make openvino   convert to OpenVINO   (MODEL= WEIGHTS= PRECISION=fp32|fp16|int8 CALIB= MAX_DROP= SIZE=HxW BATCH=N|dynamic OUT= PLAIN=1)"
	@echo "make onnx       convert to ONNX       (the same)"
	@echo "make tflite     convert to TFLite     (the same, and PRECISION=dynamic-int8, TFLITE_OPTIONS=; ANNOTATIONS= IMAGES=)"
	@echo "make trt        build a TensorRT plan (the same, and TRT_OPTIONS=\"--compute-capability 8.9\", BUNDLE=)"
	@echo "make trt-bundle write what 'edgehr build' makes a plan of on a device"
	@echo "make wheel      dist/*.whl, to install on a device"
	@echo "make assets     make the models that ship in the package anew"
	@echo "make test       lint, types and all tests;  make test-fast leaves the slow ones out"
	@echo "make test-tflite-runtime   what TFLite files do on tflite-runtime 2.14, in an environment of its own"
	@echo "make test-lowest   every kind of file on the lowest versions that pyproject.toml allows, in an environment of its own"
	@echo "make test-servers   models on real inference servers, Triton and KServe, in an environment of their own"
	@echo "make lint       lint and types, of the page's modules too where npm is;  make format rewrites the layout"
	@echo "make docs       the documentation site, to build/site;  make docs-serve shows it while you write"
	@echo "make licenses   docs/licenses.md, from what is installed;  make audit asks for known vulnerabilities of it (internet)"
	@echo "make bench      measure what docs/performance.md and docs/research/speed.md state"
	@echo "make model-matrix   convert every network to every target (MODELS= TARGETS= PRECISIONS= WEIGHTS= FRESH=1)"
	@echo "make campaign   try to break what edgehr promises, with many random cases (ONLY=\"kills damage strangers load\" SEED= COUNT= KINDS=)"
	@echo "make quant-report   repeat the table of docs/research/quantization-experiments.md (SHARED=../shared PEOPLE=N FRESH=1)"

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("this environment needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV_OPTIONS) .venv
	$(BIN)/python -m pip install $(QUIET) uv==$(UV_VERSION)
	$(uv_install) $(BIN)/python -e ".[dev]"
	touch $@

.venv/.ready-convert: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("this environment needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV_OPTIONS) .venv
	$(BIN)/python -m pip install $(QUIET) uv==$(UV_VERSION)
	$(uv_install) $(BIN)/python -e ".[convert]"
	touch $@

# tflite-runtime 2.14, which old boards have, beside NumPy 1, which it was built for. OpenCV asks for NumPy 2 without
# needing it; with the version of the other environment, crops are the same to the last bit.
$(OLD)/.ready: pyproject.toml $(READY)
	rm -rf $(OLD)
	$(BIN)/uv venv --quiet --no-python-downloads --python $(BIN)/python $(OLD)
	$(uv_install) $(OLD) tflite-runtime==2.14.0 numpy==1.26.4 flatbuffers==25.12.19 faster-coco-eval==1.8.0 rich==15.0.0
	$(uv_install) $(OLD) --no-deps opencv-python==5.0.0.93 -e .
	touch $@

# The lowest versions that pyproject.toml allows, on the lowest Python where it is here. pyenv's `python3.10` works only
# where that version is chosen. Nothing is compiled: of versions without a build for this Python, the lowest with one.
$(LOWEST)/.ready: pyproject.toml $(READY)
	rm -rf $(LOWEST)
	python=$$(PYENV_VERSION=3.10 python3.10 -c 'import sys; print(sys.executable)' 2> /dev/null || command -v $(PYTHON)) && \
		$(BIN)/uv venv --quiet --no-python-downloads --python "$$python" $(LOWEST)
	$(uv_install) $(LOWEST) --resolution lowest-direct --no-build \
		--extra onnxruntime --extra openvino --extra tflite --extra remote --extra eval --extra web -r pyproject.toml
	$(uv_install) $(LOWEST) --no-deps -e .
	touch $@

# Inference servers that the tests start: KServe's, and Triton, which the wheel of PyTriton holds. Both want NumPy 1. The
# runtimes are those of the other environment, so that results are the same to the last bit.
$(SERVERS)/.ready: pyproject.toml $(READY)
	rm -rf $(SERVERS)
	$(BIN)/uv venv --quiet --no-python-downloads --python $(BIN)/python $(SERVERS)
	$(uv_install) $(SERVERS) kserve==0.21.0 nvidia-pytriton==0.7.0 tritonclient==2.73.0 numpy==1.26.4 \
		onnxruntime==1.32.0 openvino==2026.4.1
	$(uv_install) $(SERVERS) --no-deps -e .
	touch $@

onnx: $(CONVERTS)
	$(call convert,onnx)

openvino: $(CONVERTS)
	$(call convert,openvino)

# Every run converts anew, so that the model shown is the one asked for, and to a name of its own.
demo: OUT := artifacts/demo.xml
demo: $(CONVERTS)
	$(call convert,openvino)
	$(BIN)/edgehr demo --model "$(OUT)" $(if $(DETECTOR),--detector "$(DETECTOR)") $(if $(SOURCE),--source "$(SOURCE)") --save "$(SAVE)"

# Without a GPU, TensorRT-RTX builds for GPUs that are not here. BUNDLE= builds a plan from a bundle; a device needs no
# make for that, only `edgehr build BUNDLE` (docs/jetson.md).
trt: $(READY)
ifdef BUNDLE
	$(BIN)/edgehr build "$(BUNDLE)" $(if $(OUT),--out "$(OUT)") $(TRT_OPTIONS)
else
	$(call convert,tensorrt) $(TRT_OPTIONS)
endif

# Converts, runs the result on a photograph and, where ANNOTATIONS= and IMAGES= name COCO people, evaluates it. The file
# is named here, so that it is known what to run.
tflite: OUT := $(if $(OUT),$(OUT),artifacts/$(MODEL)-$(PRECISION)$(if $(PLAIN),-plain).tflite)
tflite: $(READY)
	$(call convert,tflite) $(TFLITE_OPTIONS)
	$(BIN)/edgehr demo --model "$(OUT)" $(if $(SOURCE),--source "$(SOURCE)") --save "$(SAVE)"
	$(if $(ANNOTATIONS),$(BIN)/edgehr eval "$(OUT)" --annotations "$(ANNOTATIONS)" --images "$(IMAGES)")

# The models that ship in the package and run as they are; WEIGHTS= is the published graph of the detector.
assets: $(READY)
	$(BIN)/python -m edgehr.converters.packaged_models $(if $(WEIGHTS),--detector-weights "$(WEIGHTS)")

trt-bundle: $(READY)
	$(call convert,trt-bundle) $(TRT_OPTIONS)

wheel: $(READY)
	$(BIN)/python -m build --wheel

# tflite-runtime has no build for Python 3.12 and later; its tests are skipped there.
tflite-runtime-env:
	@if $(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then $(MAKE) $(OLD)/.ready; \
	else echo "no tflite-runtime for this Python"; fi

test-tflite-runtime: $(READY) tflite-runtime-env
	$(BIN)/python -m pytest tests/runtimes/test_tflite_runtime.py

lowest-env: $(LOWEST)/.ready

# PyTriton has builds for Linux only; the tests of its server are skipped elsewhere.
servers-env:
	@if [ "$$(uname -s)" = Linux ]; then $(MAKE) $(SERVERS)/.ready; else echo "no Triton for this system"; fi

test-servers: $(READY) servers-env
	$(BIN)/python -m pytest tests/serving

test-lowest: $(READY) lowest-env
	$(BIN)/python -m pytest tests/runtimes/test_lowest.py

test: say-how-long lint tflite-runtime-env lowest-env servers-env
	$(test)

say-how-long:
	@echo "Lint, types, then all tests: about 12 minutes with two processors, besides what has to be installed."
	@echo "'make test-fast' leaves the slow tests out. WORKERS=N takes N processors."

test-fast: lint
	$(test) -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory types
	@if command -v npm > /dev/null; then $(MAKE) --no-print-directory lint-page; \
	else echo "no npm here to check the page's modules with"; fi

# The modules of the page that edgehr web-demo writes: ESLint, and types from their comments.
$(PAGE_CHECKS)/node_modules/.ready: $(PAGE_CHECKS)/package-lock.json
	npm ci --prefix $(PAGE_CHECKS) --no-audit --no-fund --loglevel=error
	touch $@

lint-page: $(PAGE_CHECKS)/node_modules/.ready
	$(PAGE_CHECKS)/node_modules/.bin/eslint --config $(PAGE_CHECKS)/eslint.config.mjs edgehr/live/web_demo/page $(PAGE_CHECKS)
	$(PAGE_CHECKS)/node_modules/.bin/tsc --project $(PAGE_CHECKS)/tsconfig.json

# Type checkers do not follow the package-dir mapping of pyproject.toml, so they get the package as links.
types: $(READY)
	rm -rf build/typing && mkdir -p build/typing/edgehr
	ln -s $(CURDIR)/edgehr/* $(CURDIR)/calib $(CURDIR)/converters $(CURDIR)/runtimes build/typing/edgehr/
	MYPYPATH=build/typing $(BIN)/mypy -p edgehr
	MYPYPATH=build/typing $(BIN)/mypy examples/*.py

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# MkDocs 1 and its theme are pinned; what they say of their successors is no news to whoever builds this.
docs docs-serve: export NO_MKDOCS_2_WARNING := 1
docs: $(READY)
	$(BIN)/mkdocs build --strict

docs-serve: $(READY)
	$(BIN)/mkdocs serve

licenses: $(READY)
	mkdir -p build
	$(BIN)/python docs/site/licenses.py > build/licenses.md && mv build/licenses.md docs/licenses.md

# Asks PyPI's list of advisories about the versions that are installed here, in an environment of its own.
$(AUDIT)/.ready: $(READY)
	rm -rf $(AUDIT)
	$(BIN)/uv venv --quiet --no-python-downloads --python $(BIN)/python $(AUDIT)
	$(uv_install) $(AUDIT) pip-audit==2.10.0
	touch $@

audit: $(AUDIT)/.ready
	mkdir -p build
	$(BIN)/uv pip freeze --quiet --exclude-editable --python .venv | sed 's/+cpu$$//' > build/audit.txt
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --desc off -r build/audit.txt

bench: $(READY)
	$(BIN)/python -m benchmarks

# NNCF, which is compared with and nothing else needs, stands in an environment of its own that also sees the project's
# one; pip adds nothing there that would change what is installed here.
$(NNCF)/.ready: $(READY)
	$(BIN)/python -m venv $(NNCF)
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
		> "$$($(NNCF)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"
	$(BIN)/python -m pip freeze --exclude-editable > $(NNCF)/constraints.txt
	$(NNCF)/bin/python -m pip install $(QUIET) -c $(NNCF)/constraints.txt nncf==3.4.0
	touch $@

# What was measured stays in out/model-matrix: a run that was stopped goes on where it was.
model-matrix: $(READY)
	$(BIN)/python -m benchmarks.model_matrix $(MODELS) --shared "$(SHARED)" $(if $(TARGETS),--targets $(TARGETS)) \
		$(if $(PRECISIONS),--precisions $(PRECISIONS)) $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(FRESH),--fresh)

quant-report: $(NNCF)/.ready
	$(NNCF)/bin/python -m benchmarks.quant_report --shared "$(SHARED)" $(if $(PEOPLE),--people $(PEOPLE)) \
		$(if $(FRESH),--fresh)

# A line for every case stays in out/campaign: a run that was stopped goes on where it was.
campaign: $(READY)
	$(BIN)/python -m tests.campaign $(ONLY) $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT)) $(if $(KINDS),--kinds $(KINDS))

clean:
	rm -rf .venv $(OLD) $(LOWEST) $(SERVERS) $(NNCF) $(AUDIT) $(PAGE_CHECKS)/node_modules build dist out artifacts *.egg-info
