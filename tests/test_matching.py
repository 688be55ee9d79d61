"""The head that compares every depth of the backbone."""

import dataclasses

import pytest
import torch

from model.network.architecture import SGOneConfig
from model.network.backbone import BACKBONES
from model.network.comparison import (
    FIXED_MAPS,
    LearnedAttention,
    TapComparison,
    directions,
    first_guess,
    pool_cells,
    to_cells,
)
from model.network.matching import _summary
from model.network.sgone import SGOne
from model.training.recipe import Optimiser
from networks import settle_statistics

SMALL = SGOneConfig(
    backbone="mobilenet_v2_pyramid",
    head="matching",
    branch_channels=8,
    query_channels=4,
    support_cells=5,
    align_corners=True,
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return settle_statistics(SGOne(SMALL)).eval().requires_grad_(False)


def episode(batch=1, shots=1, side=65, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, shots, 3, side, side, generator=generator)
    masks = torch.zeros(batch, shots, side, side)
    masks[..., 8:40, 16:48] = 1
    return torch.randn(batch, 3, side, side, generator=generator), images, masks


def two_regions(cells=6):
    """(1, 2, cells, cells) features: the left half points one way, the right half another."""
    features = torch.zeros(1, 2, cells, cells)
    features[:, 0, :, : cells // 2] = 1
    features[:, 1, :, cells // 2 :] = 1
    return features


def compare(query, support, shares):
    cells = support.flatten(2).transpose(1, 2)
    return TapComparison(query, cells, shares.flatten(1))


def test_every_fixed_map_but_the_backgrounds_is_higher_on_the_object():
    query, support = two_regions(), two_regions().flip(3)
    shares = torch.zeros(1, 6, 6)
    shares[..., 3:] = 1  # the support's object points as the query's left half does
    tap = compare(query, support, shares)
    attention = tap.attention()
    maps = tap.fixed_maps(attention, first_guess([attention]))
    left, right = maps[..., :3].mean(dim=(0, 2, 3)), maps[..., 3:].mean(dim=(0, 2, 3))
    background = torch.tensor([False, False, True, False, True, False, True])
    assert maps.shape == (1, FIXED_MAPS, 6, 6)
    assert torch.equal(left < right, background)


def test_attention_without_learning_is_a_share_of_the_mask():
    tap = compare(torch.randn(2, 8, 4, 5), torch.randn(2, 8, 3, 3), torch.rand(2, 3, 3))
    attention = tap.attention()
    assert attention.shape == (2, 1, 4, 5)
    assert attention.min() >= 0 and attention.max() <= 1


def test_what_all_cells_share_does_not_change_a_comparison():
    query, support, shares = torch.randn(1, 8, 4, 4), torch.randn(1, 8, 4, 4), torch.rand(1, 4, 4)
    shift = torch.randn(1, 8, 1, 1) * 5
    plain, shifted = (
        compare(query, support, shares),
        compare(query + shift, support + shift, shares),
    )
    assert torch.allclose(plain.cosine, shifted.cosine, atol=1e-5)
    assert torch.allclose(directions(query), directions(query + shift), atol=1e-5)


@pytest.mark.parametrize("covered", [0.0, 1.0])
def test_an_object_that_is_nowhere_or_everywhere_gives_finite_maps(covered):
    tap = compare(torch.randn(1, 8, 4, 4), torch.randn(1, 8, 3, 3), torch.full((1, 3, 3), covered))
    attention = tap.attention()
    assert torch.isfinite(tap.fixed_maps(attention, first_guess([attention]))).all()


@pytest.mark.parametrize("fusion", ["average", "union"])
def test_a_batch_equals_its_items_one_by_one(network, fusion):
    query, images, masks = episode(batch=2, shots=2)
    together = network(query, images, masks, fusion)
    for item in range(2):
        part = slice(item, item + 1)
        alone = network(query[part], images[part], masks[part], fusion)
        assert torch.allclose(together[part], alone, atol=1e-4)


@pytest.mark.parametrize("fusion", ["average", "union"])
def test_the_order_of_shots_does_not_matter(network, fusion):
    query, images, masks = episode(shots=3)
    turned = network(query, images.flip(1), masks.flip(1), fusion)
    assert torch.allclose(turned, network(query, images, masks, fusion), atol=1e-4)


def test_shots_of_different_sizes_are_compared_together(network):
    query, images, masks = episode()
    small = network.encode_support(images[..., :49, :33], masks[..., :49, :33])
    shots = zip(network.encode_support(images, masks), small, strict=True)
    both = tuple(torch.cat(parts, dim=1) for parts in shots)
    assert network.segment(query, both).shape == (1, 2, 65, 65)


def test_another_mask_gives_another_result(network):
    query, images, masks = episode()
    other = network(query, images, 1 - masks)
    assert not torch.allclose(other, network(query, images, masks), atol=1e-3)


def test_an_object_of_one_pixel_gives_finite_logits(network):
    query, images, masks = episode()
    masks = torch.zeros_like(masks)
    masks[..., 30, 41] = 1
    assert torch.isfinite(network(query, images, masks)).all()


def test_only_the_head_learns_behind_a_frozen_backbone():
    from model.training.objective import build_optimiser

    torch.manual_seed(0)
    network = SGOne(SMALL).train()
    network.backbone.requires_grad_(False)
    optimiser = build_optimiser(Optimiser(), network)
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    network(*episode()).square().mean().backward()
    optimiser.step()
    changed = {
        name for name, weight in network.named_parameters() if not weight.equal(before[name])
    }
    assert changed == {name for name in before if name.startswith("head.")}


def test_the_head_keeps_shots_as_the_same_number_of_cells(network):
    _, images, masks = episode(shots=2)
    encoding = network.encode_support(images, masks)
    wide = network.encode_support(images[..., :33, :], masks[..., :33, :])
    assert [tensor.shape for tensor in encoding] == [tensor.shape for tensor in wide]
    sides = [5] * 5 + [3] * 4  # half as many at stride 32
    widths = BACKBONES["mobilenet_v2_pyramid"]().channels[1:]
    for cells, shares, side, width in zip(
        encoding[::2], encoding[1::2], sides, widths, strict=True
    ):
        assert cells.shape == (1, 2, side * side, width)
        assert shares.shape == (1, 2, side * side, 1)


@pytest.mark.parametrize(
    "options", [{"head": "matching"}, {"backbone": "mobilenet_v2_pyramid"}], ids=str
)
def test_a_head_that_does_not_fit_its_backbone_is_refused(options):
    with pytest.raises(ValueError, match="does not fit"):
        SGOneConfig(**options)


@pytest.mark.parametrize(
    ("size", "side"), [((19, 25), 25), ((41, 41), 13), ((5, 60), 7), ((6, 6), 6)]
)
def test_cells_are_pooled_as_torch_pools_adaptively(size, side):
    features = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = to_cells(torch.nn.functional.adaptive_avg_pool2d(features, side))
    torch.testing.assert_close(pool_cells(features, side), expected, atol=1e-6, rtol=1e-5)


WITH_PRESENCE = dataclasses.replace(SMALL, presence=True, compared_stride=8)


@pytest.fixture(scope="module")
def wary_network():
    torch.manual_seed(0)
    return settle_statistics(SGOne(WITH_PRESENCE)).eval().requires_grad_(False)


def find(network, query, images, masks):
    size = (query.shape[-2], query.shape[-1])
    features, encoding = network.backbone(query), network.encode_support(images, masks)
    return network.find_features(features, size, encoding)


def test_presence_is_one_number_a_query_whatever_the_shots(wary_network):
    for shots in (1, 3):
        logits, presence = find(wary_network, *episode(batch=2, shots=shots))
        assert logits.shape == (2, 2, 65, 65)
        assert presence.shape == (2,)


def test_presence_follows_the_query_and_the_support(wary_network):
    query, images, masks = episode()
    _, presence = find(wary_network, query, images, masks)
    _, of_another_query = find(wary_network, episode(seed=5)[0], images, masks)
    _, of_another_mask = find(wary_network, query, images, masks.roll(20, dims=-1))
    assert presence != of_another_query
    assert presence != of_another_mask


def test_presence_tells_a_query_that_repeats_the_support_by_cosines_no_training_can_change():
    flat = torch.full((1, 1, 4, 4), -1.0)
    peak = flat.clone()
    peak[..., 0, 0] = 1.0
    (mean, highest), (flat_mean, flat_highest) = _summary(peak)[0], _summary(flat)[0]
    assert highest > 0.9 > flat_highest
    assert mean == pytest.approx(-0.875)
    assert flat_mean == flat_highest == -1


def test_without_a_branch_presence_is_the_surest_cells_margin(network):
    features = network.backbone(episode()[0])
    encoding = network.encode_support(*episode()[1:])
    logits, presence = network.head.find(features, encoding)
    assert presence == (logits[:, :, 1] - logits[:, :, 0]).amax()


def test_taps_that_are_compared_at_stride_8_learn_no_metric(wary_network):
    first, *rest = wary_network.head.attention
    assert isinstance(first, torch.nn.Identity)
    assert all(isinstance(attention, LearnedAttention) for attention in rest)


def test_what_is_marked_rightly_is_sought_and_found_in_the_support():
    query, support = two_regions(), two_regions().flip(3)
    shares = torch.zeros(1, 6, 6)
    shares[..., 3:] = 1  # the support's object points as the query's left half does
    tap = compare(query, support, shares)
    right, wrong = torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 6, 6)
    right[..., :3], wrong[..., 3:] = 1, 1
    assert tap.cross_reference(right)[0].tolist() == pytest.approx([1, -1, 1], abs=1e-4)
    assert tap.cross_reference(wrong)[0].tolist() == pytest.approx([-1, 1, -1], abs=1e-4)


def test_a_cross_reference_of_nothing_marked_is_finite():
    tap = compare(torch.randn(1, 8, 4, 4), torch.randn(1, 8, 3, 3), torch.zeros(1, 3, 3))
    assert tap.cross_reference(torch.zeros(1, 1, 4, 4)).isfinite().all()
