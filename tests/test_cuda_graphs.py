"""On a CUDA GPU: graphs give what the eager network gives, for the shapes that are given most."""

import numpy as np
import pytest
import torch

from model.episode import FUSIONS, Support
from model.executors.torch import TorchExecutor
from model.network.sgone import SGOne
from model.predictor import Predictor
from model.transforms import TransformConfig
from networks import NETWORKS, settle_statistics
from pictures import disc, photograph

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
SIZES = ((48, 64), (64, 48), (200, 50))


def predictor_of(network, device="cuda", graphs=64):
    transform = TransformConfig(97, stride=32)
    return Predictor(TorchExecutor(network, transform, torch.device(device), fixed_shapes=graphs))


@pytest.fixture(params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    return settle_statistics(SGOne(NETWORKS[request.param])).eval()


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("shots", [1, 3])
def test_graphs_give_what_the_eager_network_gives_again_and_again(network, shots, fusion):
    supports = [Support(photograph(seed=seed), disc()) for seed in range(shots)]
    queries = [photograph(*size, seed=9) for size in SIZES]
    eager, fast = predictor_of(network, graphs=0), predictor_of(network)
    expected = [eager.predict(supports, query, fusion) for query in queries]
    for _ in range(4):
        for query, probability in zip(queries, expected, strict=True):
            found = fast.predict(supports, query, fusion)
            assert np.abs(found - probability).max() < 1e-3 and found.std() > 0
    assert fast.executor.graphs.recordings.kept


def test_a_gpu_gives_what_the_cpu_gives(network):
    """But for rounding: a GPU's convolutions of float32 multiply tf32."""
    supports = [Support(photograph(seed=seed), disc()) for seed in range(2)]
    exact, fast = (
        predictor_of(network, device).predict(supports, photograph(seed=9))
        for device in ("cpu", "cuda")
    )
    assert np.abs(fast - exact).mean() < 2e-3


def test_images_of_one_shape_do_not_mix(network):
    """What a graph wrote for one image is not what it writes for the next."""
    fast, eager = predictor_of(network), predictor_of(network, graphs=0)
    images = [fast.prepare_query(photograph(seed=seed)).image for seed in range(7)]
    replayed, plainly = (
        [predictor.executor.read(image) for image in images] for predictor in (fast, eager)
    )
    for graph, plain in zip(replayed, plainly, strict=True):
        for one, other in zip(graph, plain, strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-3)
    assert not torch.equal(replayed[0][0], replayed[1][0])


def test_no_more_graphs_are_kept_than_are_allowed(network):
    fast = predictor_of(network, graphs=2)
    support = Support(photograph(), disc())
    for size in SIZES * 3:
        fast.predict([support], photograph(*size))
    assert len(fast.executor.graphs.recordings.kept) == 2


def test_a_step_that_cannot_be_recorded_runs_as_it_is(network, caplog):
    """A step that waits for the CPU is none for a graph."""
    graphs = predictor_of(network).executor.graphs

    def waits(inputs):
        return (inputs[0] * float(inputs[0].sum()),)

    ones = torch.ones(3, device="cuda")
    for _ in range(4):
        assert graphs.run(waits, (ones,))[0].tolist() == [3.0, 3.0, 3.0]
    assert "no more CUDA graphs" in caplog.text and not graphs.recordings.kept
