# Two commands: `make quickstart` and `make test`. Both set up first; a second call adds seconds.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup quickstart test lint clean

setup:
	@PYTHON="$(PYTHON)" bash setup.sh $(VENV)

quickstart: setup
	$(BIN)/python -m lam_train +recipe=curriculum run_dir=runs/quickstart $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

lint: setup
	$(BIN)/ruff check .

clean:
	rm -rf $(VENV) build dist *.egg-info
