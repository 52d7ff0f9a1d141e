.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
DEMO := demo

export DOCSTOKG_WAREHOUSE ?= $(CURDIR)/warehouse
# else each process compiles all modules anew, where the environment forbids to keep them compiled
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test lint format monitoring bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## make .venv with everything pinned

# this pip takes two thirds of the time that the one of Python 3.11 takes
.venv/ready: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet pip==26.3
	$(BIN)/pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## two real crawls, one of them degraded, and what telemetry says of them
	@rm -rf $(DEMO)
	@$(BIN)/python -m scripts.demo $(DEMO)

test: setup  ## dbt's unit and data tests, and pytest over the whole commands
	$(BIN)/pytest

lint: setup  ## ruff, mypy, sqlfluff, and whether generated files are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint -q models
	$(BIN)/python -m scripts.monitoring --check

format: setup  ## put Python and SQL into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/sqlfluff fix -q models

monitoring: setup  ## make alert rules and dashboard of the SLO seed
	$(BIN)/python -m scripts.monitoring

bench: setup  ## figures against plain sqlite3 and DuckDB, as a table and JSON
	$(BIN)/python -m scripts.bench

clean:  ## remove what the targets made
	rm -rf .venv $(DEMO) warehouse target logs
