"""Processes that decode: the same pixels, and an end to what takes too long."""

import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from starlette.testclient import TestClient

from model.errors import AmbiguousMaskError, BrokenImageError, ImageTooLargeError
from model.images.opening import open_upright
from model.images.structure import MODEST_BYTES, MODEST_PIXELS, is_modest
from pictures import encode, file, grey_mask, object_mask, photograph
from service.app import create_app
from service.errors import DeadlineExceededError, NotReadyError
from service.images.decoder import GRACE_SECONDS
from service.images.decoders import Decoders, decoding

MAX_PIXELS = 50_000_000
SLOW_SIDE = 7000


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def slow_jpeg(scans: int = 60) -> bytes:
    """49 megapixels in as many scans as are allowed: over a second, whatever the machine."""
    blocks = (SLOW_SIDE // 8) ** 2
    bits = ("0" + "1" * 14) * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    runs = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    start = segment(0xDB, b"\0" + b"\x01" * 64)
    start += segment(0xC2, struct.pack(">BHHB", 8, SLOW_SIDE, SLOW_SIDE, 1) + b"\x01\x11\x00")
    start += segment(0xC4, b"\x00\x01" + bytes(15) + b"\x00")
    start += segment(0xC4, b"\x10\x01" + bytes(15) + b"\xe0")
    averages = segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bytes(blocks // 8 + 1)
    nothing = segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + runs
    return b"\xff\xd8" + start + averages + nothing * (scans - 1) + b"\xff\xd9"


SLOW = slow_jpeg()
TIFF = encode(photograph(), "TIFF")  # not modest, so that a process decodes it


@pytest.fixture
def losses() -> list[str]:
    return []


@pytest.fixture
def decoders(losses: list[str]) -> Iterator[Decoders]:
    with Decoders(2, 30, losses.append) as decoders:
        decoders.start()
        yield decoders


def decoder_pids(service: int | None = None) -> list[int]:
    """The processes that decode for another, or for this one: children of its nursery."""
    nurseries = filter(is_nursery, children_of(service or os.getpid()))
    return [pid for nursery in nurseries for pid in children_of(nursery)]


def children_of(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in lists for child in each.read_text(encoding="ascii").split()]


def is_nursery(pid: int) -> bool:
    return b"service.images.nursery" in Path(f"/proc/{pid}/cmdline").read_bytes()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(outcome: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not outcome():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_gives_the_same_pixels(decoders: Decoders) -> None:
    with decoders.at_work(threading.Event()):
        pixels = decoding().photograph(TIFF, MAX_PIXELS)
    assert_array_equal(pixels, photograph())
    pixels[:] = 0


def test_a_process_gives_the_same_mask_and_how_it_was_read(decoders: Decoders) -> None:
    content = encode(Image.fromarray(object_mask().astype(np.uint8) * np.uint8(15)), "TIFF")
    with decoders.at_work(threading.Event()):
        reading = decoding().mask(content, MAX_PIXELS, "auto")
    assert reading.name == "labels"
    assert_array_equal(reading.mask, object_mask())


def test_the_errors_of_a_process_are_those_of_the_model(decoders: Decoders) -> None:
    levels = np.kron([[0, 50], [200, 255]], np.ones((9, 9)))
    two = encode(levels.astype(np.uint8), "TIFF")
    with decoders.at_work(threading.Event()):
        with pytest.raises(ImageTooLargeError, match="64x48"):
            decoding().photograph(TIFF, 100)
        with pytest.raises(BrokenImageError):
            decoding().photograph(TIFF[:200], MAX_PIXELS)
        with pytest.raises(AmbiguousMaskError) as caught:
            decoding().mask(two, MAX_PIXELS, "auto")
    assert caught.value.formats == ("light", "labels")


def test_a_file_that_takes_too_long_is_ended_and_its_process_replaced(losses: list[str]) -> None:
    with Decoders(1, 0.3, losses.append) as decoders:
        decoders.start()
        (pid,) = decoder_pids()
        with decoders.at_work(threading.Event()):
            with pytest.raises(DeadlineExceededError):
                decoding().photograph(SLOW, MAX_PIXELS)
            wait_for(lambda: not is_alive(pid))
            assert losses == ["late"]
            assert decoders.up == 1
            assert_array_equal(decoding().photograph(TIFF, MAX_PIXELS), photograph())


def test_what_is_given_up_is_ended_after_its_grace(decoders: Decoders, losses: list[str]) -> None:
    for pid in decoder_pids():
        os.kill(pid, signal.SIGSTOP)  # no file of these is ever done
    given_up = threading.Event()
    threading.Timer(0.1, given_up.set).start()
    started = time.monotonic()
    with decoders.at_work(given_up), pytest.raises(DeadlineExceededError):
        decoding().photograph(TIFF, MAX_PIXELS)
    assert time.monotonic() - started < GRACE_SECONDS + 3
    assert losses == ["late"]


def test_a_process_that_crashes_costs_its_file_alone(losses: list[str]) -> None:
    with Decoders(1, 30, losses.append) as decoders, decoders.at_work(threading.Event()):
        decoders.start()
        threading.Timer(0.3, os.kill, (*decoder_pids(), signal.SIGKILL)).start()
        with pytest.raises(BrokenImageError, match="cannot be decoded"):
            decoding().photograph(SLOW, MAX_PIXELS)
        assert losses == ["crashed"]
        assert_array_equal(decoding().photograph(TIFF, MAX_PIXELS), photograph())


def test_a_process_that_dies_while_idle_is_replaced_unnoticed(decoders: Decoders) -> None:
    for pid in decoder_pids():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not decoders.up)
    with decoders.at_work(threading.Event()):
        assert_array_equal(decoding().photograph(TIFF, MAX_PIXELS), photograph())
    assert decoders.up == 1


def test_the_end_ends_what_is_under_way(losses: list[str]) -> None:
    outcomes: list[str] = []
    with Decoders(1, 60, losses.append) as decoders:

        def work() -> None:
            with decoders.at_work(threading.Event()):
                try:
                    decoding().photograph(SLOW, MAX_PIXELS)
                except (DeadlineExceededError, BrokenImageError, NotReadyError) as error:
                    outcomes.append(type(error).__name__)

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.2)
    thread.join(2)
    assert not thread.is_alive()
    assert len(outcomes) == 1


def test_decoders_end_with_the_service_however_that_ends() -> None:
    code = (
        "import os, time\n"
        "from service.images.decoders import Decoders\n"
        "decoders = Decoders(2, 30)\n"
        "decoders.start()\n"
        "print('started', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    pids = decoder_pids(process.pid)
    assert len(pids) == 2
    process.kill()
    process.wait()
    process.stdout.close()
    wait_for(lambda: not any(map(is_alive, pids)))


def test_what_libraries_write_does_not_reach_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    rows = (b"\x00\x1f" * 20_000)[:40_000]
    entries = [(256, 4, 1, 64), (257, 4, 1, 9_000), (258, 3, 1, 1), (259, 3, 1, 3), (262, 3, 1, 0)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 9_000), (279, 4, 1, len(rows))]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    fax = b"II*\0" + struct.pack("<I", 8 + len(rows)) + rows
    fax += struct.pack("<H", len(entries)) + directory + bytes(4)
    with (
        Decoders(1, 30) as decoders,
        decoders.at_work(threading.Event()),
        suppress(BrokenImageError),
    ):
        decoding().photograph(fax, MAX_PIXELS)
    assert capfd.readouterr().err == ""


def test_small_jpeg_and_png_files_are_modest() -> None:
    assert is_modest(encode(photograph(), "JPEG"))
    assert is_modest(grey_mask())
    assert not is_modest(TIFF)
    assert not is_modest(SLOW)
    assert not is_modest(encode(photograph(1100, 1000), "PNG"))


def chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


HEADER = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
PROFILE = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 20)))
LARGE = encode(np.zeros((2000, 2000, 3), np.uint8), "PNG")


