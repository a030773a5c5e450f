# The two commands of the README are `make example` and `make test`; `make help` lists the rest.
# Needs Python 3.11 or later (with venv) and a network once; everything lands in .venv, .venv-dev and the cache folder.
PYTHON ?= python3
.DEFAULT_GOAL := help
SHELL := /bin/sh
# Environments of a user's must not leak into ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
DEV := .venv-dev
# What the wheel is made of.
SOURCES := $(shell git ls-files dlpubuild schemas templates docker requirements Dockerfile LICENSE README.md pyproject.toml dlpu.toml.example 2>/dev/null)

.PHONY: help example test unit lint format docs images wheel-check bench locks clean

help: ## List what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

$(VENV)/bin/python $(DEV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; name one with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(dir $(@D)) || { echo "the venv module is missing: on Debian, apt-get install python3-venv" >&2; exit 1; }

# Everything is checked against the hashes in requirements/; our own wheel is built with the locked hatchling.
$(VENV)/.installed: requirements/run.txt requirements/build.txt $(SOURCES) | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --require-hashes -r requirements/run.txt -r requirements/build.txt
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@

$(DEV)/.installed: requirements/dev.txt pyproject.toml | $(DEV)/bin/python
	$(DEV)/bin/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(DEV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

example: $(VENV)/.installed ## Build examples/digits for ARTPEC-8, ARTPEC-9 and the CPU, and measure the packages
	$(VENV)/bin/dlpubuild build --manifest examples/digits/dlpu.toml
	$$($(VENV)/bin/dlpubuild toolchain prepare tf2 --print-python) examples/digits/evaluate.py --min 0.95 examples/digits/dist/*/model/model.tflite

# Unit tests share nothing and take all cores; the others share an engine, caches and the machine's speed. Both are run
# where one fails. With PYTEST_ARGS it is one run, as pytest is called by hand.
test: $(DEV)/.installed ## Run all tests; the toolchain is prepared where it is not
ifeq ($(strip $(PYTEST_ARGS)),)
	@failed=0; \
	$(DEV)/bin/python -m pytest -n auto tests/unit || failed=1; \
	$(DEV)/bin/python -m pytest --ignore=tests/unit || failed=1; \
	exit $$failed
else
	$(DEV)/bin/python -m pytest $(PYTEST_ARGS)
endif

unit: $(DEV)/.installed ## Run the fast tests that need no toolchain
	$(DEV)/bin/python -m pytest tests/unit $(PYTEST_ARGS)

lint: $(DEV)/.installed ## Check style, types, layers, the steps' old Python, scripts and CI templates
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports
	$(DEV)/bin/vermin --quiet --no-tips --violations -t=3.7- dlpubuild/steps
	$(DEV)/bin/hadolint Dockerfile
	$(DEV)/bin/shellcheck --external-sources docker/*
	$(DEV)/bin/shellcheck .ci/* ci/github/*
	$(DEV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-actions action.yml
	$(DEV)/bin/check-jsonschema --quiet --builtin-schema vendor.gitlab-ci ci/gitlab/*.yml

format: $(DEV)/.installed ## Bring the code into shape
	$(DEV)/bin/ruff check --fix --quiet . || true
	$(DEV)/bin/ruff format .

docs: $(DEV)/.installed ## Write the generated pages of docs/
	$(DEV)/bin/python docs/generate.py

IMAGES := tf2 tf1 onnx cli cli-tf2
images: $(DEV)/.installed ## Build the container images that the tests use
	$(DEV)/bin/dlpubuild image build $(IMAGES)

wheel-check: $(DEV)/.installed ## Build the wheel, install it elsewhere, build the example with it
	DEV=$(abspath $(DEV)) .ci/wheel-check

bench: $(DEV)/.installed ## Measure (bench/README.md says what)
	$(DEV)/bin/python bench/run.py $(BENCH_ARGS)

UV_COMPILE = $(DEV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --upgrade
locks: $(DEV)/.installed ## Write every lock file anew
	$(UV_COMPILE) --universal --python-version 3.11 pyproject.toml -o requirements/run.txt
	$(UV_COMPILE) --universal --python-version 3.11 --group build -o requirements/build.txt
	$(UV_COMPILE) --universal --python-version 3.11 pyproject.toml --group build --group lint --group test -o requirements/dev.txt
	cd dlpubuild/toolchains/locks && ../../../$(UV_COMPILE) --only-binary :all: --python-version 3.11 --python-platform x86_64-manylinux_2_28 tf2.in -o tf2-linux-x86_64.txt
	cd dlpubuild/toolchains/locks && ../../../$(UV_COMPILE) --only-binary :all: --no-binary gast --python-version 3.7 --python-platform x86_64-manylinux_2_28 tf1.in -o tf1-linux-x86_64.txt
	cd dlpubuild/toolchains/locks && ../../../$(UV_COMPILE) --only-binary :all: --python-version 3.11 --python-platform x86_64-manylinux_2_28 --override onnx-overrides.in onnx.in -o onnx-linux-x86_64.txt

clean: ## Remove what the targets above made here
	rm -rf $(VENV) $(DEV) build dist examples/*/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
