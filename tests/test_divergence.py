"""What is taken for a diverged network before it is kept."""

import pytest
import torch
from torch import nn

from model.divergence import check_weights
from model.errors import DivergenceError

BEYOND = 1e5  # float16 ends at 65,504


@pytest.fixture
def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def test_batch_statistics_beyond_float16_are_kept_as_they_are(network: nn.Sequential) -> None:
    network[1].running_var.fill_(BEYOND)
    check_weights(100, network, torch.float16, "lower learning_rate")


def test_a_weight_beyond_float16_has_diverged(network: nn.Sequential) -> None:
    network[0].weight.data.fill_(BEYOND)
    with pytest.raises(
        DivergenceError, match=r"step 100: 0\.weight has grown beyond torch.float16"
    ):
        check_weights(100, network, torch.float16, "lower learning_rate")


def test_statistics_that_are_not_finite_have_diverged(network: nn.Sequential) -> None:
    network[1].running_var.fill_(float("inf"))
    with pytest.raises(DivergenceError, match=r"1\.running_var has grown beyond"):
        check_weights(100, network, torch.float16, "lower learning_rate")
