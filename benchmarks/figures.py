"""Records of requests to figures: rates, percentiles, shares, spreads."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from plan import LEAST_IOU

Record = Mapping[str, Any]
PERCENTILES = (50, 95, 99)


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median and quartiles over rounds."""
    low, median, high = np.percentile(list(values), (25, 50, 75))
    return {"median": float(median), "q1": float(low), "q3": float(high)}


def closed_window(records: Sequence[Record], cpu: Mapping[str, float]) -> dict[str, Any]:
    """One closed-loop window of one peer.

    Requests sent within the window all finish, and the clock stops with the last: no request is
    cut, and a slow peer's count is not rounded down.
    """
    elapsed = max(r["end"] for r in records) - min(r["due"] for r in records)
    good = [r for r in records if is_right(r)]
    return {
        "throughput": len(good) / elapsed,
        "latencies_ms": [latency_ms(r) for r in good],
        **_common(records, cpu, elapsed),
    }


def open_window(
    records: Sequence[Record], cpu: Mapping[str, float], seconds: float, deadline_s: float
) -> dict[str, Any]:
    """One window of arrivals: goodput counts right replies within the deadline."""
    good = [r for r in records if is_right(r)]
    timely = [r for r in good if r["end"] - r["due"] <= deadline_s]
    elapsed = max(r["end"] for r in records) - min(r["due"] for r in records)
    return {
        "offered": len(records) / seconds,
        "goodput": len(timely) / seconds,
        "timely_share": len(timely) / len(records),
        "latencies_ms": [latency_ms(r) for r in good],
        **_common(records, cpu, elapsed),
    }


def _common(records: Sequence[Record], cpu: Mapping[str, float], elapsed: float) -> dict[str, Any]:
    wrong = sum(r["status"] == 200 and not is_right(r) for r in records)
    ious = [r["iou"] for r in records if r["iou"] is not None]
    return {
        "requests": len(records),
        "statuses": dict(Counter(str(r["status"]) for r in records)),
        "wrong_masks": wrong,
        "least_iou": min(ious, default=None),
        "load_cpu": cpu["load_s"] / elapsed,
        "server_cpu": cpu["server_s"] / elapsed,
        "service_less_engine_ms": [t for r in records if (t := _around_engine(r)) is not None],
    }


def over_rounds(windows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A peer's windows of one load -> medians with spread; percentiles over all its requests."""
    latencies = [ms for window in windows for ms in window["latencies_ms"]]
    statuses: Counter[str] = Counter()
    for window in windows:
        statuses.update(window["statuses"])
    around = [ms for window in windows for ms in window["service_less_engine_ms"]]
    rates = ("throughput", "goodput", "offered", "timely_share", "load_cpu", "server_cpu")
    return {
        **{name: spread(w[name] for w in windows) for name in rates if name in windows[0]},
        "latency_ms": percentiles(latencies),
        "latency_p50_ms": spread(
            percentiles(w["latencies_ms"]).get("p50", np.nan) for w in windows
        ),
        "service_less_engine_ms": percentiles(around),
        "requests": sum(window["requests"] for window in windows),
        "statuses": dict(statuses),
        "wrong_masks": sum(window["wrong_masks"] for window in windows),
        "least_iou": min((w["least_iou"] for w in windows if w["least_iou"]), default=None),
        "rounds": len(windows),
    }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99; nothing of nothing."""
    if not values:
        return {}
    found = np.percentile(values, PERCENTILES)
    return {f"p{share}": float(value) for share, value in zip(PERCENTILES, found, strict=True)}


def latency_ms(record: Record) -> float:
    """From the moment when it was due, so that a late sender hides nothing."""
    return float(record["end"] - record["due"]) * 1e3


def is_right(record: Record) -> bool:
    """Answered 200 with the mask that it should have."""
    return record["status"] == 200 and record["iou"] is not None and record["iou"] > LEAST_IOU


def after_sigterm(records: Sequence[Record], moment: float) -> dict[str, int]:
    """What became of the requests that were under way at SIGTERM."""
    under_way = [r for r in records if r["due"] < moment < r["end"]]
    answered = sum(r["status"] == 200 for r in under_way)
    lost = sum(r["status"] <= 0 for r in under_way)
    return {
        "under_way": len(under_way),
        "answered": answered,
        "refused": len(under_way) - answered - lost,
        "lost": lost,
    }


def _around_engine(record: Record) -> float | None:
    """Milliseconds of a request outside the network and its queue, where the server tells."""
    stages = record["server_ms"]
    if record["status"] != 200 or "segment" not in stages:
        return None
    inside = sum(stages.get(name, 0.0) for name in ("queue", "encode", "segment"))
    return latency_ms(record) - float(inside)
