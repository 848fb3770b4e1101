# Mantis Runbook. `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help run test test-code test-notebooks lab installations bench bench-gate lint lock lock-check notebooks stop clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) .ci/supported.py
	@echo "installing into .venv (once) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

run: $(READY)  ## migrate a fresh sandbox: all phases, under load, with a report
	$(BIN)/mantis-runbook sandbox reset
	$(BIN)/mantis-runbook run

test: test-code test-notebooks  ## everything: static checks, unit and integration tests on real servers, notebooks with nbval

test-code: $(READY) lint  ## static checks, unit and integration tests
	$(BIN)/pytest --numprocesses=2 --dist=loadgroup

test-notebooks: $(READY)  ## the notebooks with nbval, on a sandbox of their own
	$(BIN)/python -m pytest -p tests.notebook_sandbox --nbval-lax --nbval-current-env --nbval-cell-timeout=300 notebooks

# Jupyter refuses to run as root unless it is asked to; nobody else needs the option.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
lab: $(READY)  ## open JupyterLab on the sandbox, with options if you like: make lab LAB="--port 9999 --no-browser"
	$(BIN)/mantis-runbook sandbox start
	$(BIN)/jupyter lab --notebook-dir=notebooks $(AS_ROOT) $(LAB)

installations: $(READY)  ## every variant of an installation through all phases, back, and again; ONLY=name VERSION=18 for some
	$(BIN)/python tests/matrix.py $(if $(ONLY),--only $(ONLY)) $(if $(VERSION),--version $(VERSION))

bench: $(READY)  ## measure: sandbox, backup, proof and rehearsal, fingerprints, gaps beside plain psql, memory
	$(BIN)/python -m benchmarks $(BENCH)

TRIALS ?= 20
bench-gate: $(READY)  ## measure: how often the performance gate is right, over TRIALS=20 trials of each case (half an hour)
	$(BIN)/python -m benchmarks trials --trials $(TRIALS)

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebooks: $(READY)  ## execute the notebooks and keep the outputs that nbval compares
	$(BIN)/python -m tests.refresh_notebooks

lock: $(READY)  ## pin what is installed anew, for every Python and platform that README names; old pins stay where they can
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock pyproject.toml

lock-check: $(READY)  ## dry-run the lock for each Python and platform, and environment.yml's pip section (asks the package registry)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	@set -e; for version in 3.11.2 3.11.7 3.12.1 3.13.0 3.14; do \
	  for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin; do \
	    echo "Python $$version, $$platform"; \
	    $(BIN)/uv pip install --quiet --dry-run --target .venv/dry-run --python-version $$version --python-platform $$platform --only-binary :all: --require-hashes --requirement requirements.lock; \
	  done; \
	done
	@$(BIN)/python -m tests.conda_pip_section > .venv/pip-section.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --dry-run --requirement .venv/pip-section.txt

stop: $(READY)  ## stop the sandbox; its data stays
	$(BIN)/mantis-runbook sandbox stop

clean:  ## remove what was made here: sandbox, environment, caches; reports and backups stay
	-test -x $(BIN)/mantis-runbook && $(BIN)/mantis-runbook sandbox stop
	rm -rf .sandbox .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info
