"""Where a student begins: each convolution in turn is fitted to the teacher in closed form.

Gradient descent needs thousands of steps to make a stack of random convolutions see; a regression
needs some thousand photographs, and passes them once. From the patches that a convolution reads,
ridge regression predicts the main components of the teacher's maps. Each prediction becomes two
channels, itself and its negative: such a pair loses nothing in the ReLU behind it. Other channels
hand on the main components of the patches, fewer of them the deeper the layer.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.distillation.student import IMITATIONS, Imitation, Student
from model.distillation.teacher import BLOCKS, Teacher
from model.distillation.views import Views

COMPONENTS: tuple[Mapping[int, int], ...] = (
    {6: 32, 13: 40},
    {6: 32, 13: 48},
    {6: 32, 13: 56},
    {6: 32, 13: 64, 17: 64, 18: 32},
    {6: 16, 13: 64, 17: 80, 18: 48},
    {6: 16, 13: 64, 17: 80, 18: 64},
    {13: 64, 17: 96, 18: 64},
    {13: 64, 17: 96, 18: 96},
    {17: 128, 18: 128},
)
"""Main components of the teacher's blocks that conv3_1 to conv5_3 predict."""
RIDGES = (0.02, 0.1, 0.5, 2.0)
"""Shares of the patches' mean variance to choose from, by the first eighth of the patches."""
POWER_STEPS = 6
"""Steps of the iteration that finds the patches' main components."""
TOGETHER = 50
"""Views in one pass of a layer."""


class PatchSample(NamedTuple):
    """What a convolution reads at M random cells, and what it is to predict there."""

    patches: Tensor  # (M, kernel² * C)
    targets: dict[int, Tensor]  # block -> (M, components)


@torch.no_grad()
def fit(
    student: Student,
    imitation: Imitation,
    teacher: Teacher,
    batches: Iterable[Views],
    cells: int,
    seed: int,
) -> None:
    """Fit all layers that learn, on ``cells`` random cells of these views."""
    generator = torch.Generator().manual_seed(seed)
    student.eval()
    learns = [isinstance(layer, nn.Sequential) for layer in student.layers]
    given = student.layers[: learns.index(True)]
    # Batch by batch: at the views' own size the maps of all of them would fill the memory.
    read = [(given(batch.student), teacher(batch.teacher).maps) for batch in batches]
    maps = torch.cat([maps for maps, _ in read])
    taught = {block: torch.cat([lesson[block] for _, lesson in read]) for block in BLOCKS}
    del read
    components = {block: main_components(maps) for block, maps in taught.items()}
    plan = iter(COMPONENTS)
    for index, layer in enumerate(student.layers[len(given) :], len(given)):
        if isinstance(layer, nn.Sequential):
            targets = {block: components[block][:, :count] for block, count in next(plan).items()}
            fit_layer(layer, draw(maps, targets, 3, cells, generator), generator)
        maps = torch.cat([layer(maps[part]) for part in _parts(maps)])
        if index in student.taps:
            tap = student.taps.index(index)
            for bridge, (own, block) in zip(imitation.bridges, IMITATIONS, strict=True):
                if own == tap:
                    sample = draw(maps, {block: taught[block]}, 1, cells, generator)
                    _fit_bridge(cast(nn.Conv2d, bridge), sample)


def main_components(maps: Tensor, limit: int = 128) -> Tensor:
    """(N, C, h, w) of mean 0 -> (N, at most ``limit``, h, w), of falling variance."""
    cells = maps.transpose(0, 1).flatten(1)
    _, vectors = torch.linalg.eigh(cells @ cells.T / cells.shape[1])
    return torch.einsum("nchw,ck->nkhw", maps, vectors.flip(1)[:, :limit])


