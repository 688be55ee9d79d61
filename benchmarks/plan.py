"""What is measured, and for how long: tiers, modes, loads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = ROOT / "results" / "benchmarks"

# The photographs of the timed tiers, and those of the tier that times frameworks.
LARGE = (375, 500)
# The network's side where only the framework is timed, and so its photographs' own: nothing is
# resized there.
FIXED_SIDE = 33
TINY = (FIXED_SIDE, FIXED_SIDE)
DEADLINE_S = 1.0
# A client hangs up so long after its deadline: a refusal that comes in time is still counted.
GRACE_S = 0.25
LEAST_IOU = 0.98
CACHE_BYTES = 64 * 1024 * 1024

Workload = Literal["tiny", "fresh", "repeated", "kshot"]


@dataclass(frozen=True)
class Mode:
    """How a peer is started. ``timeout_s`` is its own limit of one request's time.

    With ``stopped`` its peers are ended by SIGTERM under load, which is measured.
    """

    name: str
    fixed: bool = False
    cache_bytes: int = 0
    timeout_s: float = 60.0
    stopped: bool = False


FRAMEWORK = Mode("framework", fixed=True)
PLAIN = Mode("plain", stopped=True)
DEADLINE = Mode("deadline", timeout_s=DEADLINE_S)
CACHED = Mode("cached", cache_bytes=CACHE_BYTES, stopped=True)


@dataclass(frozen=True)
class Tier:
    """One question, asked of each peer in each round.

    ``shares`` are arrival rates as shares of our own capacity; a closed loop has ``clients``.
    """

    name: str
    title: str
    mode: Mode
    workload: Workload
    seconds: float
    clients: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Plan:
    """``photographs``: different requests of a workload. Of ours and of a peer: ``soak``, requests
    before memory is read for the last time; ``stops``, ends by SIGTERM under load in a mode.
    """

    name: str
    rounds: int
    photographs: int
    soak: tuple[int, int]
    stops: tuple[int, int]
    tiers: tuple[Tier, ...]
    engine_rounds: int


def _tiers(scale: float, open_s: float, open_mode: Mode) -> tuple[Tier, ...]:
    every, both = (1, 2, 8), (2,)
    return (
        Tier("framework", "framework only", FRAMEWORK, "tiny", 1.0 * scale, every),
        Tier("fresh", "1 shot, fresh supports", PLAIN, "fresh", 2.5 * scale, every),
        Tier("repeated", "1 shot, one support", PLAIN, "repeated", 2.0 * scale, both),
        Tier("kshot", "5 shots", PLAIN, "kshot", 2.5 * scale, both),
        Tier("open", "open loop", open_mode, "fresh", open_s, shares=(0.5, 0.9, 1.5)),
        Tier("cached", "1 shot, one support, cache", CACHED, "repeated", 1.5 * scale, every),
    )


STANDARD = Plan("standard", 5, 40, (2000, 100), (10, 1), _tiers(1.0, 2.5, DEADLINE), 15)
# A start costs more than a window: the peers' own time limits are left out.
QUICK = Plan("quick", 1, 6, (40, 10), (2, 1), _tiers(0.3, 1.5, PLAIN), 1)
# Where a request takes a few milliseconds: what is between network and client counts.
GPU = Plan(
    "gpu",
    3,
    40,
    (100, 100),
    (1, 1),
    (
        Tier("fresh", "1 shot, fresh supports", PLAIN, "fresh", 1.0, (1, 2, 8, 32)),
        Tier("kshot", "5 shots", PLAIN, "kshot", 1.0, (2, 8)),
        Tier("cached", "1 shot, one support, cache", CACHED, "repeated", 1.0, (1, 2, 8, 32)),
    ),
    1,
)
PLANS = {plan.name: plan for plan in (STANDARD, QUICK, GPU)}
