"""Nearest neighbour and logistic regression on feature cells."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.evaluation import evaluate
from model.evaluation.baselines import BASELINES, logistic_regression, nearest_neighbour
from model.evaluation.bench import Experiment
from model.evaluation.gallery import EncodedQuery, EncodedSupport
from model.executors.choose import Placement
from pictures import encode, object_mask, photograph

ON_CPU = Placement("torch", "cpu", "float32")
OBJECT, OTHER = torch.tensor([1.0, 0.2, 0.0]), torch.tensor([0.0, 0.3, 1.0])
CORNER = torch.zeros(9, 9, dtype=torch.bool)
CORNER[:4, :4] = True
CENTRES = ((torch.arange(9) + 0.5) * 65 / 9).long()


def look(is_object, scale=1.0):
    """Features whose (9, 9) deepest cells look like the object or like the rest."""
    generator = torch.Generator().manual_seed(int(is_object.sum()))
    cells = torch.where(is_object[..., None], OBJECT, OTHER)
    cells = scale * (cells + 0.05 * torch.randn(9, 9, 3, generator=generator))
    return (cells.permute(2, 0, 1)[None].contiguous(),)


def found(logits):
    """(9, 9) which cells of the query are object, by the pixels at their centres."""
    return torch.from_numpy(logits.argmax(0) == 1)[CENTRES][:, CENTRES]


def query_of(is_object, scale=1.0):
    return EncodedQuery(look(is_object, scale), (65, 65), torch.empty(0))


def support_of(is_object, mask=None, scale=1.0):
    """Without a mask, the cells that look like the object are the object."""
    if mask is None:
        mask = F.interpolate(is_object[None, None].float(), size=(65, 65))[0, 0]
    return EncodedSupport(look(is_object, scale), mask, ())


@pytest.mark.parametrize("baseline", BASELINES.values())
def test_cells_that_look_like_the_object_are_found(baseline):
    query = query_of(CORNER.flip(0, 1))
    logits = baseline(query, [support_of(CORNER)])
    assert logits.shape == (2, 65, 65)
    assert torch.equal(found(logits), CORNER.flip(0, 1))


@pytest.mark.parametrize("baseline", BASELINES.values())
def test_the_length_of_features_does_not_count(baseline):
    query = baseline(query_of(CORNER), [support_of(CORNER)])
    scaled = baseline(query_of(CORNER, scale=7.0), [support_of(CORNER, scale=0.1)])
    np.testing.assert_allclose(scaled, query, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("baseline", BASELINES.values())
def test_every_support_teaches(baseline):
    nothing = support_of(torch.zeros_like(CORNER))
    query = query_of(CORNER)
    assert (baseline(query, [nothing]).argmax(0) == 0).all()
    assert torch.equal(found(baseline(query, [nothing, support_of(CORNER)])), CORNER)


@pytest.mark.parametrize("baseline", BASELINES.values())
def test_a_support_that_is_all_object_makes_the_query_all_object(baseline):
    whole = torch.ones(9, 9, dtype=torch.bool)
    assert (baseline(query_of(CORNER), [support_of(whole)]).argmax(0) == 1).all()


def test_an_object_smaller_than_half_a_cell_teaches_its_cell():
    mask = torch.zeros(65, 65)
    mask[1:3, 1:3] = 1
    assert found(nearest_neighbour(query_of(CORNER), [support_of(CORNER, mask=mask)])).any()


def test_the_nearest_neighbour_is_that_of_the_highest_cosine():
    query, support = query_of(CORNER.flip(1)), support_of(CORNER)
    cells = [image.features[-1][0].flatten(1).T.numpy() for image in (query, support)]
    ours, theirs = (c / np.linalg.norm(c, axis=1, keepdims=True) for c in cells)
    nearest = CORNER.flatten().numpy()[(ours @ theirs.T).argmax(1)].reshape(9, 9)
    logits = nearest_neighbour(query, [support])
    np.testing.assert_array_equal(found(logits).numpy(), nearest)


def test_logistic_regression_weighs_few_object_cells_like_many_others():
    speck = torch.zeros(9, 9, dtype=torch.bool)
    speck[4, 4] = True
    logits = logistic_regression(query_of(CORNER), [support_of(speck)])
    assert torch.equal(found(logits), CORNER)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_reported_under_its_name_on_the_networks_episodes(checkpoint, tmp_path, name):
    for class_name in ("cat", "dog"):
        (tmp_path / "data" / class_name).mkdir(parents=True)
        for seed in range(3):
            path = tmp_path / "data" / class_name / f"{seed}.jpg"
            path.write_bytes(encode(photograph(seed=seed), "JPEG"))
            path.with_suffix(".png").write_bytes(encode(object_mask().astype(np.uint8)))
    experiment = Experiment((0,), episodes=6, baseline=name, placement=ON_CPU)
    out = tmp_path / "report.json"
    evaluate.main(experiment, [checkpoint], tmp_path / "data", json_path=out)
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["method"] == name
    assert report["miou"]["mean"] > 20
