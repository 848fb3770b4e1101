# Mantis Runbook. `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help run test test-code test-notebooks lab installations bench bench-gate lint lock notebooks stop clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

$(READY): requirements.lock pyproject.toml
	@echo "installing into .venv (once) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
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

lab: $(READY)  ## open JupyterLab on the sandbox
	$(BIN)/mantis-runbook sandbox start
	$(BIN)/jupyter lab --notebook-dir=notebooks

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

lock: $(READY)  ## pin what is installed, anew
	$(BIN)/pip install --quiet --disable-pip-version-check pip-tools
	$(BIN)/pip-compile --quiet --extra dev --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock pyproject.toml

stop: $(READY)  ## stop the sandbox; its data stays
	$(BIN)/mantis-runbook sandbox stop

clean:  ## remove what was made here: sandbox, environment, caches; reports and backups stay
	-test -x $(BIN)/mantis-runbook && $(BIN)/mantis-runbook sandbox stop
	rm -rf .sandbox .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info
