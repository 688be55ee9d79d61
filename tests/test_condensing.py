"""Many supports are compared at the cost of a few."""

import numpy as np
import pytest

from model.executors.condensing import condense


def encoding(shots, count=9, object_cells=3, seed=0):
    """One tap: each cell is its own number, the first ones of each support are the object's."""
    cells = np.arange(shots * count, dtype=np.float32).reshape(1, shots, count, 1)
    shares = np.zeros_like(cells)
    shares[:, :, :object_cells] = 1
    return cells, shares


def test_a_few_supports_are_left_as_they_are():
    shots = encoding(4)
    assert condense(shots, "average", most=4) is shots


def test_many_supports_become_as_many_cells_as_a_few_have():
    cells, shares = condense(encoding(20), "average", most=4)
    assert cells.shape == shares.shape == (1, 4, 9, 1)
    assert len(np.unique(cells)) == 36


def test_every_cell_keeps_its_share():
    before = encoding(20)
    cells, shares = condense(before, "average", most=4)
    assert (shares.ravel() == before[1].ravel()[cells.ravel().astype(int)]).all()


def test_half_of_the_cells_are_the_objects_and_every_support_has_its_say():
    cells, shares = condense(encoding(20), "average", most=8)
    assert shares.mean() == 0.5
    own = cells[shares > 0] // 9
    assert len(np.unique(own)) > 15


@pytest.mark.parametrize(("object_cells", "kept"), [(1, 20), (8, 25)])
def test_what_there_is_little_of_is_kept_whole(object_cells, kept):
    """Of 180 cells 45 are kept: all 20 of a small object, or all 20 around a large one."""
    _, shares = condense(encoding(20, object_cells=object_cells), "average", most=5)
    assert shares.sum() == kept


def test_supports_that_are_compared_alone_are_all_kept():
    shots = encoding(20)
    assert condense(shots, "union", most=4) is shots


def test_prototypes_stay():
    prototypes = (np.ones((1, 30, 8), np.float32),)
    assert condense(prototypes, "average") is prototypes
