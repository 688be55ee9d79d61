"""Every executor gives what torch gives, in float32; which one runs what."""

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.checkpoint import Card, Checkpoint, load_checkpoint, save_checkpoint
from model.episode import FUSIONS, Support
from model.errors import DeviceError
from model.executors.choose import Placement, open_executor
from model.executors.export import STEPS, graph_folder, load_graphs, write_portable
from model.executors.openvino import OpenVinoExecutor
from model.executors.protocol import split_shots, stack_shots
from model.network.architecture import SGOneConfig
from model.network.sgone import SGOne
from model.predictor import Predictor
from model.transforms import TransformConfig
from networks import NETWORKS, settle_statistics
from pictures import disc, photograph

EXAMPLES = Path(__file__).parents[1] / "examples"
SHIPPED = Path(__file__).parents[1] / "weights" / "sgone-efficientnet-lite2.safetensors"
# Of probability, between two float32 executors; measured: 2.5e-6 on the example photographs.
TOLERANCE = 2e-5


def checkpoint_of(config: SGOneConfig, folder: Path) -> Checkpoint:
    torch.manual_seed(0)
    path = folder / "network.safetensors"
    card = Card("random", (), "noise", 0, {}, "2026-01-01", "none", "")
    network = settle_statistics(SGOne(config)).eval()
    save_checkpoint(path, network, TransformConfig(97, stride=32), card, "float32")
    return load_checkpoint(path)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module", params=NETWORKS)