def draw(
    maps: Tensor,
    targets: Mapping[int, Tensor],
    kernel: int,
    cells: int,
    generator: torch.Generator,
) -> PatchSample:
    """The same number of random cells from each of N views; maps are (N, C, h, w)."""
    count, _, height, width = maps.shape
    each = max(1, cells // count)
    drawn = torch.randint(height * width, (count, 1, each), generator=generator).to(maps.device)

    def pick(columns: Tensor, rows: Tensor) -> Tensor:
        """(n, c, h * w) -> (n * each, c)."""
        chosen = columns.gather(2, rows.expand(-1, columns.shape[1], -1))
        return chosen.transpose(1, 2).flatten(0, 1)

    def resize(target: Tensor) -> Tensor:
        """To the maps' cells: as in Imitation, the corner cells of both grids lie together."""
        size = (height, width)
        return F.interpolate(target, size, mode="bilinear", align_corners=True).flatten(2)

    parts = _parts(maps)
    patches = [
        pick(F.unfold(maps[part], kernel, padding=kernel // 2), drawn[part]) for part in parts
    ]
    answers = {
        block: torch.cat([pick(resize(target[part]), drawn[part]) for part in parts])
        for block, target in targets.items()
    }
    return PatchSample(torch.cat(patches), answers)


def _parts(maps: Tensor) -> list[slice]:
    return [slice(first, first + TOGETHER) for first in range(0, len(maps), TOGETHER)]


@torch.no_grad()
def fit_layer(layer: nn.Sequential, sample: PatchSample, generator: torch.Generator) -> None:
    """Set the convolution's weights, and a batch normalisation that leaves its outputs' sizes."""
    convolution, normalisation = cast(nn.Conv2d, layer[0]), cast(nn.BatchNorm2d, layer[1])
    mean = sample.patches.mean(0)
    patches = sample.patches - mean
    asked = patches[: len(patches) // 8]
    known = patches[len(asked) :]
    gram = known.T @ known / len(known)
    predictions = _predictions(gram, known, asked, list(sample.targets.values()))
    spare = convolution.out_channels // 2 - predictions.shape[1]
    handed_on = _main_directions(gram, spare, generator)
    # Predictions keep their own size, so that unsure ones are small; the others have their mean.
    handed_on *= _deviations(known @ predictions).mean() / _deviations(known @ handed_on)
    directions = torch.cat([handed_on, predictions], dim=1)
    deviations = _deviations(known @ directions)
    directions, deviations = directions / deviations.mean(), deviations / deviations.mean()
    paired = torch.cat([directions, -directions], dim=1)
    convolution.weight.copy_(paired.T.reshape(convolution.weight.shape))
    normalisation.get_buffer("running_mean").copy_(mean @ paired)
    normalisation.get_buffer("running_var").copy_(deviations.square().repeat(2))
    normalisation.weight.copy_(deviations.repeat(2))


def _fit_bridge(bridge: nn.Conv2d, sample: PatchSample) -> None:
    """The 1×1 convolution behind a map of the student's: plain regression of the teacher's."""
    (targets,) = sample.targets.values()
    mean = sample.patches.mean(0)
    patches = sample.patches - mean
    gram, moments = patches.T @ patches, patches.T @ (targets - targets.mean(0))
    gram.diagonal().add_(RIDGES[0] * gram.diagonal().mean())
    weights = torch.cholesky_solve(moments, torch.linalg.cholesky(gram))
    bridge.weight.copy_(weights.T[:, :, None, None])
    cast(Tensor, bridge.bias).copy_(targets.mean(0) - mean @ weights)


def _predictions(gram: Tensor, known: Tensor, asked: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """Fit each block with the ridge that predicts ``asked`` best -> (9 * C, sum of n) weights.

    Patches have mean 0. Targets are (M, n) for each block, those of ``asked`` before ``known``.
    """
    wanted = torch.cat(list(targets), dim=1)
    wanted = wanted - wanted.mean(0)
    moments = known.T @ wanted[len(asked) :] / len(known)
    ends = [*accumulate(target.shape[1] for target in targets)]
    blocks = [slice(*edges) for edges in pairwise([0, *ends])]
    best = [(math.inf, wanted)] * len(blocks)
    for ridge in RIDGES:
        regular = gram.clone()
        regular.diagonal().add_(ridge * gram.diagonal().mean())
        weights = torch.cholesky_solve(moments, torch.linalg.cholesky(regular))
        errors = (asked @ weights - wanted[: len(asked)]).square().sum(0)
        for index, block in enumerate(blocks):
            trial = float(errors[block].sum()), weights[:, block]
            best[index] = min(best[index], trial, key=itemgetter(0))
    return torch.cat([weights for _, weights in best], dim=1)


def _deviations(answers: Tensor) -> Tensor:
    """(M, n) of mean 0 -> (n,); n may be 0."""
    return answers.square().mean(0).sqrt()


def _main_directions(gram: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(9 * C, 9 * C) -> (9 * C, count), near its main eigenvectors: a subspace iteration."""
    directions = torch.randn(len(gram), count, generator=generator).to(gram.device)
    for _ in range(POWER_STEPS):
        directions = torch.linalg.qr(gram @ directions)[0]
    _, turn = torch.linalg.eigh(directions.T @ gram @ directions)
    turned: Tensor = directions @ turn
    return turned
