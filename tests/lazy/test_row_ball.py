"""Balls around the rows of several matrices."""

import pytest
import torch

from gradflip.lazy._row_ball import RowBall
from tensors import normal

CENTRE = (normal(6, 4, seed=0), normal(3, 6, seed=1))
RADII = (0.5, 2.0)


def shifted(lengths: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """The centre, with every row of a matrix moved by a length in a direction of its own."""
    steps = (torch.nn.functional.normalize(normal(*W.shape, seed=2 + i)) for i, W in enumerate(CENTRE))
    moved = [W + length * step for W, step, length in zip(CENTRE, steps, lengths, strict=True)]
    return moved[0], moved[1]


def test_distances_are_those_of_the_rows_of_every_matrix():
    for distances, length in zip(RowBall(CENTRE, RADII).distances(shifted((0.3, 1.7))), (0.3, 1.7), strict=True):
        torch.testing.assert_close(distances, torch.full_like(distances, length))


@pytest.mark.parametrize(
    ("lengths", "inside"), [((0.4, 1.9), True), ((0.6, 1.9), False), ((0.4, 2.1), False), ((0.0, 0.0), True)]
)
def test_every_matrix_has_a_radius_of_its_own(lengths, inside):
    assert RowBall(CENTRE, RADII).contains(shifted(lengths)) is inside


def test_the_projection_moves_the_rows_outside_to_the_surface_and_no_other():
    ball = RowBall(CENTRE, RADII)
    first, second = shifted((0.4, 3.0))
    first[2] = CENTRE[0][2] + 7.0
    projected, moved = ball.project((first, second), eps=torch.finfo(torch.float64).eps)
    assert moved[0].tolist() == [False, False, True, False, False, False]
    assert bool(moved[1].all())
    assert ball.contains(projected)
    assert torch.equal(projected[0][[0, 1, 3, 4, 5]], first[[0, 1, 3, 4, 5]])
    torch.testing.assert_close(projected[0][2], CENTRE[0][2] + 0.25)  # (7, 7, 7, 7) has length 14; 0.5 of it is kept
    torch.testing.assert_close(projected[1], CENTRE[1] + 2.0 / 3.0 * (second - CENTRE[1]))


def test_nothing_is_projected_twice():
    ball = RowBall(CENTRE, RADII)
    once = ball.project(shifted((9.0, 9.0)), eps=2.0**-52)
    again = ball.project(once.weights, eps=2.0**-52)
    assert not any(bool(moved.any()) for moved in again.moved)
