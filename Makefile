# The everyday door. `make` alone prints what there is. A fresh machine needs python3 (3.10 or later) with pip, make and git.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SOURCES := src tests examples $(wildcard benchmarks scripts stack grafana)
SHOWN := $(sort $(wildcard scripts/show_*.py))
COMPILE_BUDGETS := costspan budgets compile examples/budgets/budgets.yaml --out prometheus --receivers prometheus/receivers.yml

# Where images switch it off, every process of the tests would compile the client libraries anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup fmt lint types test test-matrix coverage docs site generate generate-check package demo bench lock clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv and install everything from requirements.lock

fmt: $(READY) ## Format the code, and mend what the linter can mend
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

lint: $(READY) ## Lint, check the format, the spelling, the directions of imports, the workflow files and every link
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/codespell $(SOURCES) docs prometheus collector-config README.md CONTRIBUTING.md
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/python scripts/make_site.py --no-pictures

types: $(READY) ## Check the types
	$(BIN)/pyright

# A third of a test's time it waits for servers and processes: two workers for each core are `auto`.
test test-matrix coverage: export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

test: $(READY) ## Run every test; where Go is there, the programs of the stack are built first: minutes, once
	@$(BIN)/python -m stack binaries || echo "So the tests that need these programs are skipped."
	$(BIN)/pytest -n auto --maxprocesses 8

test-matrix: $(READY) ## Run the tests of the engine with the oldest and the latest clients: some minutes
	$(BIN)/python scripts/matrix.py $(ROWS)

coverage: $(READY) ## Run every test and show which lines and branches of the package none of them runs
	@mkdir -p .cache/coverage
	$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest -q -n auto --maxprocesses 8
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

docs: $(READY) ## Check that documentation and examples say what the code does
	$(BIN)/pytest $(wildcard tests/house/test_docs.py) tests/house/test_demo.py tests/house/test_setup.py

site: $(READY) ## Build the documentation's site into .cache/site/html, with pictures where there is Chromium
	$(BIN)/python scripts/make_site.py

generate: $(READY) ## Write the generated files again: prices, rules, dashboards, tables in the documentation
	$(BIN)/python scripts/compile_prices.py
	$(BIN)/$(COMPILE_BUDGETS)
	$(BIN)/python -m stack generate
	$(BIN)/python -m grafana.source
	@for script in $(SHOWN); do $(BIN)/python $$script || exit 1; done

generate-check: $(READY) ## Fail if a generated file is not as the code has it
	$(BIN)/python scripts/compile_prices.py --check
	$(BIN)/$(COMPILE_BUDGETS) --check
	$(BIN)/python -m grafana.source --check
	@for script in $(SHOWN); do $(BIN)/python $$script --check || exit 1; done

package: ## Install the wheel and the sdist as people do, with every Python that is here: minutes, by packages of the index
	python3 scripts/try_package.py $(PYTHONS)

demo: $(READY) ## Run the example agent against a stand-in for the providers, and report what it cost
	$(BIN)/costspan demo

bench: $(READY) ## Measure the overhead, beside the peers
	$(BIN)/python -m benchmarks

lock: $(READY) ## Resolve requirements.lock again; add UPGRADE=1 for newer versions
	$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --group build --group clients --group test --group lint \
	  --universal --python-version 3.10 --generate-hashes --no-annotate --no-header \
	  $(if $(UPGRADE),--upgrade) --output-file requirements.lock

clean: ## Remove .venv and what was built or cached, but for the programs of the stack, which take minutes to build
	rm -rf .venv .envs .pytest_cache .ruff_cache .hypothesis dist build .coverage*
	@! test -d .cache || find .cache -mindepth 1 -maxdepth 1 ! -name bin -exec rm -rf {} +
	find src tests examples -name __pycache__ -prune -exec rm -rf {} +
	@! test -d .cache/bin || echo "Kept .cache/bin, the programs of the stack; rm -r .cache removes them."

# uv comes first, from the lock like everything else, because it installs ten times faster than pip. Where the
# system's Python lacks ensurepip (Debian without python3-venv), its pip is lent to the new environment.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "costspan needs Python 3.10 or later, this is " + sys.version)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip .venv
	@awk '/^uv==/, !/\\$$/' requirements.lock > .venv/uv.lock
	@$(BIN)/python -m pip --version >/dev/null 2>&1 \
	  && $(BIN)/python -m pip install --quiet --require-hashes --requirement .venv/uv.lock \
	  || $(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes --requirement .venv/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

include stack.mk
