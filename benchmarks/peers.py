"""Who is measured, and how each is started: as its own documentation says for best performance."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plan import FIXED_SIDE, HERE, RESULTS, ROOT, Mode
from service.settings import variable_name


@dataclass(frozen=True)
class Shape:
    """The same for every peer: processes that hold the network, and threads of each one's pass."""

    workers: int = 1
    threads: int = 2


@dataclass(frozen=True)
class Peer:
    """``command`` takes port, mode and shape; ``package`` is the one whose version is reported."""

    name: str
    title: str
    package: str
    command: Callable[[int, Mode, Shape], list[str]]
    ready_path: str = "/readyz"
    k_shot_path: str = "/segment"
    environment: tuple[tuple[str, str], ...] = ()


def _script(name: str) -> list[str]:
    return [sys.executable, str(HERE / name)]


def _sgone(port: int, mode: Mode, shape: Shape) -> list[str]:
    workers = [] if shape.workers == 1 else ["--workers", str(shape.workers)]
    command = [sys.executable, "-c", "from service.cli import main; main()", "serve"]
    if mode.fixed:
        command = _script("peer_sgone.py")
    return [*command, "--port", str(port), *workers]


def _fastapi(port: int, mode: Mode, shape: Shape) -> list[str]:
    module = [sys.executable, "-m", "uvicorn", "--factory", "peer_fastapi:create_app"]
    options = ["--port", str(port), "--workers", str(shape.workers), "--no-access-log"]
    return [*module, *options]


def _litserve(port: int, mode: Mode, shape: Shape) -> list[str]:
    return [*_script("peer_litserve.py"), str(port)]


def _bentoml(port: int, mode: Mode, shape: Shape) -> list[str]:
    module = [sys.executable, "-m", "bentoml", "serve", "peer_bentoml:Segment"]
    return [*module, "--host", "127.0.0.1", "--port", str(port), "--working-dir", str(HERE)]


def _mosec(port: int, mode: Mode, shape: Shape) -> list[str]:
    options = ["--address", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    return [*_script("peer_mosec.py"), *options, "--timeout", str(round(mode.timeout_s * 1e3))]


def _ray(port: int, mode: Mode, shape: Shape) -> list[str]:
    return [*_script("peer_ray.py"), str(port)]


OURS = Peer("sgone", "SG-One Service", "sg-one-service", _sgone, k_shot_path="/segment/kshot")
PEERS = (
    OURS,
    Peer("fastapi", "FastAPI + uvicorn", "fastapi", _fastapi),
    Peer("litserve", "LitServe", "litserve", _litserve, ready_path="/health"),
    Peer(
        "bentoml",
        "BentoML",
        "bentoml",
        _bentoml,
        environment=(("BENTOML_DO_NOT_TRACK", "True"),),
    ),
    Peer("mosec", "mosec", "mosec", _mosec, ready_path="/"),
    Peer(
        "ray",
        "Ray Serve",
        "ray",
        _ray,
        ready_path="/segment",
        environment=(
            ("RAY_SERVE_THROUGHPUT_OPTIMIZED", "1"),
            # Of 30 s, in which a load balancer would turn away; here none is waited for.
            ("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", "2"),
            ("RAY_USAGE_STATS_ENABLED", "0"),
        ),
    ),
)


def environment(peer: Peer, mode: Mode, shape: Shape, folder: Path) -> dict[str, str]:
    """What the peer's process is given: one network file, precision and number of threads."""
    # The network as prepared for this processor is one folder for all.
    settings: dict[str, object] = {"threads": shape.threads, "cache_dir": RESULTS / "prepared"}
    if mode.fixed:
        settings["input_side"] = FIXED_SIDE
    settings["prototype_cache_bytes"] = mode.cache_bytes
    if peer is OURS:
        settings["database_url"] = f"sqlite:///{folder / 'supports.sqlite3'}"
    own = {name: value for name, value in os.environ.items() if not name.startswith("SGONE_")}
    return {
        **own,
        **{variable_name(name): str(value) for name, value in settings.items()},
        **dict(peer.environment),
        # Ours sets it itself: beside another busy process, threads that wait for each other in a
        # loop make a request last seconds. Its peers are spared that too.
        "OMP_WAIT_POLICY": "passive",
        "OPENBLAS_NUM_THREADS": "1",
        # numpy's products too: Ray gives its workers one thread, and nobody else says a number.
        "OMP_NUM_THREADS": str(shape.threads),
        "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}",
        "BENCH_FIXED": str(int(mode.fixed)),
        "BENCH_WORKERS": str(shape.workers),
        "BENCH_TIMEOUT_S": str(mode.timeout_s),
    }
