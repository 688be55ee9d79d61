"""Winograd's convolution is torch's, faster."""

import pytest
import torch
import torch.nn.functional as F

from model.distillation.winograd import WinogradConv2d


@pytest.mark.parametrize(("height", "width"), [(9, 9), (5, 7), (1, 2)])
def test_its_result_and_gradients_are_those_of_torch(height, width):
    torch.manual_seed(0)
    maps = torch.randn(2, 4, height, width, dtype=torch.float64, requires_grad=True)
    convolution = WinogradConv2d(4, 6).double()
    outer = torch.randn(2, 6, height, width, dtype=torch.float64)

    convolved = convolution(maps)
    ours = torch.autograd.grad(convolved, [maps, convolution.weight], outer)

    expected = F.conv2d(maps, convolution.weight, padding=1)
    theirs = torch.autograd.grad(expected, [maps, convolution.weight], outer)
    for mine, torchs in zip((convolved, *ours), (expected, *theirs), strict=True):
        torch.testing.assert_close(mine, torchs)


def test_float32_loses_little():
    torch.manual_seed(0)
    maps = torch.randn(2, 64, 9, 9)
    convolution = WinogradConv2d(64, 64)

    error = convolution(maps) - F.conv2d(maps, convolution.weight, padding=1)

    assert error.abs().max() < 1e-4


def test_a_convolution_that_does_not_learn_is_left_to_torch():
    torch.manual_seed(0)
    maps = torch.randn(1, 8, 9, 9)
    convolution = WinogradConv2d(8, 8).eval()

    assert torch.equal(convolution(maps), F.conv2d(maps, convolution.weight, padding=1))
