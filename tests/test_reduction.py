"""Wide taps reduced to their principal components."""

import torch
import torch.nn.functional as F
from torch import nn

from model.network.backbone import Backbone
from model.training.reduction import fit_reduction, principal_components


def plane(count=400, channels=12, seed=0):
    """(N, C) cells in a plane, away from the origin."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(channels, 2, generator=generator)).Q
    spread = torch.randn(count, 2, generator=generator) * torch.tensor([3.0, 1.0])
    return spread @ basis.T + 5


def test_components_of_cells_in_a_plane_span_it():
    cells = plane()
    components = principal_components(cells, 2)
    centred = cells - cells.mean(dim=0)
    torch.testing.assert_close(centred @ components.T @ components, centred, atol=1e-4, rtol=0)
    torch.testing.assert_close(components @ components.T, torch.eye(2), atol=1e-5, rtol=0)


def test_the_first_component_has_the_most_variance():
    cells = plane()
    spread = ((cells - cells.mean(dim=0)) @ principal_components(cells, 2).T).std(dim=0)
    assert spread[0] > 2 * spread[1]


def wide_backbone():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 24, 1), nn.ReLU())
    return Backbone(layers, taps=(1,), channels=(24,), strides=(1,), reduced=(16,))


def test_cosines_of_reduced_taps_are_nearly_those_of_wide_ones():
    backbone = wide_backbone()
    images = torch.randn(6, 3, 12, 12)
    fit_reduction(backbone, images.split(2), seed=0)
    with torch.no_grad():
        (wide,), (narrow,) = backbone.read_taps(images), backbone(images)
    cosines = [
        F.normalize(maps.flatten(2) - maps.mean(dim=(0, 2, 3))[:, None], dim=1)
        for maps in (wide, narrow)
    ]
    first, second = (maps[0].T @ maps[1] for maps in cosines)
    assert (first - second).abs().mean() < 0.02


def test_the_same_images_and_seed_give_the_same_components():
    images = torch.randn(4, 3, 16, 16)
    first, again = wide_backbone(), wide_backbone()
    for backbone in (first, again):
        fit_reduction(backbone, images.split(2), seed=3)
    assert torch.equal(first.reduce[0].weight, again.reduce[0].weight)


def test_a_backbone_without_wide_taps_stays_as_it_is():
    backbone = Backbone(nn.Sequential(nn.Conv2d(3, 4, 1)), (0,), (4,), (1,))
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    fit_reduction(backbone, [torch.randn(1, 3, 4, 4)], seed=0)
    assert all(torch.equal(backbone.state_dict()[key], before[key]) for key in before)


def test_batch_statistics_stay_as_they_are():
    layers = nn.Sequential(nn.Conv2d(3, 24, 1), nn.BatchNorm2d(24))
    backbone = Backbone(layers, taps=(1,), channels=(24,), strides=(1,), reduced=(8,))
    fit_reduction(backbone, [torch.randn(2, 3, 12, 12) * 5], seed=0)
    assert not backbone.layers[1].running_mean.any()
