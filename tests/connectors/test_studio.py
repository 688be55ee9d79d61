"""What the backend fetches from Label Studio, and from nowhere else."""

import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from starlette.responses import StreamingResponse

from service.connectors.label_studio.studio import Studio
from service.connectors.problems import RefusedError, ToolAwayError, ToolError
from serving import served
from studios import LEGACY, PERSONAL, FakeStudio

FILE = "/data/upload/1/a mug.png"


@pytest.mark.parametrize("token", [LEGACY, PERSONAL])
@pytest.mark.parametrize("way", ["path", "address"])
def test_a_photograph_is_fetched_in_the_user_s_name(
    fake: FakeStudio, studio_url: str, token: str, way: str
) -> None:
    fake.files[FILE] = b"a photograph"
    reference = FILE.replace(" ", "%20")
    with closing(Studio(studio_url, token)) as studio:
        assert studio.photograph(reference if way == "path" else studio_url + reference) == (
            b"a photograph"
        )


def test_a_token_of_minutes_is_renewed(fake: FakeStudio, studio_url: str) -> None:
    fake.files[FILE] = b"a photograph"
    with closing(Studio(studio_url, PERSONAL)) as studio:
        for access in ("one", "two"):
            fake.access = access
            assert studio.photograph(FILE) == b"a photograph"


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:9/secret",
        "//127.0.0.1:9/secret",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "s3://bucket/photo.jpg",
        "ftp://127.0.0.1/x",
        "data:image/png;base64,AAAA",
        "http://[",
        "https://{host}/data/x",
        "http://user@{host}/data/x",
        "http://{host}.example.org/data/x",
        "http://{host}@127.0.0.1:9/x",
        "\\\\127.0.0.1\\x\x00",
    ],
)
def test_nothing_is_fetched_from_elsewhere(
    fake: FakeStudio, studio: Studio, reference: str
) -> None:
    host = f"{studio.url.host}:{studio.url.port}"
    with pytest.raises(RefusedError):
        studio.photograph(reference.replace("{host}", host))
    assert fake.asked == []


def test_a_redirect_is_not_followed(fake: FakeStudio, studio: Studio) -> None:
    with pytest.raises(RefusedError, match="pre-signed"):
        studio.photograph("/tasks/1/resolve/?fileuri=x")


def test_a_file_that_is_too_large_or_too_slow_is_given_up(
    fake: FakeStudio, studio_url: str
) -> None:
    fake.files[FILE] = bytes(1001)
    with closing(Studio(studio_url, LEGACY, max_bytes=1000)) as studio:
        with pytest.raises(RefusedError, match="more than 1000 bytes"):
            studio.photograph(FILE)
        fake.files[FILE] = bytes(1000)
        assert len(studio.photograph(FILE)) == 1000


def test_a_file_that_drips_is_given_up(fake: FakeStudio) -> None:
    app = fake.app()

    def drip() -> Iterator[bytes]:
        for _ in range(200):
            time.sleep(0.05)
            yield b"x"

    app.router.routes.clear()
    app.get("/drip")(lambda: StreamingResponse(drip()))
    with served(app) as url, closing(Studio(url, LEGACY, timeout=0.5)) as studio:
        started = time.monotonic()
        with pytest.raises(ToolAwayError, match=r"took over 0.5 s"):
            studio.photograph("/drip")
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("token", ["wrong", PERSONAL + "x"])
def test_a_token_that_is_not_taken_is_told(studio_url: str, token: str) -> None:
    with (
        closing(Studio(studio_url, token)) as studio,
        pytest.raises(ToolError, match=r"does not take the token \(401\)"),
    ):
        studio.check()


def test_what_label_studio_says_no_to_is_a_sentence(fake: FakeStudio, studio_url: str) -> None:
    with closing(Studio(studio_url, LEGACY)) as studio:
        studio.check()
        assert studio.annotation(5) is None
        fake.refusal = 503
        with pytest.raises(ToolAwayError, match="503"):
            studio.annotation(5)
    with (
        closing(Studio("http://127.0.0.1:9", LEGACY)) as studio,
        pytest.raises(ToolAwayError, match="cannot be reached"),
    ):
        studio.check()


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "studio", ""])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(RefusedError, match="no address of Label Studio"):
        Studio(url, LEGACY)
