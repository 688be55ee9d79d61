# Everything a fresh machine needs: `make serve` runs the service, `make test` passes the tests.
PYTHON ?= $(shell command -v python3.12 >/dev/null 2>&1 && python3.12 -V >/dev/null 2>&1 && echo python3.12 || \
	(command -v python3.11 >/dev/null 2>&1 && echo python3.11) || echo python3)
BIN := .venv/bin

.PHONY: install serve test check lock clean

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13) and "Python 3.11 or 3.12 is needed: make install PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/sgone prepare
	touch $@

serve: install
	$(BIN)/sgone serve

test: install
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

# Pins every dependency, the extras included, for Linux and macOS alike.
lock:
	uv pip compile pyproject.toml --all-extras --universal --no-header --no-annotate --output-file requirements.lock

clean:
	rm -rf .venv build dist *.egg-info
