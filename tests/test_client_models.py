"""The client and several models, over real HTTP."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_array_equal
from PIL import Image

import service.inference.trial
from pictures import encode, grey_mask, photograph
from service.app import create_app
from service.cli import main
from service.client import AsyncSegmentationClient, ProblemError, SegmentationClient
from service.settings import Settings
from serving import served
from test_models_routes import KEY, other_checkpoint, two

__all__ = ["other_checkpoint", "two"]
SUPPORTS = [(encode(photograph()), grey_mask())]
QUERY = encode(photograph(37, 51, seed=1))


@pytest.fixture
def url(two: Settings) -> Iterator[str]:
    with served(create_app(two)) as url:
        yield url


def test_a_call_names_its_model_or_the_client_does(url: str) -> None:
    with SegmentationClient(url) as client, SegmentationClient(url, model="second") as other:
        assert client.segment(QUERY, SUPPORTS, output="json").model == "tiny"
        assert client.segment(QUERY, SUPPORTS, output="json", model="second").model == "other"
        assert other.segment(QUERY, SUPPORTS, output="json").model == "other"
        assert other.segment(QUERY, SUPPORTS, output="json", model="first").model == "tiny"
        (result,) = other.segment_batch([QUERY], SUPPORTS)
        assert result.segmentation is not None and result.segmentation.model == "other"
        assert (client.info()["model"], other.info()["model"]) == ("tiny", "other")
        stored = other.create_support_set("mug", SUPPORTS)
        assert other.segment(QUERY, support_set=stored.id, output="json").model == "other"


def test_models_are_listed_and_reloaded(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.inference.trial, "LEAST_IOU", 0.0)
    with SegmentationClient(url) as client:
        first, second = client.list_models()
        assert (first.name, first.default, first.state) == ("first", True, "loaded")
        assert (second.name, second.default, second.state) == ("second", False, "not_loaded")
        assert second.card is not None and second.card["title"] == "other"
        reloaded = client.reload_model("second", admin_key=KEY)
        assert reloaded["checkpoint_sha256"] == second.card["checkpoint_sha256"]
        assert [model.state for model in client.list_models()] == ["loaded", "loaded"]
        with pytest.raises(ProblemError) as caught:
            client.reload_model("second", admin_key="another key")
        assert caught.value.code == "wrong_admin_key"
        with pytest.raises(ProblemError, match="choose of first, second"):
            client.segment(QUERY, SUPPORTS, model="third")


def test_the_asynchronous_client_does_the_same(url: str) -> None:
    async def body() -> list[str]:
        async with AsyncSegmentationClient(url, model="second") as client:
            return [model.name for model in await client.list_models()] + [
                (await client.segment(QUERY, SUPPORTS, output="json")).model
            ]

    assert asyncio.run(body()) == ["first", "second", "other"]


def test_the_command_names_a_model_of_the_service(url: str, tmp_path: Path) -> None:
    files = {"support.png": SUPPORTS[0][0], "mask.png": SUPPORTS[0][1], "query.png": QUERY}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    support, mask, query = (str(tmp_path / name) for name in files)

    def segment(model: str, out: str) -> tuple[int, str]:
        given = ["--support", support, "--mask", mask, "--out", str(tmp_path / out)]
        command = ["segment", "--url", url, "--model", model, *given, query]
        result = CliRunner().invoke(main, command)
        return result.exit_code, result.output

    code, said = segment("third", "third")
    assert (code, "choose of first, second" in said) == (1, True)
    for model in ("first", "second"):
        assert segment(model, model)[0] == 0
    with SegmentationClient(url) as client:
        for model in ("first", "second"):
            found = client.segment(QUERY, SUPPORTS, output="json", model=model)
            (written,) = (tmp_path / model).rglob("*.png")
            with Image.open(written) as mask_of:
                assert_array_equal(np.asarray(mask_of) > 127, found.mask)
