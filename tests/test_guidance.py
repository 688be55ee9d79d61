"""Masked average pooling, fusion and guidance."""

import pytest
import torch
import torch.nn.functional as F

from model.network.guidance import fuse_prototypes, guidance_map, masked_average_pooling, union


def naive_pooling(features, masks, align_corners):
    """The paper's words: resize every channel to the mask's size, average over the object."""
    resized = F.interpolate(
        features, size=masks.shape[-2:], mode="bilinear", align_corners=align_corners
    )
    masks = masks[:, None]
    return (resized * masks).sum(dim=(2, 3)) / masks.sum(dim=(2, 3))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("cells", "pixels"),
    [((41, 41), (321, 321)), ((7, 12), (53, 91)), ((33, 20), (100, 37)), ((1, 1), (8, 5))],
)
def test_pooling_equals_the_resize_of_512_channels(cells, pixels, align_corners):
    generator = torch.Generator().manual_seed(sum(cells) + sum(pixels))
    features = torch.randn(2, 512, *cells, generator=generator)
    masks = (torch.rand(2, *pixels, generator=generator) > 0.6).float()
    pooled = masked_average_pooling(features, masks, align_corners=align_corners)
    expected = naive_pooling(features, masks, align_corners)
    assert torch.allclose(pooled, expected, atol=1e-5, rtol=0)


def test_pooling_divides_by_each_objects_own_area():
    features = torch.ones(2, 3, 5, 5)
    masks = torch.zeros(2, 40, 40)
    masks[0, :4, :4] = 1
    masks[1] = 1
    assert torch.allclose(masked_average_pooling(features, masks), torch.ones(2, 3))


def test_an_object_of_one_feature_cell_gives_that_cells_features():
    features = torch.randn(1, 6, 5, 5)
    masks = torch.zeros(1, 5, 5)
    masks[0, 2, 3] = 1
    assert torch.allclose(masked_average_pooling(features, masks)[0], features[0, :, 2, 3])


def test_an_empty_mask_gives_no_guidance_and_harms_no_neighbour():
    features, masks = torch.randn(2, 8, 5, 5), torch.zeros(2, 40, 40)
    masks[1, 8:16] = 1
    prototypes = masked_average_pooling(features, masks)
    assert torch.equal(prototypes[0], torch.zeros(8))
    guidance = guidance_map(features, prototypes[:, None])
    assert torch.equal(guidance[0], torch.zeros(1, 5, 5))
    assert guidance[1].abs().min() > 0


def test_pooling_lets_gradients_reach_the_features():
    features = torch.randn(1, 4, 6, 6, requires_grad=True)
    masked_average_pooling(features, torch.ones(1, 48, 48)).sum().backward()
    assert features.grad is not None
    assert torch.allclose(features.grad, torch.full_like(features, 1 / 36), atol=1e-6)


def test_average_fusion_is_the_mean_prototype():
    prototypes = torch.tensor([[[1.0, 3.0], [3.0, 5.0]]])
    assert torch.equal(fuse_prototypes(prototypes), torch.tensor([[[2.0, 4.0]]]))


def test_guidance_is_the_cosine_with_every_shots_prototype():
    features, prototypes = torch.randn(2, 16, 4, 5), torch.randn(2, 3, 16)
    guidance = guidance_map(features, prototypes)
    for shot in range(3):
        expected = F.cosine_similarity(features, prototypes[:, shot, :, None, None], dim=1)
        assert torch.allclose(guidance[:, shot], expected, atol=1e-6)


def test_guidance_of_a_zero_feature_is_zero_and_finite():
    guidance = guidance_map(torch.zeros(1, 4, 2, 2), torch.randn(1, 1, 4))
    assert torch.equal(guidance, torch.zeros(1, 1, 2, 2))


def test_union_marks_a_pixel_that_any_shot_marks():
    logits = torch.randn(2, 4, 2, 9, 7)
    masks = logits[:, :, 1] > logits[:, :, 0]
    fused = union(logits)
    assert torch.equal(fused[:, 1] > fused[:, 0], masks.any(dim=1))
