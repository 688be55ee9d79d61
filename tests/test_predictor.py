"""The Predictor and the choice of device and precision."""

import numpy as np
import pytest
import torch

from model.episode import Support
from model.errors import DeviceError, EmptyMaskError, ImageShapeError, MaskSizeError
from model.executors.torch import TorchExecutor, choose_device, choose_precision
from model.predictor import Predictor
from model.transforms import TransformConfig


@pytest.fixture
def predictor(tiny_network):
    return Predictor(TorchExecutor(tiny_network, TransformConfig(side=65)))


def photograph(height=48, width=64, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


def shot(height=48, width=64, seed=0):
    mask = np.zeros((height, width), dtype=bool)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    return Support(photograph(height, width, seed), mask)


def test_the_probability_has_the_querys_size_and_range(predictor):
    probability = predictor.predict([shot()], photograph(101, 37, seed=1))
    assert probability.shape == (101, 37)
    assert 0 <= probability.min() <= probability.max() <= 1


@pytest.mark.parametrize("fusion", ["average", "union"])
def test_shots_of_different_sizes_go_together(predictor, fusion):
    shots = [shot(), shot(90, 40, 1), shot(33, 33, 2)]
    probability = predictor.predict(shots, photograph(), fusion)
    assert np.isfinite(probability).all()


def test_a_segmenter_keeps_nothing_between_requests(predictor):
    first = predictor.predict([shot()], photograph(seed=1))
    predictor.predict([shot(seed=5)], photograph(seed=6))
    assert np.array_equal(predictor.predict([shot()], photograph(seed=1)), first)


def test_bfloat16_agrees_with_float32(tiny_network):
    transform = TransformConfig(side=65)
    exact = Predictor(TorchExecutor(tiny_network, transform)).predict([shot()], photograph(seed=1))
    fast = Predictor(TorchExecutor(tiny_network, transform, dtype=torch.bfloat16))
    assert np.abs(fast.predict([shot()], photograph(seed=1)) - exact).max() < 0.05


def test_an_empty_mask_is_refused():
    with pytest.raises(EmptyMaskError, match="no object pixel"):
        Support(photograph(), np.zeros((48, 64), dtype=bool))


def test_a_mask_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(MaskSizeError, match="mask is 48x64, its image is 64x48"):
        Support(photograph(48, 64), np.ones((64, 48), dtype=bool))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), dtype=np.uint8),
        np.zeros((8, 8, 4), dtype=np.uint8),
        np.zeros((8, 8, 3), dtype=np.float32),
        np.zeros((0, 8, 3), dtype=np.uint8),
    ],
)
def test_arrays_that_are_no_photograph_are_refused(predictor, image):
    with pytest.raises(ImageShapeError, match="RGB"):
        predictor.prepare_query(image)


def test_cuda_without_a_gpu_is_a_clear_error():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match="no CUDA GPU"):
        choose_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "tpu:0", "mps", ""])
def test_an_unknown_device_lists_the_choices(name):
    with pytest.raises(DeviceError, match="choose auto, cpu or cuda"):
        choose_device(name)


def test_precision_by_name_and_unknown_precision():
    assert choose_precision("float32", torch.device("cpu")) == torch.float32
    with pytest.raises(DeviceError, match="choose auto, bfloat16 or float32"):
        choose_precision("int8", torch.device("cpu"))
