"""The tiers, mode by mode: peers are started once, and measured in turn, round after round."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from figures import after_sigterm, closed_window, open_window, over_rounds
from load import Order
from peers import OURS, Peer, Shape
from plan import CACHED, DEADLINE_S, GRACE_S, HERE, Mode, Plan, Tier
from server import Server, StartError

# Requests that warm a peer up once it is there, and one more after each pause.
WARM_UP = 6
STOP_CLIENTS = 8
STOP_AFTER_S = 1.5
# Of a request that a stopping server never answers.
STOP_TIMEOUT_S = 8.0
SETTLE_S = 0.3
OUR_CAPACITY = "fresh", "8"

Results = dict[str, Any]


class Generator:
    """The load generator's process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "load.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def begin(self, order: Order) -> None:
        """Hand over an order; ``finish`` waits for its records."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()

    def finish(self) -> dict[str, Any]:
        """The records of the order that was begun."""
        assert self._process.stdout is not None
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        return result

    def run(self, order: Order) -> dict[str, Any]:
        """Both."""
        self.begin(order)
        return self.finish()

    def close(self) -> None:
        """Its input ends, and so does it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Contest:
    """``results`` grows by a tier at a time, and ``save`` is called after each."""

    def __init__(
        self,
        plan: Plan,
        shape: Shape,
        peers: Sequence[Peer],
        folder: Path,
        results: Results,
        save: Callable[[], None],
    ) -> None:
        self.plan, self.shape, self.peers, self.folder = plan, shape, peers, folder
        self.results, self.save = results, save
        self.generator = Generator()
        self.begun = time.monotonic()

    def run(self) -> None:
        """Every mode of which a tier is missing."""
        try:
            for mode in dict.fromkeys(tier.mode for tier in self.plan.tiers):
                self._run_mode(mode)
        finally:
            self.generator.close()

    def _run_mode(self, mode: Mode) -> None:
        tiers = [tier for tier in self.plan.tiers if tier.mode is mode]
        missing = [tier for tier in tiers if tier.name not in self.results["tiers"]]
        ended = mode.name in self.results["peers"]
        if not missing and ended:
            return
        with self._started(mode, tiers[0]) as (servers, report):
            for tier in missing:
                self.results["tiers"][tier.name] = self._measure(tier, servers)
                self.save()
            for server in servers:
                report[server.peer.name] |= self._end(server, tiers[0])
        self.results["peers"][mode.name] = report
        self.save()

    @contextmanager
    def _started(self, mode: Mode, tier: Tier) -> Iterator[tuple[list[Server], Results]]:
        """One after the other, each paused as soon as it is warm; none outlives the block."""
        servers: list[Server] = []
        report: Results = {}
        body = self._first_body(tier)
        try:
            for peer in self.peers:
                server = Server(peer, mode, self.shape, self.folder)
                servers.append(server)
                report[peer.name] = self._begin(server, tier, body)
            # One that does not come up is left out: the others' figures are worth having.
            yield [s for s in servers if "failed" not in report[s.peer.name]], report
        finally:
            for server in servers:
                server.kill()

    def _begin(self, server: Server, tier: Tier, body: bytes) -> Results:
        name = f"{server.mode.name}: {server.peer.title}"
        try:
            report: Results = server.wait_ready(body)
        except StartError as error:
            self._say(str(error))
            server.kill()
            return {"failed": str(error)}
        report["memory_ready_bytes"] = server.memory_bytes()
        self._say(f"{name} in {report['first_reply_s']:.1f} s")
        self._send(server, tier, seconds=60, clients=2, limit=WARM_UP)
        server.pause()
        return report

    def _measure(self, tier: Tier, servers: Sequence[Server]) -> Results:
        """Interleaved: in each round every peer, and each round begins with the next of them."""
        windows: dict[str, dict[str, list[Results]]] = {s.peer.name: {} for s in servers}
        for number in range(self.plan.rounds):
            first = number % len(servers)
            for server in (*servers[first:], *servers[:first]):
                with running(server):
                    self._send(server, tier, seconds=60, clients=1, limit=1)
                    for load, window in self._windows(server, tier, number):
                        windows[server.peer.name].setdefault(load, []).append(window)
            self._say(f"{tier.name}: round {number + 1} of {self.plan.rounds}")
        return {
            name: {load: over_rounds(rounds) for load, rounds in loads.items()}
            for name, loads in windows.items()
        }

    def _windows(self, server: Server, tier: Tier, number: int) -> Iterator[tuple[str, Results]]:
        """One window of each of the tier's loads."""
        for clients in tier.clients:
            records, cpu = self._send(server, tier, seconds=tier.seconds, clients=clients)
            yield str(clients), closed_window(records, cpu)
        for share in tier.shares:
            # Long enough for a queue to pass the deadline where more comes than can be done.
            seconds = tier.seconds * (2 if share > 1 else 1)
            records, cpu = self._send(
                server,
                tier,
                seconds=seconds,
                rate=share * self._our_capacity(),
                deadline_s=DEADLINE_S,
                timeout_s=DEADLINE_S + GRACE_S,
                first=number,
            )
            yield f"{share:.0%}", open_window(records, cpu, seconds, DEADLINE_S)
            self._settle(server)

    def _send(
        self, server: Server, tier: Tier, **order: Any
    ) -> tuple[list[Results], dict[str, float]]:
        order.setdefault("first", server.requests)
        used = server.cpu_seconds()
        result = self.generator.run(self._order(server, tier, **order))
        server.requests += len(result["records"])
        server_s = server.cpu_seconds() - used
        return result["records"], {"load_s": result["cpu_s"], "server_s": server_s}

    def _order(self, server: Server, tier: Tier, **order: Any) -> Order:
        k_shot = tier.workload == "kshot"
        path = server.peer.k_shot_path if k_shot else "/segment"
        return Order(f"{server.url}{path}", str(self.folder / tier.workload), **order)

    def _first_body(self, tier: Tier) -> bytes:
        return (self.folder / tier.workload / "0.body").read_bytes()

    def _settle(self, server: Server) -> None:
        """Wait until what clients have given up is worked off."""
        used = server.cpu_seconds()
        for _ in range(30):
            time.sleep(SETTLE_S)
            now = server.cpu_seconds()
            if now - used < 0.2 * SETTLE_S:
                return
            used = now

    def _our_capacity(self) -> float:
        tier, load = OUR_CAPACITY
        measured = self.results["tiers"][tier]
        name = OURS.name if OURS.name in measured else next(iter(measured))
        return float(measured[name][load]["throughput"]["median"])

    def _end(self, server: Server, tier: Tier) -> Results:
        """Memory after the tier's requests, and more of them with the cache on; then SIGTERM."""
        server.resume()
        report: Results = {}
        if tier.mode is CACHED:
            wanted = _of(self.plan.soak, server.peer)
            report |= {
                "early_memory_bytes": server.memory_bytes(),
                "early_requests": server.requests,
            }
            self._send(server, tier, seconds=600, clients=2, limit=wanted)
        report |= {"memory_end_bytes": server.memory_bytes(), "requests": server.requests}
        if tier.mode.stopped:
            report["stops"] = [self._stop(server, tier)]
            again = _of(self.plan.stops, server.peer) - 1
            report["stops"] += [self._start_and_stop(server.peer, tier) for _ in range(again)]
        return report

    def _start_and_stop(self, peer: Peer, tier: Tier) -> Results:
        server = Server(peer, tier.mode, self.shape, self.folder)
        try:
            server.wait_ready(self._first_body(tier))
            return self._stop(server, tier)
        finally:
            server.kill()

    def _stop(self, server: Server, tier: Tier) -> Results:
        """SIGTERM under load."""
        order = self._order(
            server,
            tier,
            seconds=STOP_AFTER_S + STOP_TIMEOUT_S,
            clients=STOP_CLIENTS,
            timeout_s=STOP_TIMEOUT_S,
            until_refused=True,
        )
        self.generator.begin(order)
        time.sleep(STOP_AFTER_S)
        moment = server.terminate()
        records = self.generator.finish()["records"]
        fate = after_sigterm(records, moment)
        self._say(f"{tier.mode.name}: {server.peer.title} stopped, {fate}")
        return {"sigterm": fate, **server.wait_gone()}

    def _say(self, line: str) -> None:
        print(f"{time.monotonic() - self.begun:6.0f} s  {line}", flush=True)


def _of(ours_and_peers: tuple[int, int], peer: Peer) -> int:
    ours, peers = ours_and_peers
    return ours if peer is OURS else peers


@contextmanager
def running(server: Server) -> Iterator[None]:
    """Awake in the block alone."""
    server.resume()
    try:
        yield
    finally:
        server.pause()
