"""Installs a lock file into this Python's environment, and shows what it does and what is left.

pip's own lines come by the hundred, or not at all.
"""

import itertools
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from pip._vendor.packaging.requirements import Requirement

BEGUN = re.compile(r"(?:Collecting ([\w.-]+)==|Processing \S*/([\w.]+)-)([\w.]+)")
SIZE = re.compile(r"(?:Downloading|Using cached) \S+ \((.+)\)")
TICK_SECONDS = 0.2


def main(lock: Path, options: list[str]) -> int:
    """pip's exit status; its output is shown where it fails."""
    total = sum(1 for _ in pinned(lock.read_text(encoding="utf-8")))
    print(f"Installing {total} packages of {lock.name}", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    process = subprocess.Popen(
        [*command, *options, "--requirement", str(lock)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    output = list(follow(process, total, Screen()))
    if process.wait():
        print("".join(output[-30:]), file=sys.stderr)
    return process.returncode


def pinned(lock: str) -> Iterator[Requirement]:
    """Yield what of a lock file is for this Python and system."""
    for line in filter(None, map(str.strip, lock.splitlines())):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement


class Screen:
    """One line that is written over; where nobody looks on, a line for each step."""

    def __init__(self) -> None:
        self.started, self._shown = time.monotonic(), ""
        self._over = sys.stdout.isatty()

    def show(self, what: str) -> None:
        """Say what is under way; the seconds tell that it is."""
        if self._over:
            print(f"\r\033[K{what}  {time.monotonic() - self.started:.0f} s", end="", flush=True)
        elif what.partition(" (")[0] != self._shown:
            print(what, flush=True)
        self._shown = what.partition(" (")[0]

    def end(self, what: str) -> None:
        """The last word."""
        self.show(f"{what} in {time.monotonic() - self.started:.0f} s")
        print(flush=True)


def follow(process: subprocess.Popen[str], total: int, screen: Screen) -> Iterator[str]:
    """Show pip's steps and yield its lines."""
    lines: Queue[str | None] = Queue()
    Thread(target=_read, args=(process, lines), daemon=True).start()
    before, number, what, installing = _installed(), 0, "starting", False
    while True:
        try:
            line = lines.get(timeout=TICK_SECONDS)
        except Empty:
            line = ""
        if line is None:
            break
        if line:
            yield line
        if begun := BEGUN.match(line):
            name, version = begun[1] or begun[2], begun[3]
            number, what = number + 1, f"fetching {name} {version}"
        elif (size := SIZE.search(line)) and "(" not in what:
            what += f" ({size[1]})"
        installing |= line.startswith("Installing collected")
        if installing:
            number, what = min(total, _installed() - before), "unpacking"
        screen.show(f"[{number:3}/{total}] {what}")
    screen.end(f"[{_installed() - before:3}/{total}] installed")


def _read(process: subprocess.Popen[str], lines: "Queue[str | None]") -> None:
    for line in itertools.chain(process.stdout or (), [None]):
        lines.put(line)


def _installed() -> int:
    return len(list(Path(sysconfig.get_path("purelib")).glob("*.dist-info")))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
