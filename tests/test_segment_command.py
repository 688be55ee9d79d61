"""``sgone segment`` over folders: what it writes, how it goes on, and the same against a server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.testing import assert_array_equal
from PIL import Image
from pycocotools.coco import COCO

from model.episode import Support
from pictures import encode, file, grey_mask, object_mask, photograph, read_mask
from service.cli import main
from service.client import SegmentationClient
from service.folders.remote import RefusedQueryError, RemoteFinder
from service.folders.stored import RemoteError
from service.images.shape import shape_mask
from service.inference.engine import Engine
from service.options import KShotOptions, Shaping
from service.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent
SGONE = [sys.executable, "-c", "from service.cli import main; main()"]
TIMEOUT = 180  # seconds, on a busy machine


def sgone(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def photographs(folder: Path, *names: str) -> Path:
    """A folder of photographs of 51x37, the nth of seed n, in the format of their suffix."""
    for seed, name in enumerate(names, start=1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(37, 51, seed=seed)).save(folder / name)
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A support photograph and its mask, as files."""
    image, mask = tmp_path / "support.png", tmp_path / "support.mask.png"
    image.write_bytes(encode(photograph()))
    mask.write_bytes(grey_mask())
    return image, mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two photographs and a file that is none."""
    folder = photographs(tmp_path / "photographs", "1.png", "2.png")
    (folder / "notes.txt").write_text("not an image", encoding="utf-8")
    return folder


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """The folder of the results."""
    return tmp_path / "masks"


@pytest.fixture
def command(pair: tuple[Path, Path], masks: Path) -> list[Any]:
    """``sgone segment`` with a support, into the folder of the results."""
    return ["segment", "--support", pair[0], "--mask", pair[1], "--out", masks]


@pytest.fixture
def local(command: list[Any], checkpoint: Path) -> list[Any]:
    """The same with the tiny network on this machine."""
    return [*command, "--checkpoint", checkpoint, "--device", "cpu", "--precision", "float32"]


@pytest.fixture
def probability(engine: Engine) -> Callable[..., Any]:
    """The object's probability in the photograph of a seed."""

    def predict(seed: int, shots: int = 1, fusion: Any = "average") -> Any:
        supports = [Support(photograph(), object_mask())]
        supports += [Support(photograph(seed=9), ~object_mask())] * (shots - 1)
        return engine.predictor.predict(
            supports, photograph(37, 51, seed=seed), fusion, refined=True
        )

    return predict


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the results by its path, the note of the run itself left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    found.pop("sgone-segment.json", None)
    return found


