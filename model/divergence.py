"""Ends a training that diverges before what it has kept is written over."""

import math

import torch
from torch import Tensor, nn

from model.errors import DivergenceError


def check_step(step: int, loss: Tensor, gradient_norm: Tensor, advice: str) -> float:
    """The loss as a number; DivergenceError where it or the gradient's length is not finite.

    Behind the backward pass: there all processes of a run see the same gradient, and end together.
    """
    for name, value in (("loss", float(loss.detach())), ("gradient", float(gradient_norm))):
        if not math.isfinite(value):
            raise _diverged(step, f"its {name} is {value}", advice)
    return float(loss.detach())


def check_weights(step: int, network: nn.Module, dtype: torch.dtype, advice: str) -> None:
    """Raise DivergenceError unless every weight is finite in ``dtype``, which it is kept in.

    Batch statistics are kept as they are: ResNet-50's are beyond float16 from the start. The last
    step before the weights are kept has no loss behind it that would tell.
    """
    statistics = dict(network.named_buffers())
    for name, weight in network.state_dict().items():
        kept = weight if name in statistics else weight.to(dtype)
        if weight.is_floating_point() and not torch.isfinite(kept).all():
            raise _diverged(step, f"{name} has grown beyond {kept.dtype}", advice)


def _diverged(step: int, reason: str, advice: str) -> DivergenceError:
    return DivergenceError(
        f"the run diverged at step {step}: {reason}; {advice} and begin another run. "
        "What its last good evaluation wrote is kept"
    )
