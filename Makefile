# `make demo` and `make test` set up what they need, in a virtual environment inside this folder.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
TSC := $(VENV)/node/node_modules/.bin/tsc
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# a Debian package, when something that only the system can bring is missing and we may install it
define debian
{ command -v apt-get && [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1); } >/dev/null
endef

.PHONY: help demo test lint bench lab clean
help:
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

demo: $(VENV)/demo.stamp  ## run the main job on simulated activities
	@$(BIN)/activitykit demo

test: lint java chromium $(VENV)/node.stamp  ## check everything
	$(BIN)/pytest -n auto --dist loadfile

lint: $(VENV)/test.stamp $(VENV)/node.stamp  ## style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@test ! -x $(TSC) || $(TSC) --allowJs --checkJs --strict --noUnusedLocals --noUnusedParameters \
		--noEmit --target es2022 --module es2022 --lib es2023,dom,dom.iterable --types "" \
		activitykit/explorer/board.js

bench: $(VENV)/test.stamp  ## measure speed against what a user would otherwise do
	$(BIN)/python tests/bench.py $(ONLY)

lab: $(VENV)/lab.stamp  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

clean:  ## remove everything that make created
	rm -rf $(VENV) out dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: java
java:
	@command -v java >/dev/null || $(call debian,default-jre-headless) || \
		echo "There is no Java here: the tests on Spark will be skipped."

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || $(call debian,chromium) || \
		echo "There is no Chromium here: the tests in a browser will be skipped."

# axe-core judges accessibility, TypeScript the types of the board's script; only npm has them
$(VENV)/node.stamp: $(VENV)/pip.stamp
	@command -v npm >/dev/null && npm install --silent --no-save --no-audit --no-fund \
		--prefix $(VENV)/node axe-core@4.11.0 typescript@7.0.2 && touch $@ || \
		echo "There is no npm here: the tests of accessibility, and of the types of the board's" \
		"script, will be skipped."

$(VENV)/pip.stamp:
	@test -n "$(PYTHON)" || { echo "activitykit needs Python 3.11 or newer on the PATH"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { $(call debian,python3-venv) && $(PYTHON) -m venv $(VENV); }
	@$(BIN)/pip install -q 'pip>=25.1'
	@touch $@

$(VENV)/demo.stamp: pyproject.toml $(VENV)/pip.stamp
	@echo "Installing activitykit with what the demo needs …"
	@$(BIN)/pip install -q -e '.[cli,demo,report]'
	@touch $@

$(VENV)/test.stamp: pyproject.toml $(VENV)/pip.stamp
	@echo "Installing activitykit with what the tests need …"
	@$(BIN)/pip install -q -e '.[all]' --group test
	@# lifelines asks for pandas < 3 but works with it
	@$(BIN)/pip install -q --no-deps lifelines==0.30.3
	@touch $@ $(VENV)/demo.stamp

$(VENV)/lab.stamp: pyproject.toml $(VENV)/pip.stamp
	@$(BIN)/pip install -q -e '.[all]' --group lab
	@touch $@
