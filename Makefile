# Everything a fresh machine needs: `make serve` runs the service, `make test` passes the tests.
PYTHON ?= $(shell command -v python3.12 >/dev/null 2>&1 && python3.12 -V >/dev/null 2>&1 && echo python3.12 || \
	(command -v python3.11 >/dev/null 2>&1 && echo python3.11) || echo python3)
BIN := .venv/bin
# The environment that the benchmark's peers see the service's packages of.
SERVICE_VENV ?= .venv
BENCH := .venv-bench/bin/python

.PHONY: install serve test hostile check release-check lock graphs bench bench-quick bench-gpu clean

# What serving takes: OpenVINO on a CPU; beside an NVIDIA driver, or with EXTRA=cuda, torch as well.
EXTRA ?= $(shell { command -v nvidia-smi || ls -d /proc/driver/nvidia; } >/dev/null 2>&1 && echo cuda || echo serve)

install: .venv/installed

serve: $(if $(wildcard .venv/installed),.venv/installed,.venv/$(EXTRA))
	$(BIN)/sgone serve

.venv/pyvenv.cfg:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and "Python 3.11 to 3.14 is needed: make install PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv

# Modules are compiled when they are first imported, which are far fewer than those that lie there.
.venv/serve .venv/cuda: .venv/%: requirements-%.lock pyproject.toml | .venv/pyvenv.cfg
	$(BIN)/python release/install.py $< --no-compile
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

.venv/installed: requirements.lock pyproject.toml | .venv/pyvenv.cfg
	$(BIN)/python release/install.py $<
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/sgone prepare
	touch $@

test: install
	$(BIN)/python -m pytest

# What strangers may send, 40 times as much of it as the tests do.
hostile: install
	HOSTILE_INPUTS=10000 $(BIN)/python -m pytest -s tests/hostile

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

# What must hold before a release, in a clean clone; CONTRIBUTING.md says how one is made.
# RELEASE_OPTIONS=--skip-tests leaves out the ten minutes of make check.
release-check: install
	$(BIN)/python release/checklist.py $(RELEASE_OPTIONS)

# Pins for Linux and macOS alike: everything, and of that what serving takes on a CPU and on a GPU.
COMPILE := uv pip compile pyproject.toml --quiet --universal --no-header --no-annotate
lock:
	$(COMPILE) --all-extras --output-file requirements.lock
	$(COMPILE) --extra postgres --constraint requirements.lock --output-file requirements-serve.lock
	$(COMPILE) --extra postgres --extra torch --constraint requirements.lock --output-file requirements-cuda.lock

# After a change of the network or the weights: what serves the shipped checkpoints without torch.
graphs: install
	$(BIN)/sgone graphs weights/*.safetensors

# Ours against its peers, 25 minutes on two quiet cores; what is measured already is kept, so that a
# run that was stopped goes on. BENCH_OPTIONS=--help lists the rest.
bench: .venv-bench/installed
	PYTHONPATH=$(CURDIR) $(BENCH) benchmarks/run.py $(BENCH_OPTIONS)

# The network on a CUDA GPU, without a server: time, throughput and share of the measured peak.
bench-gpu: install
	PYTHONPATH=$(CURDIR):$(CURDIR)/benchmarks $(BIN)/python benchmarks/gpu.py $(BENCH_OPTIONS)

# Every path once, 3 minutes: its figures mean nothing.
bench-quick: .venv-bench/installed
	PYTHONPATH=$(CURDIR) $(BENCH) benchmarks/run.py --quick --fresh $(BENCH_OPTIONS)

$(SERVICE_VENV)/bin/python:
	$(MAKE) install

# The peers lie beside the service's packages, which a .pth file brings in: torch is not installed
# twice, and every peer runs on the same versions.
.venv-bench/installed: benchmarks/requirements.txt $(SERVICE_VENV)/bin/python
	$(SERVICE_VENV)/bin/python -m venv .venv-bench
	$(BENCH) -c 'import os, sys, sysconfig; own = sysconfig.get_path("purelib"); print(os.path.relpath(sys.argv[1], own), file=open(own + "/service.pth", "w"))' \
		$$($(SERVICE_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	$(BENCH) -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-bench build dist *.egg-info
