"""The release checklist tells a repository that is ready from one that is not."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from checklist import (
    CheckError,
    SkippedError,
    check_changelog,
    check_commit,
    check_container,
    check_openapi,
    check_tests,
    check_version,
    check_weights,
    run,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One that is ready for release 1.2.3."""
    weights = b"weights"
    sha256 = hashlib.sha256(weights).hexdigest()
    files = {
        "pyproject.toml": '[project]\nversion = "1.2.3"\n',
        "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2030-12-31\n\n- A\n\n"
        "## 1.2.2 - 2030-11-30\n",
        "docs/openapi.json": json.dumps({"info": {"version": "1.2.3"}}),
        "weights/manifest.toml": f'[[checkpoint]]\nfile = "a.safetensors"\nsha256 = "{sha256}"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "weights/a.safetensors").write_bytes(weights)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_repository_that_is_ready_passes(repository: Path) -> None:
    assert check_changelog(repository) == "1.2.3 - 2030-12-31"
    assert check_version(repository).startswith("1.2.3 in ")
    assert check_weights(repository).startswith("1 files")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("## Unreleased\n", "## Unreleased\n\n- B\n", "Unreleased is not closed"),
        ("## Unreleased\n\n", "", "Unreleased is not closed"),
        ("## 1.2.3 - 2030-12-31", "## 1.2.3", "no release stands below"),
        ("## ", "", "Unreleased is not closed"),
    ],
)
def test_a_changelog_that_is_not_closed_fails(
    repository: Path, old: str, new: str, message: str
) -> None:
    edit(repository / "CHANGELOG.md", old, new)
    with pytest.raises(CheckError, match=message):
        check_changelog(repository)


@pytest.mark.parametrize("file", ["pyproject.toml", "CHANGELOG.md", "docs/openapi.json"])
def test_a_version_of_its_own_fails_by_name(repository: Path, file: str) -> None:
    edit(repository / file, "1.2.3", "1.2.4")
    with pytest.raises(CheckError, match=rf"{file} has 1\.2\.4"):
        check_version(repository)


def test_weights_of_another_hash_fail_by_name(repository: Path) -> None:
    (repository / "weights/a.safetensors").write_bytes(b"others")
    with pytest.raises(CheckError, match=r"does not fit a\.safetensors"):
        check_weights(repository)


def test_weights_that_no_manifest_lists_fail_by_name(repository: Path) -> None:
    (repository / "weights/b.safetensors").write_bytes(b"more")
    with pytest.raises(CheckError, match=r"does not fit b\.safetensors"):
        check_weights(repository)


def test_weights_that_are_missing_fail_by_name(repository: Path) -> None:
    (repository / "weights/a.safetensors").unlink()
    with pytest.raises(CheckError, match=r"does not fit a\.safetensors"):
        check_weights(repository)


def test_what_is_not_committed_fails(repository: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *arguments], cwd=repository, check=True)

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "All")
    assert check_commit(repository).endswith(" All")
    (repository / "new.py").touch()
    with pytest.raises(CheckError, match=r"1 paths are not committed, such as new\.py"):
        check_commit(repository)


@pytest.mark.slow
def test_a_description_that_the_code_does_not_print_fails(tmp_path: Path) -> None:
    for name in ("service", "model"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").mkdir()
    description = shutil.copy(ROOT / "docs/openapi.json", tmp_path / "docs")
    assert check_openapi(tmp_path)
    edit(Path(description), '"operationId": "health"', '"operationId": "wealth"')
    with pytest.raises(CheckError, match="out of date"):
        check_openapi(tmp_path)


def test_without_a_docker_engine_the_container_is_skipped(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(repository))
    monkeypatch.delenv("DOCKER_ENGINE", raising=False)
    with pytest.raises(SkippedError, match="no Docker engine"):
        check_container(repository)


@pytest.mark.parametrize(("status", "passes"), [(0, True), (1, False)])
def test_the_tests_and_the_container_fail_with_their_commands(
    repository: Path, monkeypatch: pytest.MonkeyPatch, status: int, passes: bool
) -> None:
    (repository / "Makefile").write_text(f"check:\n\t@exit {status}\n", encoding="utf-8")
    script = repository / "tests/end_to_end/container.sh"
    script.parent.mkdir(parents=True)
    script.write_text(f"#!/bin/sh\nexit {status}\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("DOCKER_ENGINE", "engine")
    failed = run({"tests": check_tests, "container": check_container}, repository)
    assert failed == ([] if passes else ["tests", "container"])


def test_a_run_prints_a_line_for_each_check_and_names_those_that_failed(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "weights/a.safetensors").unlink()
    failed = run({"changelog": check_changelog, "weights": check_weights}, repository)
    assert failed == ["weights"]
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["ok", "changelog", "1.2.3", "-", "2030-12-31"]
    assert second.startswith("FAILED   weights")
