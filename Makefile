# make bench   install everything, check rendering, run the quickstart recipe, show its table
# make test    install what tests need and run them
# make quick   run the tests that need neither the simulator nor more than about a second each
# make check   ruff and mypy
# make docs    build the documentation with its API reference into site/
# make setup   install only
#
# PYTHON=python3.12 names the interpreter, VENV=folder the virtual environment.

PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/quickstart
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RAY := $(VENV)/.ray

export MUJOCO_GL ?= egl
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: bench test quick check docs setup clean

bench: setup
	$(BIN)/libero-bench run quickstart --out $(OUT)

test: setup $(RAY)
	@$(BIN)/python -m tests.browser --install
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile

quick: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "not sim and not slow"

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)
	$(BIN)/zensical build --strict --clean

setup: $(STAMP)
	@$(BIN)/python -m tasks.rendering --install

$(STAMP): setup.cfg constraints.txt pyproject.toml
	@.ci/venv $(VENV) $(PYTHON)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

# What only the tests of clusters need.
$(RAY): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ray]'
	@touch $(RAY)

clean:
	rm -rf $(VENV) build site *.egg-info .mypy_cache .ruff_cache .pytest_cache
