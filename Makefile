PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PROCESSES ?= 2  # that tests run in; each takes up to 2 GB

.PHONY: demo test quick lint slow versions clean

demo: $(VENV)/.installed
	$(BIN)/python demo.py

test: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest -q -n $(PROCESSES) --dist worksteal --durations=10

quick: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest -q -n $(PROCESSES) --dist worksteal -m "not slow and not server and not training and not exhaustive"

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy bert_ft server client

slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -m slow

versions:
	PROCESSES=$(firstword $(PROCESSES)) $(PYTHON) tools/check_versions.py

$(VENV)/.installed: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -U pip
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install -q -e .[test]
	touch $@

clean:
	rm -rf $(VENV) demo-output