@pytest.mark.parametrize(
    "content",
    [
        LARGE[:8] + HEADER + LARGE[8:],
        LARGE[:8] + chunk(b"tEXt", struct.pack(">II", 8, 8) + b"\0a") + LARGE[8:],
        LARGE[:8] + chunk(b"tEXt", b"a\0IHDR") + HEADER + LARGE[8:],
    ],
    ids=["two headers", "a text first", "a text that names it"],
)
def test_a_png_that_hides_its_size_is_not_modest(content: bytes) -> None:
    assert open_upright(content).size == (2000, 2000)
    assert not is_modest(content)


def test_a_png_with_many_profiles_to_unpack_is_not_modest() -> None:
    png = encode(photograph(), "PNG")
    assert is_modest(png[:33] + PROFILE + png[33:])
    assert not is_modest(png[:33] + PROFILE * 2 + png[33:])


def test_a_jpeg_of_two_frames_is_not_modest() -> None:
    jpeg = encode(photograph(), "JPEG")
    place = jpeg.index(b"\xff\xc0")
    frame = jpeg[place : place + 19]
    assert not is_modest(jpeg[:place] + frame + jpeg[place:])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_modest_file_has_a_bound_of_bytes_and_of_pixels(kind: str) -> None:
    small, tail = encode(photograph(), kind), bytes(MODEST_BYTES)
    assert is_modest((small + tail)[:MODEST_BYTES])
    assert not is_modest((small + tail)[: MODEST_BYTES + 1])
    side = int(MODEST_PIXELS**0.5)
    assert is_modest(encode(np.zeros((side, side), np.uint8), kind))
    assert not is_modest(encode(np.zeros((side, side + 1), np.uint8), kind))


