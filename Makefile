# Airlock. `make` alone lists what there is. Python 3.11 and make are all it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .airlock/tools
UV := uv==0.13.9

# One installation at a time: a second make waits here. The stamp makes the next run instant.
# $(1) is the requirements file. The dev file is a superset, so it also satisfies the other. Both are
# complete, so nothing is resolved. mlflow-skinny writes MLflow's own files and is no longer listed
# (docs/adr/0062-mlflow-3-18.md): an environment that still has it gets MLflow anew.
define install
@command -v $(PYTHON) >/dev/null || { echo "Airlock needs Python 3.11 and found no '$(PYTHON)'. Install it (Debian: apt-get install python3.11 python3.11-venv), or run: make PYTHON=/path/to/python3.11"; exit 2; }
@mkdir -p build; exec 9>build/.setup.lock; flock 9; \
want="$$(sha256sum $(1) pyproject.toml | sha256sum | cut -d' ' -f1)"; \
dev="$$(sha256sum requirements-dev.txt pyproject.toml | sha256sum | cut -d' ' -f1)"; \
have="$$(cat $(VENV)/.stamp 2>/dev/null || true)"; \
if [ "$$have" != "$$want" ] && [ "$$have" != "$$dev" ]; then \
  echo "Setting up $(VENV) from $(1)"; \
  [ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || { echo "Could not create $(VENV). Debian: apt-get install python3.11-venv"; exit 2; }; \
  rm -f $(VENV)/.stamp; \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check "$(UV)"; \
  if compgen -G "$(VENV)/lib/python*/site-packages/mlflow_skinny-*" >/dev/null; then \
    VIRTUAL_ENV=$(VENV) $(BIN)/uv pip uninstall --quiet mlflow mlflow-skinny mlflow-tracing; \
  fi; \
  VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --no-deps --require-hashes -r $(1); \
  VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .; \
  echo "$$want" > $(VENV)/.stamp; \
fi
endef

.PHONY: help up down demo test test-all unit lint bench test-compose upgrade-check lock clean setup setup-dev chromium scanners bubblewrap emulators

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

up: setup ## Set up and start everything on this machine
	@$(BIN)/airlock up

down: ## Stop everything; data stays in .airlock
	@if [ -x $(BIN)/airlock ]; then $(BIN)/airlock down; else echo "Nothing was ever started here."; fi

demo: setup ## Start everything and run real releases (AUTO=1 answers the approvals itself)
	@$(BIN)/airlock demo $(if $(filter 1 true yes,$(AUTO)),--auto)

test: setup-dev chromium scanners bubblewrap emulators ## Set up and run all tests
	@$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder # one waits for a platform most of the time

test-all: setup-dev chromium scanners bubblewrap emulators ## Run all tests on every database and store, and each race more often
	@TEST_MATRIX=all $(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder

unit: setup-dev ## Run the fast tests only
	@$(BIN)/python -m pytest -m unit

lint: setup-dev ## Check style, types and the layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.names dags include plugins tests/bench tests/slack tests/unit
	@PYTHONPATH=include:plugins $(BIN)/lint-imports

test-compose: setup-dev ## Start docker-compose.yml with podman, release a model, look for secrets (root, Debian)
	@$(BIN)/python -m tests.compose

bench: setup-dev ## Measure, print a table, write build/bench.json
	@$(BIN)/python -m tests.bench

upgrade-check: setup-dev ## Try the newest versions in an environment of their own
	@$(BIN)/python -m tests.upgrade

lock: setup-dev ## Compile requirements*.txt anew from pyproject.toml
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip compile pyproject.toml --all-extras --python-version 3.11 --generate-hashes --no-header -o requirements.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip compile deploy/requirements.in --no-deps -c requirements.txt --python-version 3.11 --generate-hashes --no-header --no-annotate -o deploy/requirements.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip compile tests/compose/requirements.in --python-version 3.11 --generate-hashes --no-header --no-annotate -o tests/compose/requirements.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip compile requirements-scanners.in --python-version 3.11 --generate-hashes --no-header -o requirements-scanners.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip compile pyproject.toml --all-extras --python-version 3.11 --generate-hashes --no-header --group dev -c requirements.txt -o requirements-dev.txt

scanners: setup ## Install modelscan, picklescan and fickling for the gate artifact-scan
	@mkdir -p $(TOOLS); exec 9>$(TOOLS)/.lock; flock 9; \
	want="$$(sha256sum requirements-scanners.txt | cut -d' ' -f1)"; \
	if [ "$$(cat $(TOOLS)/scanners/.stamp 2>/dev/null)" != "$$want" ]; then \
	  echo "Setting up $(TOOLS)/scanners"; \
	  rm -rf $(TOOLS)/scanners; $(PYTHON) -m venv $(TOOLS)/scanners; \
	  VIRTUAL_ENV=$(TOOLS)/scanners $(BIN)/uv pip install --quiet --require-hashes -r requirements-scanners.txt; \
	  echo "$$want" > $(TOOLS)/scanners/.stamp; \
	fi

clean: down ## Stop everything and remove data, caches and the environment
	@rm -rf .airlock .venv build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	$(call install,requirements.txt)

setup-dev:
	$(call install,requirements-dev.txt)

# The page is tried in a real browser.
chromium:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else echo "The browser tests need Chromium. Debian: sudo apt-get install chromium"; exit 2; fi

# Pickled models are converted inside it, and only there.
bubblewrap:
	@if command -v bwrap >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends bubblewrap >/dev/null; \
	else echo "The tests of the quarantine need bubblewrap. Debian: sudo apt-get install bubblewrap"; exit 2; fi

# Slack is played by two programs that are not ours, each held to its hash; nothing else is run.
emulators:
	@mkdir -p $(TOOLS); exec 9>$(TOOLS)/.slack.lock; flock 9; \
	want="$$(cat tests/slack/package.json tests/slack/package-lock.json | sha256sum | cut -d' ' -f1)"; \
	if [ "$$(cat $(TOOLS)/slack/.stamp 2>/dev/null)" != "$$want" ]; then \
	  [ "$$(uname -sm)" = "Linux x86_64" ] || { echo "The Slack emulators of the tests run on Linux x86_64 only; this is $$(uname -sm)"; exit 2; }; \
	  if ! command -v npm >/dev/null; then \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	      apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null; \
	    else echo "The Slack tests need npm. Debian: sudo apt-get install nodejs npm"; exit 2; fi; \
	  fi; \
	  echo "Setting up $(TOOLS)/slack"; \
	  rm -rf $(TOOLS)/slack; mkdir $(TOOLS)/slack; cp tests/slack/package.json tests/slack/package-lock.json $(TOOLS)/slack; \
	  npm ci --prefix $(TOOLS)/slack --ignore-scripts --no-audit --no-fund --loglevel=error; \
	  echo "$$want" > $(TOOLS)/slack/.stamp; \
	fi
