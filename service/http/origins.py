"""Where a request comes from: the name it was sent to, and the web page that sent it."""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import (
    CrossSiteError,
    ForeignHostError,
    MethodNotAllowedError,
    OriginError,
    ServiceError,
)
from service.http.problems import problem_response
from service.settings import Settings

# Of replies, that a page of an allowed origin may read.
EXPOSED_HEADERS = (
    "Content-Disposition",
    "Location",
    "Retry-After",
    "Server-Timing",
    "X-Legend",
    "X-Mask-Reading",
    "X-Object-Area",
    "X-Object-Found",
    "X-Object-Presence",
    "X-Object-Score",
    "X-Request-ID",
)
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_PREFIX = re.compile(r"(/[\w.~-]+){1,8}", re.ASCII)


class Origins:
    """ASGI middleware: refuse foreign names (DNS rebinding) and writes of foreign web pages.

    ``allowed_hosts`` of None takes every name. A page may write where its origin is the service's
    own or one of ``allowed_origins``. A proxy's X-Forwarded-Prefix becomes the root path, which
    addresses in replies begin with.
    """

    def __init__(
        self,
        app: ASGIApp,
        allowed_hosts: Collection[str] | None,
        allowed_origins: Collection[str],
    ) -> None:
        self.app = app
        self.allowed_hosts = allowed_hosts
        self.allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
        if _PREFIX.fullmatch(prefix):
            scope["root_path"] = prefix
        try:
            self._check_host(headers.get("host", ""))
            if scope["method"] not in _SAFE_METHODS:
                self._check_origin(headers)
        except OriginError as error:
            await problem_response(scope, error)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _check_host(self, host: str) -> None:
        name = _host_name(host)
        if self.allowed_hosts is None or name in self.allowed_hosts or _is_local(name):
            return
        raise ForeignHostError(
            f"the service is not called {name[:80]!r}; ask it by its address, or start it with "
            f"SGONE_ALLOWED_HOSTS={name[:80]}"
        )

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site")
        if origin in self.allowed_origins or "*" in self.allowed_origins:
            return
        if site in ("same-origin", "none"):
            return
        if origin is None and site is None:  # no browser
            return
        if site is None and origin is not None and _is_of(origin, headers):
            return
        raise _cross_site(origin or "another site")


class CrossOrigin(CORSMiddleware):
    """Starlette's CORS, by which browsers ask whether a page may send what it is about to send.

    What is refused gets problem JSON, as every other refusal does.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await super().__call__(scope, receive, send)
        else:
            await problem_response(scope, refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ServiceError | None:
        """Of a browser's question; None for what is allowed, and for every other request."""
        headers = Headers(scope=scope)
        origin, method = headers.get("origin"), headers.get("access-control-request-method")
        if scope["method"] != "OPTIONS" or origin is None or method is None:
            return None
        if not self.is_allowed_origin(origin):
            return _cross_site(origin)
        if method not in self.allow_methods:
            allowed = ", ".join(self.allow_methods)
            return MethodNotAllowedError(
                f"pages may send {allowed}, not {method[:80]!r}", headers={"Allow": allowed}
            )
        return None


def allowed_hosts(settings: Settings) -> Collection[str] | None:
    """Names beside local ones; None, which takes all, where the service listens to the network."""
    if settings.allowed_hosts:
        return None if settings.allowed_hosts == "*" else split_names(settings.allowed_hosts)
    return [settings.host] if _is_loopback(settings.host) else None


def split_names(text: str) -> list[str]:
    """``a, b`` -> ["a", "b"]."""
    return [name.strip().lower() for name in text.split(",") if name.strip()]


def _cross_site(origin: str) -> CrossSiteError:
    return CrossSiteError(
        f"a page of {origin[:80]} may not call this service; start it with "
        "SGONE_CORS_ORIGINS naming that origin"
    )


def _host_name(host: str) -> str:
    """``[::1]:8000`` -> ``::1``; empty where there is none or it is unreadable."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_local(name: str) -> bool:
    """A name that no foreign DNS server can answer for: an address, or one without a dot."""
    return "." not in name or _is_address(name) or name.endswith(".localhost")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_of(origin: str, headers: Headers) -> bool:
    """Whether the page is the service's own, as far as a proxy has left its name."""
    hosts = (headers.get("host"), headers.get("x-forwarded-host"))
    return urlsplit(origin).netloc in hosts