def predictors(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> list[Predictor]:
    """One checkpoint by OpenVINO and by torch."""
    checkpoint = checkpoint_of(NETWORKS[request.param], tmp_path_factory.mktemp("weights"))
    return [
        Predictor(open_executor(checkpoint, Placement(name, "cpu", "float32", cache=cache)))
        for name in ("openvino", "torch")
    ]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("shots", [1, 3])
@pytest.mark.parametrize("size", [(48, 64), (200, 50), (33, 33)])
def test_openvino_gives_what_torch_gives_at_any_size(predictors, size, shots, fusion):
    supports = [Support(photograph(seed=seed), disc()) for seed in range(shots)]
    probabilities = [
        predictor.predict(supports, photograph(*size, seed=9), fusion) for predictor in predictors
    ]
    assert np.abs(probabilities[0] - probabilities[1]).max() < TOLERANCE
    assert probabilities[0].std() > 0


def test_a_support_encoded_by_one_executor_serves_the_other(predictors):
    support, query = Support(photograph(), disc()), photograph(seed=3)
    logits = []
    for encoder, other in (predictors, predictors[::-1]):
        shots = encoder.encode_support([encoder.prepare_support(support)])
        logits.append(other.segment(other.prepare_query(query), shots))
    assert np.abs(logits[0] - logits[1]).max() < 1e-3


@pytest.mark.slow
def test_the_shipped_network_gives_the_same_masks_of_photographs(cache):
    checkpoint = load_checkpoint(SHIPPED)
    pictures = {
        name: np.asarray(Image.open(EXAMPLES / f"{name}.jpg").convert("RGB"))
        for name in ("astronaut", "grace_hopper", "photographer")
    }
    masks = {
        name: np.asarray(Image.open(EXAMPLES / f"{name}.mask.png").convert("L")) > 127
        for name in pictures
    }
    results = []
    for name in ("openvino", "torch"):
        predictor = Predictor(
            open_executor(checkpoint, Placement(name, "cpu", "float32", cache=cache))
        )
        results.append(
            np.concatenate(
                [
                    predictor.predict([Support(pictures[one], masks[one])], pictures[other]).ravel()
                    for one, other in (("astronaut", "photographer"), ("grace_hopper", "astronaut"))
                ]
            )
        )
    assert np.abs(results[0] - results[1]).max() < TOLERANCE
    assert np.mean((results[0] > 0.5) == (results[1] > 0.5)) > 0.9999


def test_features_that_are_used_once_give_the_same(predictors):
    executor = predictors[0].executor
    support = predictors[0].prepare_support(Support(photograph(), disc()))
    query = predictors[0].prepare_query(photograph(seed=3))
    logits = []
    for once in (True, False):
        shown, asked = (executor.read(image, once) for image in (support.image, query.image))
        shots = executor.encode(support, shown)
        logits.append(executor.find(asked, query.network_size, shots, "average").logits)
    assert np.abs(logits[0] - logits[1]).max() < 1e-4


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("shots", [1, 3])
def test_executors_agree_on_an_objects_presence(predictors, shots, fusion):
    supports = [Support(photograph(seed=seed), disc()) for seed in range(shots)]
    presence = []
    for predictor in predictors:
        executor = predictor.executor
        encoded = predictor.encode_support([predictor.prepare_support(one) for one in supports])
        query = predictor.prepare_query(photograph(seed=9))
        features = executor.read(query.image)
        found = executor.find(features, query.network_size, encoded, fusion)
        presence.append(found.presence)
    assert 0 < presence[0] < 1
    assert presence[0] == pytest.approx(presence[1], abs=TOLERANCE)


def test_sizes_that_recur_get_graphs_of_their_own(tmp_path, cache):
    checkpoint = checkpoint_of(NETWORKS["matching"], tmp_path)
    placement = Placement("openvino", "cpu", "float32", cache=cache)
    free, fixed = (
        open_executor(checkpoint, dataclasses.replace(placement, fixed_shapes=count))
        for count in (0, 1)
    )
    predictors = [Predictor(executor) for executor in (free, fixed)]
    support = predictors[0].prepare_support(Support(photograph(), disc()))
    shots = predictors[0].encode_support([support])

    def difference(size: tuple[int, int]) -> float:
        query = predictors[0].prepare_query(photograph(*size))
        one, other = (predictor.segment(query, shots) for predictor in predictors)
        return float(np.abs(one - other).max())

    def kept() -> list[int]:
        """Heights of the queries that have a graph of their own; none is being compiled."""
        assert isinstance(fixed, OpenVinoExecutor)
        fixed.fixed_shapes.wait()
        return [shapes[0][2] for _, shapes in fixed.fixed_shapes.graphs.kept]

    landscape, portrait = (40, 90), (90, 40)
    assert difference(landscape) < TOLERANCE and kept() == []
    assert difference(landscape) < TOLERANCE and len(kept()) == 1
    assert difference(landscape) < 1e-4  # by its own graph
    before = kept()
    for _ in range(4):
        assert difference(portrait) < 1e-4 and kept() == before
    assert [difference(portrait) < 1e-4 for _ in range(3)] and kept() != before
    assert difference(portrait) < 1e-4 and difference(landscape) < 1e-4


def test_shots_are_stacked_and_split_without_a_change():
    shots = [(np.full((1, 1, 4), number, np.float32),) for number in range(3)]
    together = stack_shots(shots)
    assert together[0].shape == (1, 3, 4)
    assert [one[0].item(0) for one in split_shots(together)] == [0, 1, 2]


def test_openvino_is_chosen_on_a_cpu_and_torch_where_it_is_asked_for(tmp_path, cache):
    checkpoint = checkpoint_of(NETWORKS["similarity"], tmp_path)
    names = [
        open_executor(checkpoint, Placement(name, "cpu", cache=cache)).name
        for name in ("auto", "torch")
    ]
    assert names == ["openvino", "torch"]


def test_a_network_that_reads_supports_apart_is_run_by_torch(tmp_path, cache):
    config = dataclasses.replace(NETWORKS["similarity"], support_mask="image")
    checkpoint = checkpoint_of(config, tmp_path)
    assert open_executor(checkpoint, Placement(device="cpu", cache=cache)).name == "torch"
    with pytest.raises(DeviceError, match="reads supports apart"):
        open_executor(checkpoint, Placement("openvino", "cpu", cache=cache))


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """As if the package were not installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == package else found(name)
    )


def test_without_torch_what_takes_it_is_one_sentence(tmp_path, cache, monkeypatch):
    checkpoint = checkpoint_of(NETWORKS["similarity"], tmp_path)
    hide(monkeypatch, "torch")
    for placement in (Placement("torch", "cpu"), Placement(device="cuda")):
        with pytest.raises(DeviceError, match=r"takes torch.*'sg-one-service\[torch\]'"):
            open_executor(checkpoint, placement)
    with pytest.raises(DeviceError, match=r"run sgone graphs network\.safetensors"):
        open_executor(checkpoint, Placement(device="cpu", cache=tmp_path / "empty"))


def test_without_torch_a_gpu_is_left_alone_and_the_log_says_so(
    tmp_path, cache, monkeypatch, caplog
):
    checkpoint = checkpoint_of(NETWORKS["similarity"], tmp_path)
    write_portable(checkpoint)
    hide(monkeypatch, "torch")
    monkeypatch.setattr("model.executors.choose.GPU_TRACES", (tmp_path,))
    assert open_executor(checkpoint, Placement(cache=cache)).name == "openvino"
    assert "for the GPU pip install" in caplog.text


def test_without_openvino_torch_runs_it_and_the_fix_is_named(tmp_path, cache, monkeypatch):
    checkpoint = checkpoint_of(NETWORKS["similarity"], tmp_path)
    hide(monkeypatch, "openvino")
    assert open_executor(checkpoint, Placement(device="cpu", cache=cache)).name == "torch"
    with pytest.raises(DeviceError, match="pip install"):
        open_executor(checkpoint, Placement("openvino", "cpu", cache=cache))


@pytest.mark.parametrize(
    ("placement", "sentence"),
    [
        ({"executor": "onnx"}, "choose auto, openvino or torch"),
        ({"executor": "openvino", "device": "cuda"}, "choose cpu, or torch"),
        ({"device": "cpu", "precision": "int8"}, "choose auto, bfloat16 or float32"),
    ],
)
def test_a_placement_that_cannot_be_is_one_sentence(tmp_path, cache, placement, sentence):
    checkpoint = checkpoint_of(NETWORKS["similarity"], tmp_path)
    with pytest.raises(DeviceError, match=sentence):
        open_executor(checkpoint, Placement(**placement, cache=cache))


def test_graphs_are_made_once_and_found_again(tmp_path):
    checkpoint = checkpoint_of(NETWORKS["similarity"], tmp_path)
    load_graphs(checkpoint, tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    load_graphs(checkpoint, tmp_path / "cache")
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_broken_graphs_are_made_again(tmp_path):
    checkpoint = checkpoint_of(NETWORKS["similarity"], tmp_path)
    load_graphs(checkpoint, tmp_path / "cache")
    (broken,) = (tmp_path / "cache").glob("*/compare.xml")
    broken.write_text("<net", encoding="utf-8")
    assert {*STEPS} < {*load_graphs(checkpoint, tmp_path / "cache")}
    assert broken.read_text(encoding="utf-8") != "<net"


def test_other_weights_have_other_graphs(tmp_path):
    checkpoint = checkpoint_of(NETWORKS["similarity"], tmp_path)
    load_graphs(checkpoint, tmp_path / "cache")
    load_graphs(dataclasses.replace(checkpoint, sha256="0" * 64), tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path, caplog):
    checkpoint = checkpoint_of(NETWORKS["similarity"], tmp_path)
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    assert load_graphs(checkpoint, tmp_path / "file")
    assert "are not kept" in caplog.text


def test_a_folder_that_cannot_keep_what_is_compiled_is_no_failure(tmp_path):
    checkpoint = checkpoint_of(NETWORKS["similarity"], tmp_path)
    load_graphs(checkpoint, tmp_path)
    compiled = graph_folder(checkpoint, tmp_path) / "compiled"
    compiled.write_text("not a folder", encoding="utf-8")
    assert open_executor(checkpoint, Placement("openvino", "cpu", cache=tmp_path)).name
    assert compiled.read_text(encoding="utf-8") == "not a folder"


@pytest.mark.slow
def test_a_checkpoint_with_graphs_is_run_without_torch(cache):
    placement = f"Placement('openvino', 'cpu', cache=Path({str(cache)!r}))"
    code = (
        "import sys; from pathlib import Path; from model.checkpoint import load_checkpoint; "
        "from model.executors.choose import *; "
        f"open_executor(load_checkpoint(Path({str(SHIPPED)!r})), {placement}); "
        "print('torch' in sys.modules)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
        )
        for _ in range(2)
    ]
    assert runs[1].stdout.strip() == "False"
