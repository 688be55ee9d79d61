"""Label Studio's API, as far as its backend needs it: annotations, tasks and photographs.

Nothing is fetched from anywhere but the one address that the operator names, and the token goes
nowhere else.
"""

import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

import httpx

from service.connectors.problems import RefusedError, TokenRejectedError, ToolAwayError, ToolError

MAX_BYTES = 64 * 1024 * 1024
TIMEOUT_SECONDS = 30.0
_REJECTED = (401, 403)


class Studio:
    """One Label Studio, asked in a user's name; threads may share it.

    A photograph of more than ``max_bytes``, or that takes longer than ``timeout`` seconds, is
    refused.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        max_bytes: int = MAX_BYTES,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self.url = httpx.URL(url.rstrip("/") + "/")
        if self.url.scheme not in ("http", "https") or not self.url.host:
            raise RefusedError(f"{url} is no address of Label Studio; give it as http://host:8080")
        self._http = httpx.Client(auth=_auth(token, self.url), timeout=timeout)
        self._max_bytes = max_bytes
        self._timeout = timeout

    def check(self) -> None:
        """Raise ToolError where Label Studio is away or does not take the token."""
        self._record("api/current-user/whoami")

    def photograph(self, reference: str) -> bytes:
        """The file that a task's data names.

        Raises RefusedError for one that lies elsewhere or is too large, and ToolError.
        """
        address = self._address(reference)
        with self._reaching(), self._http.stream("GET", address) as response:
            if response.is_redirect:
                raise RefusedError(
                    f"Label Studio sends {reference} on to another server; turn off pre-signed "
                    "URLs in the settings of the storage"
                )
            _check(response, self.url)
            return self._content(response, reference)

    def annotation(self, number: int) -> dict[str, Any] | None:
        """An annotation as it is now; None where it is deleted."""
        return self._record(f"api/annotations/{number}/")

    def task(self, number: int) -> dict[str, Any] | None:
        """A task; None where it is deleted."""
        return self._record(f"api/tasks/{number}/")

    def project(self, number: int) -> dict[str, Any] | None:
        """A project; None where it is deleted."""
        return self._record(f"api/projects/{number}/")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _address(self, reference: str) -> httpx.URL:
        try:
            address = httpx.URL(urljoin(str(self.url), reference))
        except (httpx.InvalidURL, ValueError) as error:
            raise RefusedError(f"{reference[:200]!r} is no address ({error})") from error
        if _origin(address) != _origin(self.url) or address.userinfo:
            raise RefusedError(
                f"the photograph {reference[:200]!r} does not lie in Label Studio at {self.url}; "
                "upload it there, or serve it through one of its storages"
            )
        return address

    def _content(self, response: httpx.Response, reference: str) -> bytes:
        content, deadline = bytearray(), time.monotonic() + self._timeout
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > self._max_bytes:
                raise RefusedError(
                    f"{reference[:200]} has more than {self._max_bytes} bytes; import it smaller"
                )
            if time.monotonic() > deadline:
                raise ToolAwayError(f"{self.url} took over {self._timeout:g} s for {reference}")
        return bytes(content)

    def _record(self, path: str) -> dict[str, Any] | None:
        with self._reaching():
            response = self._http.get(urljoin(str(self.url), path))
        if response.status_code == 404:
            return None
        _check(response, self.url)
        try:
            return dict(response.json())
        except (ValueError, TypeError) as error:
            raise ToolError(f"{response.url} is no Label Studio; check --label-studio") from error

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise ToolAwayError(
                f"Label Studio at {self.url} cannot be reached: {error}; check that it runs there"
            ) from error


def _check(response: httpx.Response, studio: httpx.URL) -> None:
    """Raise ToolAwayError or ToolError for a reply other than success."""
    if response.is_success:
        return
    if response.status_code in _REJECTED:
        raise TokenRejectedError(
            f"Label Studio at {studio} does not take the token ({response.status_code}); renew it "
            "in --token-file and start again"
        )
    kind = ToolAwayError if response.status_code >= 500 else ToolError
    raise kind(f"Label Studio answers {response.status_code} for {response.url}")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _auth(token: str, url: httpx.URL) -> httpx.Auth:
    """A personal access token is a JSON web token of three parts; a legacy one has no dot."""
    return _Refreshed(token, url) if token.count(".") == 2 else _Legacy(token)


class _Legacy(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Token {self._token}"
        yield request


class _Refreshed(httpx.Auth):
    """Trades a personal access token for one of minutes, again whenever that is rejected.

    ``auth_flow`` would have httpx read whole photographs, whatever their size.
    """

    def __init__(self, token: str, url: httpx.URL) -> None:
        self._token = token
        self._url = url
        self._access = ""

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        if self._access:
            request.headers["Authorization"] = f"Bearer {self._access}"
            response = yield request
            if response.status_code not in _REJECTED:
                return
        content = json.dumps({"refresh": self._token})
        headers = {"Content-Type": "application/json"}
        address = urljoin(str(self._url), "api/token/refresh/")
        response = yield httpx.Request("POST", address, headers=headers, content=content)
        response.read()
        _check(response, self._url)
        self._access = _access_token(response)
        request.headers["Authorization"] = f"Bearer {self._access}"
        yield request


def _access_token(response: httpx.Response) -> str:
    try:
        return str(response.json()["access"])
    except (ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{response.url} is no Label Studio; check --label-studio") from error
