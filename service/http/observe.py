"""What operators see of every request: its id, its times, metrics and the access log."""

import logging
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.problems import problem_response
from service.metrics.logs import ACCESS
from service.metrics.telemetry import Telemetry

_PROBES = ("/healthz", "/readyz", "/metrics")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# An IPv6 address with the name of its interface has at most 61 characters.
_MAX_ADDRESS = 64
_log = logging.getLogger(__name__)
_access_log = logging.getLogger(ACCESS)


class Timings(dict[str, float]):
    """Seconds that a request took for each stage, by the stage's name in STAGES."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block, unless it raises."""
        started = time.perf_counter()
        yield
        self[name] = time.perf_counter() - started

    def header(self) -> str:
        """The value of the header Server-Timing, in milliseconds."""
        return ", ".join(f"{name};dur={seconds * 1e3:.1f}" for name, seconds in self.items())


class Observe:
    """The outermost ASGI middleware: gives each request an id, times, counts and logs it.

    An exception that nothing else has handled becomes a generic 500; the log has its traceback.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self.app = app
        self.telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        observed = _Observed(scope, send)
        try:
            await self.app(scope, receive, observed.send)
        except Exception as error:
            _log.exception("request failed", extra={"request_id": observed.request_id})
            if observed.status:
                raise
            await problem_response(scope, error)(scope, receive, observed.send)
        finally:
            self._report(scope, observed)

    def _report(self, scope: Scope, observed: "_Observed") -> None:
        seconds = time.perf_counter() - observed.started
        route = getattr(scope.get("route"), "path", "unmatched")
        self.telemetry.count_request(scope["method"], route, observed.status)
        self.telemetry.request_seconds.labels(route).observe(seconds)
        if "code" in scope["state"]:
            self.telemetry.count_problem(scope["state"]["code"])
        for stage, stage_seconds in observed.timings.items():
            self.telemetry.stage_seconds.labels(stage).observe(stage_seconds)
        _access_log.log(
            logging.DEBUG if route in _PROBES else logging.INFO,
            "%s %s %d",
            scope["method"],
            quote(scope["path"]),
            observed.status,
            extra=_access_fields(scope, observed, seconds),
        )


class _Observed:
    """One request. Its id and timings are in the scope's state, where routes find them."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self.started = time.perf_counter()
        self.status = 0
        self.timings = Timings()
        self.request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state["timings"] = self.timings
        state["request_id"] = self.request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
            if self.timings:
                headers["Server-Timing"] = self.timings.header()
        await self._send(message)


def _access_fields(scope: Scope, observed: _Observed, seconds: float) -> dict[str, object]:
    stages = {f"{name}_ms": round(value * 1e3, 1) for name, value in observed.timings.items()}
    error = {"code": scope["state"]["code"]} if "code" in scope["state"] else {}
    return {
        "request_id": observed.request_id,
        **_client_field(scope),
        **error,
        "total_ms": round(seconds * 1e3, 1),
        **stages,
    }


def _client_field(scope: Scope) -> dict[str, str]:
    """The client's address. A proxy that uvicorn trusts can name any text as it."""
    client = scope.get("client")
    return {"client": quote(client[0][:_MAX_ADDRESS], safe=":")} if client else {}


def _request_id(scope: Scope) -> str:
    """Keep the client's own id where it is harmless in a log, else make one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
