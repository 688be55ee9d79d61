"""Results to Markdown: the generated part of docs/reference/benchmarks.md."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plan import DEADLINE_S, STANDARD

BEGIN = "<!-- begin: written by make bench -->"
END = "<!-- end: written by make bench -->"
TITLES = {tier.name: tier.title for tier in STANDARD.tiers}
# Of a reply without a status of its own.
STATUS_NAMES = {"0": "connection lost", "-1": "client gave up"}
LATENCY_CLIENTS = "2"

Results = Mapping[str, Any]


def insert(document: Path, text: str) -> None:
    """Put the text between the document's markers."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def report(results: Results) -> str:
    """Every table, under its heading."""
    sections = {
        "Conditions": conditions(results),
        "Throughput": throughput(results),
        "Latency": latency(results),
        "More than can be done": open_loop(results),
        "Start, memory, stop": lives(results),
        "Without HTTP": engine(results),
    }
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in sections.items() if text)


def conditions(results: Results) -> str:
    """What the figures depend on, and how far the load generator disturbs them."""
    facts, machine = results["conditions"], results["conditions"]["machine"]
    shape, versions = facts["shape"], facts["versions"]
    loads = [
        window["load_cpu"]["median"]
        for tier in results["tiers"].values()
        for loads in tier.values()
        for window in loads.values()
    ]
    rows = [
        (
            "Machine",
            f"{machine['processor']}, {machine['cores']} cores, "
            f"{machine['memory_bytes'] / 2**30:.0f} GiB; {machine['system']}",
        ),
        (
            "Versions",
            f"Python {machine['python']}, "
            + ", ".join(f"{name} {number}" for name, number in versions.items()),
        ),
        (
            "Each peer",
            f"{shape['workers']} process(es) with the network, "
            f"{shape['threads']} threads a forward pass",
        ),
        (
            "Commit",
            f"`{facts['commit']}`, plan {facts['plan']}, "
            f"{results.get('seconds', 0) / 60:.0f} minutes",
        ),
        (
            "Load generator",
            f"at most {max(loads, default=0):.0%} of one core (median of a peer's windows)",
        ),
    ]
    return table(("", ""), rows)


def throughput(results: Results) -> str:
    """Right replies a second by tier and clients."""
    loads = [
        (tier, clients)
        for tier, peers in results["tiers"].items()
        if tier != "open"
        for clients in next(iter(peers.values()))
    ]
    if not loads:
        return ""
    names = results["conditions"]["peers"]
    rows = [
        [f"{TITLES[tier]}, {load} cl.", *(cell(results, rate, tier, name, load) for name in names)]
        for tier, load in loads
    ]
    text = "Right replies a second, by number of clients: median (quartiles) over rounds.\n\n"
    return text + table(["", *names.values()], rows)


def cell(results: Results, write: Callable[[Results], str], tier: str, peer: str, load: str) -> str:
    """A dash for a peer that did not start."""
    loads = results["tiers"][tier].get(peer)
    return write(loads[load]) if loads else "-"


def rate(window: Results) -> str:
    """``12.3 (12.1-12.6)``."""
    values = window["throughput"]
    return f"{values['median']:.1f} ({values['q1']:.1f}-{values['q3']:.1f})"


def latency(results: Results) -> str:
    """p50, p95 and p99 of each closed tier at two clients."""
    names = results["conditions"]["peers"]
    rows = [
        [
            TITLES[tier],
            *(cell(results, percentiles, tier, name, LATENCY_CLIENTS) for name in names),
        ]
        for tier in results["tiers"]
        if tier != "open"
    ]
    text = f"Milliseconds at {LATENCY_CLIENTS} clients: p50 / p95 / p99 of all requests.\n\n"
    return text + table(["", *names.values()], rows) if rows else ""


def percentiles(window: Results) -> str:
    """``80 / 95 / 110``."""
    values = window["latency_ms"].values()
    return " / ".join(f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in values) or "-"


def open_loop(results: Results) -> str:
    """Arrivals at shares of our capacity."""
    peers = results["tiers"].get("open", {})
    rows = [
        [
            results["conditions"]["peers"][name],
            share,
            f"{window['offered']['median']:.1f}",
            f"{window['goodput']['median']:.1f}",
            f"{window['timely_share']['median']:.0%}",
            percentiles(window),
            statuses(window),
        ]
        for share in (next(iter(peers.values())) if peers else ())
        for name, loads in peers.items()
        for window in [loads[share]]
    ]
    if not rows:
        return ""
    text = f"Poisson arrivals of fresh supports; each reply is wanted within {DEADLINE_S:g} s.\n\n"
    header = (
        "",
        "of our capacity",
        "offered /s",
        "in time /s",
        "in time",
        "ms of replies",
        "other",
    )
    return text + table(header, rows)


