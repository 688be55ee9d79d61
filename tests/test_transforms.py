"""Pixels to network input and back."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from model.datasets.augmentation import TrainingTransform, square
from model.network.backbone import normalise
from model.network.guidance import union
from model.transforms import (
    TransformConfig,
    enlarge,
    network_size,
    resize_image,
    resize_mask,
    restore,
    unite,
)


@pytest.mark.parametrize(
    ("height", "width"), [(100, 100), (375, 500), (500, 375), (4000, 300), (33, 500)]
)
def test_the_network_sees_as_many_pixels_of_any_photograph_at_its_own_aspect(height, width):
    sides = network_size(height, width, 257)
    assert all(side % 8 == 1 for side in sides)
    assert sides[0] * sides[1] == pytest.approx(257**2, rel=0.06)
    assert sides[1] / sides[0] == pytest.approx(width / height, rel=0.06)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3999), (4000, 9), (33, 3999)])
def test_strips_are_squeezed_so_that_no_photograph_costs_more(height, width):
    sides = network_size(height, width, 257)
    assert all(side % 8 == 1 and side >= 9 for side in sides)
    assert max(sides) <= 4 * 257 + 8
    assert sides[0] * sides[1] <= 257**2 * 1.06


@pytest.mark.parametrize(
    ("shape", "size"), [((3000, 4000), (193, 257)), ((9, 4000), (33, 1281)), ((5, 7), (33, 33))]
)
def test_a_one_pixel_object_survives_resizing(shape, size):
    mask = np.zeros(shape, dtype=bool)
    mask[shape[0] // 2, shape[1] // 3] = True
    assert resize_mask(mask, size).sum() > 0


def test_a_mask_of_ones_has_no_weight_above_one():
    weights = resize_mask(np.ones((9, 4000), dtype=bool), (33, 1281))
    assert weights.max() <= 1


def test_mask_weights_are_the_objects_share_of_a_pixel():
    mask = np.zeros((80, 80), dtype=bool)
    mask[:, :40] = True
    weights = resize_mask(mask, (8, 8))
    assert np.allclose(weights[:, :3], 1)
    assert np.allclose(weights[:, 5:], 0)


def test_normalising_gives_zero_at_the_mean_and_one_a_deviation_above():
    config = TransformConfig(mean=(0.2, 0.4, 0.6), std=(0.2, 0.2, 0.4))
    pixels = torch.tensor([[51, 102], [102, 153], [153, 255]], dtype=torch.uint8).view(3, 1, 2)
    expected = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]).view(3, 1, 2)
    assert torch.allclose(normalise(pixels, config), expected, atol=1e-5)


def test_bgr_weights_get_their_channels_in_reverse():
    pixels = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    rgb = normalise(pixels.flip(1), TransformConfig())
    assert torch.equal(normalise(pixels, TransformConfig(channel_order="bgr")), rgb)


def test_probability_comes_back_at_the_photographs_size_with_smooth_edges():
    logits = np.zeros((2, 9, 9), np.float32)
    logits[1] = np.linspace(-4, 4, 9)
    probability = restore(logits, (90, 120))
    assert probability.shape == (90, 120)
    assert probability.dtype == np.float32
    steps = np.diff(probability[45])
    assert (steps >= 0).all()
    assert steps.max() < 0.05
    assert np.allclose(probability[:, 59:61], 0.5, atol=0.02)


def test_a_probability_is_finite_however_sure_the_network_is():
    logits = np.array([[[-500.0, 500.0]], [[500.0, -500.0]]], np.float32)
    assert restore(logits, (1, 2)).tolist() == [[1.0, pytest.approx(0, abs=1e-30)]]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(
    ("cells", "size"), [((9, 5), (65, 33)), ((1, 41), (7, 321)), ((6, 6), (3, 6))]
)
def test_logits_are_enlarged_as_torch_does(cells, size, align_corners):
    logits = np.random.default_rng(0).normal(size=(3, 2, *cells)).astype(np.float32)
    expected = interpolate(
        torch.from_numpy(logits), size, mode="bilinear", align_corners=align_corners
    )
    assert np.abs(enlarge(logits, size, align_corners) - expected.numpy()).max() < 1e-5


def test_shots_are_united_as_torch_does():
    logits = np.random.default_rng(0).normal(size=(3, 2, 9, 7)).astype(np.float32)
    expected = union(torch.from_numpy(logits)[None])[0]
    assert np.array_equal(unite(logits), expected.numpy())


def test_image_and_label_are_augmented_together():
    image = np.zeros((100, 140, 3), dtype=np.uint8)
    image[20:80, 30:90] = 255
    label = (image[..., 0] > 0).astype(np.uint8)
    transform = TrainingTransform(65)
    for seed in range(20):
        torch.manual_seed(seed)
        pixels, target = transform(image, label)
        assert pixels.shape == (3, 65, 65)
        agreement = ((pixels.float().mean(dim=0) > 60) == (target == 1)).float().mean()
        assert agreement > 0.95


def test_a_crop_never_loses_the_object():
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    label = np.zeros((200, 200), dtype=np.uint8)
    label[:40, :40] = 1
    transform = TrainingTransform(65, min_object_pixels=64)
    for seed in range(30):
        torch.manual_seed(seed)
        assert (transform(image, label)[1] == 1).sum() >= 64


def test_labels_keep_their_values_when_resized():
    label = np.zeros((50, 70), dtype=np.uint8)
    label[10:30, 10:50] = 1
    label[30:33] = 255
    _, target = square(np.zeros((50, 70, 3), dtype=np.uint8), label, 33)
    assert set(target.unique().tolist()) == {0, 1, 255}


def test_resizing_averages_a_checkerboard_away():
    board = np.indices((128, 128)).sum(axis=0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    small = resize_image(image, (32, 32)).astype(float)
    assert np.abs(small - 127.5).max() < 16


@pytest.mark.parametrize(
    ("shape", "size", "most"),
    [((128, 128), (32, 32), 1), ((16, 128), (33, 32), 1), ((128, 128), (100, 90), 55)],
)
def test_resizing_averages_stripes_away_along_an_axis_that_shrinks(shape, size, most):
    stripes = np.broadcast_to(np.arange(shape[1]) % 2 * 255, shape)
    image = np.repeat(stripes[..., None], 3, axis=2).astype(np.uint8)
    small = resize_image(image, size).astype(float)
    assert small.shape == (3, *size)
    assert np.abs(small - 127.5).max() < most