def one_sentence(result: Result) -> str:
    """The message of a failed command, which must be a line and no traceback."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.strip().splitlines()
    return line


# What is written


def test_a_query_gets_its_mask(
    local: list[Any], folder: Path, masks: Path, probability: Any
) -> None:
    result = sgone(*local, folder / "1.png")
    assert result.exit_code == 0, result.output
    assert_array_equal(read_mask((masks / "1.png").read_bytes()), (probability(1) > 0.5) * 255)
    assert contents(masks).keys() == {"1.png"}


def test_a_folder_is_opened_with_all_that_lies_below_it(
    local: list[Any], tmp_path: Path, masks: Path, probability: Any
) -> None:
    names = ["1.png", "2.JPG", "a/3.jpeg", "a/b/4.webp", "a/b/5.bmp", "c/5.tif", "d.e/6.tiff"]
    assert sgone(*local, photographs(tmp_path / "tree", *names)).exit_code == 0
    stems = {"1", "2", "a/3", "a/b/4", "a/b/5", "c/5", "d.e/6"}
    assert contents(masks).keys() == {f"{stem}.png" for stem in stems}
    assert_array_equal(read_mask((masks / "c/5.png").read_bytes()), (probability(6) > 0.5) * 255)


def test_results_inside_the_folder_and_hidden_files_are_no_queries(
    local: list[Any], folder: Path
) -> None:
    photographs(folder, ".trash/1.png", "._2.png")
    inside = [*local, "--out", folder / "results"]
    for _ in range(2):
        assert sgone(*inside, folder).exit_code == 0
        assert contents(folder / "results").keys() == {"1.png", "2.png"}


@pytest.mark.parametrize("fusion", ["average", "union"])
def test_supports_are_repeated_for_several_shots(
    local: list[Any], folder: Path, tmp_path: Path, masks: Path, probability: Any, fusion: str
) -> None:
    (tmp_path / "second.png").write_bytes(encode(photograph(seed=9)))
    (tmp_path / "second.mask.png").write_bytes(grey_mask(~object_mask()))
    second = ["--support", tmp_path / "second.png", "--mask", tmp_path / "second.mask.png"]
    assert sgone(*local, *second, "--fusion", fusion, folder / "1.png").exit_code == 0
    expected = (probability(1, shots=2, fusion=fusion) > 0.5) * 255
    assert_array_equal(read_mask((masks / "1.png").read_bytes()), expected)


def test_every_format_that_is_asked_for_is_written(
    local: list[Any], folder: Path, masks: Path, probability: Any
) -> None:
    formats = ["--format", "masks", "--format", "overlays", "--format", "cutouts"]
    assert sgone(*local, *formats, folder / "1.png").exit_code == 0
    assert contents(masks).keys() == {"1.png", "1.overlay.png", "1.cutout.png"}
    query, mask = photograph(37, 51, seed=1), probability(1) > 0.5
    overlay = np.array(Image.open(masks / "1.overlay.png"))
    assert (overlay[mask] != query[mask]).any()
    cutout = np.array(Image.open(masks / "1.cutout.png"))
    assert_array_equal(cutout[..., :3], query)
    assert cutout[mask, 3].mean() > cutout[~mask, 3].mean()


def presences(engine: Engine, *seeds: int) -> list[float]:
    predictor = engine.predictor
    support = predictor.prepare_support(Support(photograph(), object_mask()))
    shots = predictor.encode_support([support])
    queries = (predictor.prepare_query(photograph(37, 51, seed=seed)) for seed in seeds)
    return [predictor.find(query, shots).presence for query in queries]


def test_queries_without_the_object_are_told_counted_and_empty(
    local: list[Any], folder: Path, masks: Path, engine: Engine
) -> None:
    low, high = presences(engine, 1, 2)
    assert low < high
    between = ["--presence-threshold", (low + high) / 2]
    result = sgone(*local, *between, "--format", "masks", "--format", "coco", folder)
    assert result.exit_code == 0, result.output
    assert f"{folder / '1.png'}: the object is not found (presence {low:.3f})" in result.stderr
    assert "The object is found in 1 of 2 queries; 1 do not show it" in result.stderr
    assert not read_mask((masks / "1.png").read_bytes()).any()
    assert read_mask((masks / "2.png").read_bytes()).any()
    coco = json.loads((masks / "annotations.json").read_bytes())
    assert [image["presence"] for image in coco["images"]] == pytest.approx([low, high], abs=1e-4)
    (annotation,) = coco["annotations"]
    assert annotation["image_id"] == 2
    assert annotation["presence"] == pytest.approx(high, abs=1e-4)


def test_borders_are_the_networks_own_where_refinement_is_off(
    local: list[Any], folder: Path, masks: Path, engine: Engine, probability: Any
) -> None:
    assert sgone(*local, "--no-refine", folder / "1.png").exit_code == 0
    support = Support(photograph(), object_mask())
    plain = engine.predictor.predict([support], photograph(37, 51, seed=1)) > 0.5
    assert_array_equal(read_mask((masks / "1.png").read_bytes()) > 0, plain)
    assert (plain != (probability(1) > 0.5)).any()


def test_the_options_shape_the_mask_as_they_do_in_the_service(
    local: list[Any], folder: Path, masks: Path, probability: Any
) -> None:
    flags = ["--threshold", 0.3, "--min-area", 5, "--fill-holes", "--largest-component"]
    assert sgone(*local, *flags, folder / "2.png").exit_code == 0
    shaping = Shaping(min_area=5, fill_holes=True, largest_component=True)
    mask = read_mask((masks / "2.png").read_bytes())
    assert_array_equal(mask, shape_mask(probability(2), 0.3, shaping) * 255)


@pytest.mark.parametrize(
    ("flag", "value"), [("--threshold", "1.5"), ("--min-area", "few"), ("--label", "x" * 201)]
)
def test_an_option_with_an_impossible_value_is_one_sentence(
    local: list[Any], folder: Path, flag: str, value: str
) -> None:
    sentence = one_sentence(sgone(*local, flag, value, folder))
    assert sentence.startswith(f"Error: {flag[2:].replace('-', '_')} is '{value[:20]}")


@pytest.mark.parametrize("jobs", [1, 4])
def test_any_number_of_jobs_writes_the_same(
    local: list[Any], tmp_path: Path, masks: Path, probability: Any, jobs: int
) -> None:
    photographs(tmp_path / "many", *(f"{number}.png" for number in range(1, 11)))
    assert sgone(*local, "--jobs", jobs, tmp_path / "many").exit_code == 0
    for number in range(1, 11):
        mask = read_mask((masks / f"{number}.png").read_bytes())
        expected = probability(number)
        sure = np.abs(expected - 0.5) > 1e-5  # the network may round a tie either way
        assert_array_equal(mask[sure], ((expected > 0.5) * 255)[sure])


# COCO


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools'
def test_annotations_are_read_by_pycocotools_and_hold_the_masks(
    local: list[Any], folder: Path, masks: Path, probability: Any
) -> None:
    photographs(folder / "sub", "1.jpg")
    assert sgone(*local, "--format", "coco", "--label", "cat", folder).exit_code == 0
    coco = COCO(masks / "annotations.json")
    assert [image["file_name"] for image in coco.dataset["images"]] == [
        "1.png",
        "2.png",
        "sub/1.jpg",
    ]
    assert coco.dataset["categories"] == [{"id": 1, "name": "cat"}]
    for seed, image in enumerate(coco.dataset["images"][:2], start=1):
        (annotation,) = coco.loadAnns(coco.getAnnIds(image["id"]))
        found = probability(seed) > 0.5
        assert_array_equal(coco.annToMask(annotation), found)
        assert (annotation["area"], image["width"], image["height"]) == (found.sum(), 51, 37)
        assert annotation["score"] == pytest.approx(probability(seed)[found].mean(), abs=1e-5)


def test_a_photograph_without_the_object_has_no_annotation(
    local: list[Any], folder: Path, masks: Path
) -> None:
    assert sgone(*local, "--format", "coco", "--min-area", 10_000, folder).exit_code == 0
    coco = json.loads((masks / "annotations.json").read_bytes())
    assert (len(coco["images"]), coco["annotations"]) == (2, [])
    assert coco["categories"][0]["name"] == "object"


def test_annotations_in_two_runs_are_those_of_one(
    local: list[Any], folder: Path, masks: Path, tmp_path: Path
) -> None:
    coco = [*local, "--format", "coco"]
    assert sgone(*coco, "--out", tmp_path / "whole", folder).exit_code == 0
    assert sgone(*coco, folder / "2.png").exit_code == 0
    with (masks / "annotations.jsonl").open("a", encoding="utf-8") as journal:
        journal.write('{"file_name": "1.png", "hei')  # as a killed process leaves it
    assert sgone(*coco, folder).exit_code == 0
    whole, resumed = (path / "annotations.json" for path in (tmp_path / "whole", masks))
    assert resumed.read_bytes() == whole.read_bytes()


# Going on


def test_what_is_done_is_skipped_and_what_is_not_is_done(
    local: list[Any], folder: Path, masks: Path
) -> None:
    assert sgone(*local, folder).exit_code == 0
    whole = contents(masks)
    (masks / "1.png").write_bytes(b"kept")
    (masks / "2.png").write_bytes(b"")
    result = sgone(*local, folder)
    assert "1 of 2 queries are done already" in result.stderr
    assert contents(masks) == whole | {"1.png": b"kept"}


def test_a_further_format_is_added_to_what_is_there(
    local: list[Any], folder: Path, masks: Path
) -> None:
    assert sgone(*local, folder).exit_code == 0
    assert sgone(*local, "--format", "coco", "--format", "overlays", folder).exit_code == 0
    pictures = {"1.png", "2.png", "1.overlay.png", "2.overlay.png"}
    assert contents(masks).keys() == pictures | {"annotations.json", "annotations.jsonl"}
    assert len(json.loads((masks / "annotations.json").read_bytes())["annotations"]) == 2


def test_overwrite_does_the_queries_again(local: list[Any], folder: Path, masks: Path) -> None:
    both = [*local, "--format", "masks", "--format", "coco"]
    assert sgone(*both, folder).exit_code == 0
    whole = contents(masks)
    (masks / "1.png").write_bytes(b"foreign")
    result = sgone(*both, "--overwrite", folder)
    assert "done already" not in result.stderr
    assert contents(masks).keys() == whole.keys()
    for name in ("1.png", "2.png", "annotations.json"):
        assert contents(masks)[name] == whole[name]


@pytest.mark.parametrize("change", ["threshold", "supports", "checkpoint"])
def test_masks_of_another_kind_are_not_mixed_with_those_there(
    local: list[Any], folder: Path, pair: tuple[Path, Path], tmp_path: Path, change: str
) -> None:
    assert sgone(*local, folder / "1.png").exit_code == 0
    changed = {
        "threshold": ["--threshold", "0.4"],
        "supports": ["--support", folder / "2.png", "--mask", folder / "mask.png"],
        "checkpoint": [
            "--checkpoint",
            REPOSITORY / "weights" / "sgone-efficientnet-lite2.safetensors",
        ],
    }[change]
    (folder / "mask.png").write_bytes(grey_mask(object_mask(37, 51)))
    refused = one_sentence(sgone(*local, *changed, folder / "2.png"))
    assert f"made with another {change}" in refused
    assert "--overwrite" in refused
    assert sgone(*local, *changed, "--overwrite", folder / "1.png").exit_code == 0


def test_parts_and_whole_masks_are_not_mixed_and_older_runs_go_on(
    local: list[Any], folder: Path, masks: Path
) -> None:
    assert sgone(*local, "--format", "coco", folder / "1.png").exit_code == 0
    refused = one_sentence(sgone(*local, "--format", "coco", "--instances", folder))
    assert "made with another instances" in refused
    note = json.loads((masks / "sgone-segment.json").read_bytes())
    del note["instances"]  # as releases before it wrote it
    (masks / "sgone-segment.json").write_text(json.dumps(note), encoding="utf-8")
    assert sgone(*local, "--format", "coco", folder).exit_code == 0
    assert len(json.loads((masks / "annotations.json").read_bytes())["images"]) == 2


def test_a_bad_query_is_named_and_the_rest_go_on(
    local: list[Any], folder: Path, masks: Path
) -> None:
    (folder / "0.png").write_bytes(b"broken")
    for _ in range(2):
        result = sgone(*local, folder)
        assert result.exit_code == 1
        assert "0.png is not an image" in result.stderr
        assert "1 of 3 queries failed; the rest are done" in result.stderr
        assert contents(masks).keys() == {"1.png", "2.png"}
    photographs(folder, "0.png")
    assert sgone(*local, folder).exit_code == 0
    assert contents(masks).keys() == {"0.png", "1.png", "2.png"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_leaves_whole_files_and_is_gone_on_with(
    local: list[Any], tmp_path: Path, masks: Path, number: signal.Signals
) -> None:
    photographs(tmp_path / "many", *(f"{number}.png" for number in range(1000)))
    arguments = [*local, "--format", "masks", "--format", "coco", tmp_path / "many"]
    with subprocess.Popen(
        [*SGONE, *map(str, arguments)], stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        deadline = time.monotonic() + TIMEOUT
        while not list(masks.glob("*.png")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, log = process.communicate(timeout=TIMEOUT)
    done = list(masks.glob("*.png"))
    assert 0 < len(done) < 1000
    assert all(read_mask(path.read_bytes()).shape == (37, 51) for path in done)
    assert not (masks / "annotations.json").exists()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert log.splitlines()[-1].startswith("Stopped; the same command")
        assert not list(masks.glob("*.part"))
    assert sgone(*arguments).exit_code == 0
    assert len(list(masks.glob("*.png"))) == 1000
    assert len(json.loads((masks / "annotations.json").read_bytes())["images"]) == 1000
    assert not list(masks.glob("*.part"))


# Refused before any work


def test_two_queries_of_one_name_are_refused(local: list[Any], folder: Path, masks: Path) -> None:
    (folder / "1.jpg").write_bytes(encode(photograph(), "JPEG"))
    said = one_sentence(sgone(*local, folder))
    assert "two queries would write" in said
    assert f"{folder / '1.jpg'} and {folder / '1.png'}" in said
    assert not masks.exists()


@pytest.mark.parametrize("name", ["1.png", "annotations.json", "annotations.jsonl"])
def test_files_of_nobodys_run_are_neither_results_nor_written_over(
    local: list[Any], folder: Path, masks: Path, name: str
) -> None:
    masks.mkdir()
    (masks / name).write_bytes(b"mine")
    command = [*local, "--format", "masks", "--format", "coco", folder]
    said = one_sentence(sgone(*command))
    assert f"{masks / name} is there already, and no run of sgone segment wrote it" in said
    assert contents(masks) == {name: b"mine"}


@pytest.mark.parametrize("name", ["sgone-segment.json", "annotations.jsonl"])
def test_a_broken_note_of_a_run_is_named(
    local: list[Any], folder: Path, masks: Path, name: str
) -> None:
    command = [*local, "--format", "coco", folder]
    assert sgone(*command).exit_code == 0
    (masks / name).write_text("{\n", encoding="utf-8")
    assert f"{masks / name} is broken" in one_sentence(sgone(*command))


def test_a_name_that_is_not_utf_8_is_shown_by_its_bytes(
    local: list[Any], folder: Path, masks: Path
) -> None:
    (folder / "1.png").rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    for _ in range(2):
        assert sgone(*local, "--format", "coco", folder).exit_code == 0
        text = (masks / "annotations.json").read_text(encoding="utf-8")
        names = [image["file_name"] for image in json.loads(text)["images"]]
        assert r"caf\xe9.png" in names
        assert text.encode().decode("unicode_escape").encode()  # no lone surrogate


def test_what_systems_leave_is_no_query(local: list[Any], folder: Path, masks: Path) -> None:
    for name in ("__MACOSX/1.png", "@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "._1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no photograph")
    assert sgone(*local, folder).exit_code == 0


@pytest.mark.parametrize("value", ["socks://127.0.0.1:9", "socks4://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_one_sentence(
    command: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("all_proxy", value)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    said = one_sentence(sgone(*command, "--url", "http://127.0.0.1:9", folder))
    assert "all_proxy names" in said


def test_a_query_is_never_overwritten(local: list[Any], folder: Path) -> None:
    before = (folder / "1.png").read_bytes()
    result = sgone(*local, "--out", folder, folder / "1.png")
    assert "would overwrite a query" in one_sentence(result)
    assert (folder / "1.png").read_bytes() == before


def test_results_do_not_go_between_the_queries(local: list[Any], folder: Path) -> None:
    assert "choose another folder" in one_sentence(sgone(*local, "--out", folder, folder))


def test_a_folder_without_images_is_refused(local: list[Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "has no image" in one_sentence(sgone(*local, tmp_path / "empty"))


def test_a_support_with_an_empty_mask_is_one_sentence(
    local: list[Any], folder: Path, pair: tuple[Path, Path]
) -> None:
    pair[1].write_bytes(grey_mask(object_mask() & False))
    sentence = one_sentence(sgone(*local, folder))
    assert sentence.startswith(f"Error: {pair[1]}: ")
    assert "no object pixel" in sentence


def test_a_folder_that_cannot_be_written_to_is_one_sentence(
    local: list[Any], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    result = sgone(*local, "--out", tmp_path / "file" / "masks", folder)
    assert "file" in one_sentence(result)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--support", __file__], "2 --support but 1 --mask"),
        (["--support-set", "cats"], "or else --support-set"),
        (["--url", "http://127.0.0.1:9"], "leave out --url"),
        (["--model", "paper"], "--model is one of a service"),
    ],
)
def test_flags_that_do_not_go_together_are_a_usage_error(
    local: list[Any], folder: Path, flags: list[str], message: str
) -> None:
    result = sgone(*local, *flags, folder)
    assert (result.exit_code, message in result.stderr) == (2, True)


def test_a_support_set_needs_a_service(folder: Path, masks: Path) -> None:
    result = sgone("segment", "--support-set", "cats", "--out", masks, folder)
    assert (result.exit_code, "say which with --url" in result.stderr) == (2, True)


def test_the_document_tells_of_every_flag() -> None:
    document = (REPOSITORY / "docs" / "command-line.md").read_text(encoding="utf-8")
    flags = [flag for option in main.commands["segment"].params for flag in option.opts]
    assert [flag for flag in flags if flag.startswith("--") and flag not in document] == []


# Against a server


@pytest.fixture(scope="module")
def url(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``sgone serve`` as a process of its own, with the tiny network."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    network = ["--checkpoint", str(checkpoint), "--device", "cpu", "--precision", "float32"]
    with subprocess.Popen(
        [*SGONE, "serve", "--port", port, "--threads", "1", *network],
        cwd=tmp_path_factory.mktemp("server"),
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
                client.get(f"http://127.0.0.1:{port}/readyz", timeout=TIMEOUT).raise_for_status()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture
def remote(command: list[Any], url: str) -> list[Any]:
    """``sgone segment`` with a support, against the server."""
    return [*command, "--url", url]


@pytest.mark.slow
def test_a_server_gives_the_same_files_as_a_network_here(
    local: list[Any], remote: list[Any], folder: Path, masks: Path, tmp_path: Path
) -> None:
    photographs(folder / "sub", "3.jpg")
    formats = [
        argument
        for kind in ("masks", "overlays", "cutouts", "coco")
        for argument in ("--format", kind)
    ]
    shaping = ["--threshold", 0.4, "--min-area", 3, "--fill-holes", "--fusion", "union"]
    here = [*local, *formats, *shaping, "--out", tmp_path / "here"]
    assert sgone(*here, "--jobs", 1, folder).exit_code == 0
    there = sgone(*remote, *formats, *shaping, "--jobs", 1, folder)
    assert there.exit_code == 0, there.output
    assert contents(masks) == contents(tmp_path / "here")


@pytest.mark.slow
def test_a_server_needs_no_torch_here(remote: list[Any], folder: Path, masks: Path) -> None:
    program = (
        "import sys\n"
        "from service.cli import main\n"
        f"main({[str(argument) for argument in [*remote, '--format', 'overlays', folder]]}, "
        "standalone_mode=False)\n"
        "assert not {'torch', 'fastapi'} & sys.modules.keys()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert contents(masks).keys() == {"1.overlay.png", "2.overlay.png"}


@pytest.mark.slow
def test_what_a_network_here_has_begun_a_server_goes_on_with(
    local: list[Any], remote: list[Any], folder: Path, masks: Path
) -> None:
    assert sgone(*local, folder / "1.png").exit_code == 0
    result = sgone(*remote, folder)
    assert "1 of 2 queries are done already" in result.stderr
    assert contents(masks).keys() == {"1.png", "2.png"}


@pytest.mark.slow
def test_a_query_that_the_server_refuses_is_named_and_the_rest_go_on(
    remote: list[Any], folder: Path, masks: Path
) -> None:
    (folder / "0.png").write_bytes(b"broken")
    result = sgone(*remote, folder)
    assert result.exit_code == 1
    assert f"Error: {folder / '0.png'}: query_image is not an image" in result.stderr
    assert "1 of 3 queries failed; the rest are done" in result.stderr
    assert contents(masks).keys() == {"1.png", "2.png"}


@pytest.mark.slow
def test_supports_that_the_server_refuses_end_the_run(
    remote: list[Any], folder: Path, masks: Path, pair: tuple[Path, Path]
) -> None:
    pair[1].write_bytes(grey_mask(object_mask() & False))
    result = sgone(*remote, folder)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert result.stderr.count("no object pixel") == 1
    assert contents(masks) == {}


@pytest.fixture
def stored(url: str) -> Iterator[str]:
    """The id of a set that the server stores as ``cat on a sofa``, of label ``cat``."""
    parts = [file("support_image", encode(photograph())), file("support_mask", grey_mask())]
    texts = {"name": "cat on a sofa", "label": "cat"}
    created = httpx.post(f"{url}/supports", data=texts, files=parts).raise_for_status().json()
    yield created["id"]
    httpx.delete(f"{url}/supports/{created['id']}")


@pytest.mark.slow
def test_a_stored_set_stands_for_its_supports(
    remote: list[Any], url: str, stored: str, folder: Path, masks: Path, tmp_path: Path
) -> None:
    formats = ["--format", "masks", "--format", "coco", "--jobs", "1"]
    assert sgone(*remote, *formats, "--label", "cat", folder).exit_code == 0
    for given in ("cat on a sofa", stored):
        out = tmp_path / given
        result = sgone(
            "segment", "--url", url, "--support-set", given, "--out", out, *formats, folder
        )
        assert result.exit_code == 0, result.output
        assert contents(out) == contents(masks)


@pytest.mark.slow
def test_a_set_that_is_not_stored_is_one_sentence(
    url: str, stored: str, folder: Path, masks: Path
) -> None:
    result = sgone("segment", "--url", url, "--support-set", "dog", "--out", masks, folder)
    assert "no support set 'dog'" in one_sentence(result)


def test_a_server_that_is_away_is_one_sentence(command: list[Any], folder: Path) -> None:
    sentence = one_sentence(sgone(*command, "--url", "http://127.0.0.1:9", folder))
    assert "http://127.0.0.1:9" in sentence


def failing_finder(
    segment: Callable[[], httpx.Response], settings: Settings, *, later_away: bool = False
) -> RemoteFinder:
    """Asks a server whose /info answers, at least once, and whose masks are ``segment()``."""
    asked = []

    def reply(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/info":
            return segment()
        asked.append(request)
        if later_away and len(asked) > 1:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"checkpoint_sha256": "ab", "input_side": 65})

    client = SegmentationClient("http://service.invalid", transport=httpx.MockTransport(reply))
    return RemoteFinder(client, [], KShotOptions(), settings)


def broken_off() -> httpx.Response:
    raise httpx.ReadError("broken off")


def problem(status: int, field: str | None) -> httpx.Response:
    told = {"detail": "no", "code": "code", "title": "title", "status": status, "field": field}
    return httpx.Response(status, json=told)


@pytest.mark.parametrize(
    "segment",
    [broken_off, lambda: problem(422, "query_image"), lambda: problem(413, None)],
    ids=["a request that broke off", "a bad query", "too many bytes"],
)
def test_a_query_fails_alone(
    segment: Callable[[], httpx.Response], settings: Settings, folder: Path
) -> None:
    finder = failing_finder(segment, settings)
    with pytest.raises(RefusedQueryError, match=r"1\.png"):
        finder.find(folder / "1.png")


@pytest.mark.parametrize(
    "segment",
    [broken_off, lambda: problem(404, None), lambda: problem(422, "support_mask[0]")],
    ids=["a server that went away", "a set that was deleted", "a bad support"],
)
def test_what_would_fail_with_every_query_ends_the_run(
    segment: Callable[[], httpx.Response], settings: Settings, folder: Path
) -> None:
    finder = failing_finder(segment, settings, later_away=True)
    with pytest.raises(RemoteError):
        finder.find(folder / "1.png")
