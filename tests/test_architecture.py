"""The house keeps its order."""

import subprocess
import sys
from pathlib import Path

import pytest

import model
import service

REPOSITORY = Path(__file__).resolve().parent.parent


def test_both_packages_come_from_this_repository():
    for package in (service, model):
        assert Path(package.__file__).resolve().parent.parent == REPOSITORY


def test_imports_go_down_only():
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    finished = subprocess.run(
        [sys.executable, "-c", command], cwd=REPOSITORY, capture_output=True, encoding="utf-8"
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("model.network.sgone, model.training.train", "fastapi"),
        ("service.app, model.executors.openvino", "torch"),
        ("model.executors.openvino", "openvino_telemetry.main"),
    ],
)
def test_importing_brings_nothing_that_is_not_needed(imported, absent):
    code = f"import sys, {imported}; print({absent!r} in sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert finished.stdout.strip() == "False"
