# Every target sets itself up: on a fresh machine (Python 3.11, npm for the demo) `make demo` is enough.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_OUT ?= demo-out
STAMP := $(VENV)/.installed

.PHONY: setup demo test check mutate bench-full bench-ledger soak nightly clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/python -m client.demo.story --out $(DEMO_OUT)

test: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/python -m pytest --cov --cov-report=
	$(BIN)/python tests/coverage_floor.py

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docs.py

mutate: $(STAMP)
	$(BIN)/python tests/mutation/run.py

# Every style left out in turn; goes on where `make demo` ended.
bench-full: $(STAMP)
	$(BIN)/python -m client.demo.folds --out $(DEMO_OUT)

# Charges a second with group commit and without it; the machine should be idle.
bench-ledger: $(STAMP)
	$(BIN)/python -m tests.bench.ledger

# Ten minutes of random kills of vendor, client, Redis and PostgreSQL under load, then an audit.
soak: $(STAMP)
	$(BIN)/python -m pytest -m soak -s tests/soak

# The ledger's state machine, ten times as long as in `make test`.
nightly: $(STAMP)
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -q tests/ledger/test_books_machine.py

clean:
	rm -rf $(DEMO_OUT) .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