def test_importing_the_nursery_imports_no_torch() -> None:
    code = "import sys, service.images.nursery; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_storing_what_takes_too_long_to_decode_is_given_up(settings, engine) -> None:
    hasty = settings.model_copy(update={"request_timeout_ms": 200})
    parts = [file("support_image", SLOW), file("support_mask", grey_mask())]
    with TestClient(create_app(hasty, engine)) as client:
        reply = client.post("/supports", data={"name": "slow"}, files=parts)
        assert (reply.status_code, reply.json()["code"]) == (504, "deadline_exceeded")
        assert client.get("/supports").json()["total"] == 0


def test_a_service_without_decoders_is_not_ready_until_it_has_one(client) -> None:
    decoders = client.app.state.runtime.decoders
    decoders.start()
    for pid in decoder_pids():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not decoders.up)
    assert client.get("/readyz").json()["code"] == "not_ready"
    wait_for(lambda: client.get("/readyz").status_code == 200)


def test_losses_are_counted_by_cause(client) -> None:
    text = client.get("/metrics").text
    assert set(re.findall(r'sgone_decoder_losses_total{cause="(\w+)"} 0.0', text)) == {
        "late",
        "crashed",
    }


def test_no_process_is_started_before_there_is_a_file_for_it(losses: list[str]) -> None:
    with Decoders(2, 30, losses.append) as decoders:
        assert decoders.up == 2
        with decoders.at_work(threading.Event()):
            decoding().photograph(encode(photograph(), "PNG"), MAX_PIXELS)
            assert not decoder_pids()
            decoding().photograph(TIFF, MAX_PIXELS)
        assert len(decoder_pids()) == 2


def holds_the_turn(pid: int) -> bool:
    locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return any(str(pid) in line.split() for line in locks)


def test_large_pictures_are_decoded_one_at_a_time_and_small_ones_beside() -> None:
    large = encode(Image.new("L", (4000, 4000)), "TIFF")
    done: list[object] = []

    def decode(content: bytes) -> None:
        with suppress(BrokenImageError), decoders.at_work(threading.Event()):
            done.append(decoding().photograph(content, MAX_PIXELS).shape)

    with Decoders(3, 30) as decoders:
        decoders.start()
        threading.Thread(target=decode, args=(SLOW,)).start()
        wait_for(lambda: any(map(holds_the_turn, decoder_pids())))
        first = next(filter(holds_the_turn, decoder_pids()))
        os.kill(first, signal.SIGSTOP)
        second = threading.Thread(target=decode, args=(large,))
        second.start()
        decode(TIFF)
        second.join(1)
        assert done == [photograph().shape]
        os.kill(first, signal.SIGKILL)
        second.join(20)
        assert done[1:] == [(4000, 4000, 3)]


def test_large_pictures_are_rendered_one_at_a_time_and_small_ones_beside(
    client: TestClient,
) -> None:
    supports = [file("support_image", encode(photograph())), file("support_mask", grey_mask())]
    large = file("query_image", encode(Image.new("RGB", (4000, 4000))))
    small = file("query_image", encode(photograph(seed=1)))

    def status(query: object, **headers: str) -> int:
        return client.post("/segment", files=[*supports, query], headers=headers).status_code

    with client.app.state.runtime.turn((4000, 4000)):  # type: ignore[attr-defined]
        assert status(large, **{"X-Request-Timeout": "3"}) == 504
        assert status(small) == 200
    assert status(large) == 200