def statuses(window: Results) -> str:
    """What else than 200 came, as shares of all requests."""
    total = window["requests"]
    return ", ".join(
        f"{STATUS_NAMES.get(status, status)} {number / total:.0%}"
        for status, number in sorted(window["statuses"].items())
        if status != "200"
    )


def lives(results: Results) -> str:
    """Start, memory and end of every peer, over all modes."""
    rows = []
    for name, title in results["conditions"]["peers"].items():
        found = [
            p[name]
            for p in results["peers"].values()
            if "failed" not in p.get(name, {"failed": ""})
        ]
        if not found:
            continue
        last = found[-1]
        stops = [stop for life in found for stop in life.get("stops", ())]
        rows.append(
            [
                title,
                f"{middle(life['ready_s'] for life in found):.1f}",
                f"{middle(life['first_reply_s'] for life in found):.1f}",
                mebibytes(last["memory_ready_bytes"]),
                growth(last),
                str(len(stops)),
                fate(stop["sigterm"] for stop in stops),
                ", ".join(sorted({str(stop["exit_code"]) for stop in stops})),
                f"{middle(stop['stop_s'] for stop in stops):.1f}",
            ]
        )
    header = (
        "",
        "ready, s",
        "first reply, s",
        "MiB when ready",
        "MiB after requests",
        "SIGTERMs",
        "under way then: answered / refused / lost",
        "exit code",
        "gone after, s",
    )
    return table(header, rows) if rows else ""


def growth(life: Results) -> str:
    """``510 after 300, 512 after 2300``."""
    end = f"{mebibytes(life['memory_end_bytes'])} after {life['requests']}"
    if "early_requests" not in life:
        return end
    return f"{mebibytes(life['early_memory_bytes'])} after {life['early_requests']}, {end}"


def fate(stops: Iterable[Mapping[str, int]]) -> str:
    """``8 / 0 / 0 of 8``."""
    sums: Counter[str] = Counter()
    for stop in stops:
        sums.update(stop)
    return f"{sums['answered']} / {sums['refused']} / {sums['lost']} of {sums['under_way']}"


def middle(values: Iterable[float]) -> float:
    """The median."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def mebibytes(number: float) -> str:
    """Of bytes."""
    return f"{number / 2**20:.0f}"


def engine(results: Results) -> str:
    """The query pass and the whole request, without HTTP."""
    if "engine" not in results:
        return ""
    rows = [
        [
            network,
            size,
            milliseconds(times["ours"]),
            milliseconds(times["openvino"]),
            f"{times['largest_difference']:.1g}",
        ]
        for network, sizes in results["engine"]["query_pass"].items()
        for size, times in sizes.items()
    ]
    passes = table(
        ("network", "size", "our executor, ms", "OpenVINO alone, ms", "logits differ by"), rows
    )
    request = results["engine"]["request_vgg16"]
    sentences = [
        "The query pass, its support encoded before: median (quartiles).\n\n" + passes,
        "A whole one-shot request (500x375 JPEG, VGG-16, bytes to mask): "
        f"{milliseconds(request['ours'])} ms; the reference's way (eager, NCHW, 512 channels "
        f"resized to the mask): {milliseconds(request['reference'])} ms. "
        f"IoU of their masks: {request['iou']:.4f}.",
    ]
    ours = next(iter(results["tiers"].get("fresh", {}).values()), None)
    if ours and ours["1"]["service_less_engine_ms"]:
        values = " / ".join(f"{v:.1f}" for v in ours["1"]["service_less_engine_ms"].values())
        sentences.append(
            "Our service's time outside the network and its queue, one client, fresh supports "
            f"(receive, decode, render, send; measured by the client): {values} ms "
            "(p50 / p95 / p99)."
        )
    return "\n\n".join(sentences)


def milliseconds(values: Mapping[str, float]) -> str:
    """``12.3 (12.1-12.6)``."""
    return f"{values['median']:.1f} ({values['q1']:.1f}-{values['q3']:.1f})"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
