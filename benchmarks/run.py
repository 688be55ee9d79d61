"""Our service against its peers: one command, its results kept after every tier.

``make bench`` runs it; docs/benchmark-method.md says what it measures and how.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from contest import Contest
from peers import OURS, PEERS, Peer, Shape, environment
from plan import FRAMEWORK, HERE, PLAIN, PLANS, RESULTS, Mode, Plan, Workload
from publish import publish
from server import commit

WORKLOADS: dict[Mode, tuple[Workload, ...]] = {
    FRAMEWORK: ("tiny",),
    PLAIN: ("fresh", "repeated", "kshot"),
}
PACKAGES = ("torch", "openvino", "numpy", "pillow", "starlette", "pydantic", "uvicorn", "aiohttp")


def main() -> None:
    """Measure what the results do not hold yet, then write table and picture."""
    options = read_options()
    plan, shape = PLANS[options.plan], Shape(options.workers, options.threads)
    peers = [peer for peer in PEERS if not options.peer or peer.name in options.peer]
    name = f"{plan.name}-{shape.workers}x{shape.threads}"
    folder = RESULTS / name
    folder.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    results = open_results(path, options.fresh, describe(plan, shape, peers))
    # A supervisor's SIGTERM ends the peers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    started = time.monotonic()
    with only_run(folder):
        prepare(folder, plan, shape)
        contest = Contest(plan, shape, peers, folder, results, lambda: write(path, results))
        contest.run()
        if not options.no_engine and "engine" not in results:
            results |= measure_engine(plan, shape)
            write(path, results)
    results["seconds"] = results.get("seconds", 0) + time.monotonic() - started
    write(path, results)
    publish(results, path)
    print(f"{path} is complete after {results['seconds'] / 60:.1f} minutes")


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", choices=PLANS, default="standard")
    parser.add_argument("--quick", dest="plan", action="store_const", const="quick")
    parser.add_argument("--peer", action="append", help="only this peer; may be repeated")
    parser.add_argument("--workers", type=int, default=1, help="processes that hold the network")
    parser.add_argument("--threads", type=int, default=2, help="threads of one process's pass")
    parser.add_argument("--fresh", action="store_true", help="forget the results that are there")
    parser.add_argument("--no-engine", action="store_true", help="leave out the engine tier")
    return parser.parse_args()


def describe(plan: Plan, shape: Shape, peers: Sequence[Peer]) -> dict[str, Any]:
    """All that the figures depend on."""
    return {
        "commit": commit(),
        "command": " ".join(["python", *sys.argv]),
        "plan": plan.name,
        "shape": {"workers": shape.workers, "threads": shape.threads},
        "peers": {peer.name: peer.title for peer in peers},
        "versions": dict(versions((*(peer.package for peer in peers), *PACKAGES))),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "system": platform.platform(),
            "python": platform.python_version(),
        },
    }


def versions(packages: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Of those that are installed: OpenVINO need not be."""
    for name in packages:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def processor() -> str:
    """As the system names it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def open_results(path: Path, fresh: bool, conditions: dict[str, Any]) -> dict[str, Any]:
    """Those of an interrupted run under the same conditions, or none."""
    if path.exists() and not fresh:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if results["conditions"] == conditions | {"command": results["conditions"]["command"]}:
            print(f"going on with {path}")
            return results
        print(f"{path} is of another commit, plan or machine; starting anew")
    return {"conditions": conditions, "tiers": {}, "peers": {}}


def write(path: Path, results: dict[str, Any]) -> None:
    """In one step: a kill leaves the old file."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=1), encoding="utf-8")
    temporary.replace(path)


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Two runs at once would measure each other."""
    lock = folder / "running.pid"
    if lock.exists() and psutil.pid_exists(int(lock.read_text(encoding="utf-8"))):
        sys.exit(f"another run ({lock.read_text(encoding='utf-8')}) is at work; wait for its end")
    lock.write_text(str(os.getpid()), encoding="utf-8")
    try:
        yield
    finally:
        lock.unlink()


def prepare(folder: Path, plan: Plan, shape: Shape) -> None:
    """Requests and references, unless an interrupted run has left them."""
    for mode, workloads in WORKLOADS.items():
        missing = [
            w for w in workloads if not (folder / w / f"{plan.photographs - 1}.png").exists()
        ]
        if missing:
            print(f"drawing requests: {', '.join(missing)}", flush=True)
            command = [
                sys.executable,
                str(HERE / "photographs.py"),
                str(folder),
                plan.name,
                *missing,
            ]
            subprocess.run(command, env=environment(OURS, mode, shape, folder), check=True)


def measure_engine(plan: Plan, shape: Shape) -> dict[str, Any]:
    """The tier without HTTP, in a process of its own; nothing where that fails."""
    print("engine", flush=True)
    rounds, threads = str(plan.engine_rounds), str(shape.threads)
    command = [sys.executable, str(HERE / "engine_tier.py"), rounds, threads]
    done = subprocess.run(
        command,
        env=environment(OURS, PLAIN, shape, RESULTS),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        print("the engine tier has failed; the same command tries it again")
        return {}
    return {"engine": json.loads(done.stdout)}


if __name__ == "__main__":
    main()
