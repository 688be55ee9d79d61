"""The release checklist, run on a clean clone of the last commit (``make release-check``)."""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
RELEASE = re.compile(r"(\d+\.\d+\.\d+) - \d{4}-\d{2}-\d{2}")


class CheckError(Exception):
    """What stands in the way of the release, in one sentence."""


class SkippedError(Exception):
    """Why a check was not made."""


def check_commit(repository: Path) -> str:
    """Nothing lies beside the last commit, which is what a release is made of."""
    changed = _output("git", "status", "--porcelain", cwd=repository).splitlines()
    if changed:
        raise CheckError(
            f"{len(changed)} paths are not committed, such as {changed[0].split()[-1]}"
        )
    return _output("git", "log", "-1", "--format=%h %s", cwd=repository)


def check_changelog(repository: Path) -> str:
    """Unreleased is empty, and the release below it has its date."""
    text = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    _, *sections = HEADING.split(text)  # heading, text, heading, text
    if sections[:1] != ["Unreleased"] or sections[1].strip():
        raise CheckError("Unreleased is not closed: give what is in it a version and a date")
    if len(sections) < 4 or not RELEASE.fullmatch(sections[2]):
        raise CheckError("no release stands below Unreleased, as in '## 1.2.3 - 2030-12-31'")
    return sections[2]


def check_version(repository: Path) -> str:
    """One version in pyproject.toml, CHANGELOG.md and docs/openapi.json."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    openapi = json.loads((repository / "docs/openapi.json").read_text(encoding="utf-8"))
    released = RELEASE.findall((repository / "CHANGELOG.md").read_text(encoding="utf-8"))
    versions = {
        "pyproject.toml": project["project"]["version"],
        "CHANGELOG.md": released[0] if released else "none",
        "docs/openapi.json": openapi["info"]["version"],
    }
    if len(set(versions.values())) > 1:
        raise CheckError(", ".join(f"{file} has {number}" for file, number in versions.items()))
    return f"{versions['pyproject.toml']} in {', '.join(versions)}"


def check_openapi(repository: Path) -> str:
    """docs/openapi.json is what the code prints."""
    program = "from service.cli import main; main(['openapi'])"
    paths = [str(repository), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    printed = _output(sys.executable, "-c", program, cwd=repository, env=environment)
    if printed != (repository / "docs/openapi.json").read_text(encoding="utf-8").strip():
        raise CheckError(
            "docs/openapi.json is out of date: make install, sgone openapi > docs/openapi.json"
        )
    return "docs/openapi.json is what sgone openapi prints"


def check_weights(repository: Path) -> str:
    """Every checkpoint in weights/ is in its manifest, with its sha256, and the reverse."""
    folder = repository / "weights"
    manifest = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
    listed = {entry["file"]: entry["sha256"] for entry in manifest["checkpoint"]}
    found = {path.name: _sha256(path) for path in folder.glob("*.safetensors")}
    if wrong := sorted(dict(listed.items() ^ found.items())):
        raise CheckError(f"weights/manifest.toml does not fit {', '.join(wrong)}")
    return f"{len(found)} files as weights/manifest.toml lists them"


def check_tests(repository: Path) -> str:
    """`make check` in an environment of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run(["make", "check"], cwd=repository, env=environment, check=False).returncode:
        raise CheckError("make check failed, see above")
    return "make check in a new environment"


def check_container(repository: Path) -> str:
    """The image is built, run and stopped; skipped where no Docker engine runs."""
    if "DOCKER_ENGINE" not in os.environ and not _docker_answers():
        raise SkippedError("no Docker engine answers, and DOCKER_ENGINE names none")
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(repository)}
    script = "tests/end_to_end/container.sh"
    if subprocess.run([script], cwd=repository, env=environment, check=False).returncode:
        raise CheckError(f"{script} failed, see above")
    return script


def run(checks: dict[str, Callable[[Path], str]], repository: Path) -> list[str]:
    """Print a line for each check; the names of those that failed."""
    failed = []
    for name, check in checks.items():
        try:
            verdict, detail = "ok", check(repository)
        except SkippedError as reason:
            verdict, detail = "skipped", str(reason)
        except CheckError as reason:
            verdict, detail = "FAILED", str(reason)
            failed.append(name)
        print(f"{verdict:8} {name:10} {detail}", flush=True)
    return failed


def main() -> None:
    """Exit with 1 where a check failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip-tests", action="store_true", help="leave make check out")
    options = parser.parse_args()
    checks = {
        "changelog": check_changelog,
        "version": check_version,
        "openapi": check_openapi,
        "weights": check_weights,
        "tests": _left_out if options.skip_tests else check_tests,
        "container": check_container,
    }
    failed = run({"commit": check_commit}, ROOT)
    with tempfile.TemporaryDirectory(prefix="sgone-release-") as folder:
        clone = Path(folder) / "clone"
        _output("git", "clone", "--quiet", str(ROOT), str(clone), cwd=ROOT)
        failed += run(checks, clone)
    sys.exit(f"Not ready for a release: {', '.join(failed)}" if failed else 0)


def _left_out(_repository: Path) -> str:
    raise SkippedError("--skip-tests")


def _docker_answers() -> bool:
    try:
        asked = subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _output(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Of a command that succeeds, without the white space around it; else CheckError."""
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise CheckError(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
