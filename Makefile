# `make check` is exactly what CI runs. Everything is installed into .venv; only PostgreSQL, which the tests need and
# no registry of Python packages has, comes from apt, and only where it is missing.
PYTHON ?= python3
UV := uv==0.13.8
BIN := .venv/bin
LOG := .venv/setup.log
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT := $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

.PHONY: help check format lint types layers generated test demo soak bench generate postgresql
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

check: format lint types layers generated test ## Everything CI runs: format, lint, types, layers, generated files, tests

format: .venv/developer
	@echo "== format"
	@$(BIN)/ruff format --check --quiet --diff .

lint: .venv/developer
	@echo "== lint"
	@$(BIN)/ruff check --quiet .

types: .venv/developer
	@echo "== types"
	@$(BIN)/pyright --warnings

layers: .venv/developer
	@echo "== layers"
	@$(BIN)/lint-imports --no-cache --verbose >.venv/layers.log || { cat .venv/layers.log; exit 1; }

generated: .venv/developer
	@echo "== generated files"
	@$(BIN)/python proto/generate.py --check
	@$(BIN)/python docs/generate.py --check

test: .venv/developer postgresql ## Run the tests, the stock SDK and CLI against a real server included
	@echo "== tests"
	@$(BIN)/python -m pytest -q --no-header -n 3 --dist loadfile --no-loadscope-reorder $(TESTS)

demo: .venv/user ## Start a server, deploy examples/ with the stock SDK, wait for a scheduled fire, show it, stop
	@$(BIN)/wingbeat demo

soak: .venv/developer postgresql ## Kill everything at random for a minute, live thousands of lives of triggers, send nonsense
	@WINGBEAT_SOAK=1 SOAK_SECONDS=60 $(BIN)/python -m pytest -q --no-header tests/e2e/test_chaos.py tests/loops/test_scheduler_processes.py
	@$(BIN)/python -m tests.simulation.soak --seeds 2000 --seconds 600
	@FUZZ_REQUESTS=400 $(BIN)/python -m pytest -q --no-header tests/rpc/test_fuzz.py

bench: .venv/developer postgresql ## Measure, each against a baseline taken in the same run
	@for file in benchmarks/bench_*.py; do echo "== $$file"; PYTHONPATH=. $(BIN)/python $$file; done

generate: .venv/developer ## Write the code of our protos and the generated parts of the documents anew
	@$(BIN)/python proto/generate.py
	@$(BIN)/python docs/generate.py

postgresql:
	@if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
		echo "installing PostgreSQL for the tests (apt)"; \
		{ $(APT) update && $(APT) install -y --no-install-recommends postgresql; } >$(LOG) 2>&1 || { cat $(LOG); exit 1; }; \
	fi

# An environment may have more than what is asked for here: --inexact keeps a developer's own packages, and uv itself.
.venv/user: pyproject.toml uv.lock | $(BIN)/uv
	@echo "installing wingbeat and the Flyte SDK into .venv"
	@$(BIN)/uv sync --quiet --frozen --inexact --no-dev --all-extras
	@touch $@

.venv/developer: pyproject.toml uv.lock | $(BIN)/uv
	@echo "installing wingbeat, the Flyte SDK and the tools of the checks into .venv"
	@$(BIN)/uv sync --quiet --frozen --inexact --all-extras
	@touch $@

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wingbeat needs Python 3.11 or newer: make PYTHON=python3.x")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "installing venv (apt)"; $(APT) update && $(APT) install -y python3-venv >/dev/null; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check '$(UV)'
