"""Equations 1 to 7 against loops in plain Python."""

from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from train.losses import Compactness, compactness_loss, distillation_loss, student_loss, triplet_loss

Array = NDArray[np.float64]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def squared_distance(a: Array, b: Array) -> float:
    return sum(float((x - y) ** 2) for x, y in zip(a, b, strict=True))


def test_equation_1_is_the_mean_squared_distance() -> None:
    decoded, target = normal(4, 7), normal(4, 7, seed=1)
    expected = sum(squared_distance(d, t) for d, t in zip(decoded, target, strict=True)) / 4
    assert distillation_loss(torch.from_numpy(decoded), torch.from_numpy(target)).item() == pytest.approx(expected)


@pytest.mark.parametrize("margin", [0.0, 3.0, 1e3])
def test_equations_2_to_4_take_the_nearer_of_anchor_and_positive(margin: float) -> None:
    anchors, positives, negatives = normal(6, 5), normal(6, 5, seed=1), normal(6, 5, seed=2)
    nearer_positive, expected = 0, 0.0
    for a, p, n in zip(anchors, positives, negatives, strict=True):
        from_anchor, from_positive = squared_distance(a, n), squared_distance(p, n)
        nearer_positive += from_positive < from_anchor
        expected += max(0.0, margin + squared_distance(a, p) - min(from_anchor, from_positive)) / 6
    assert 0 < nearer_positive < 6  # both ways of the swap occur
    anchor, positive, negative = (torch.from_numpy(x) for x in (anchors, positives, negatives))
    found = triplet_loss(anchor, positive, negative, margin)
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize("form", ["squared", "signed"])
def test_equation_5_sums_the_correlations_of_different_dimensions(form: Compactness) -> None:
    descriptors = normal(9, 4) * [1, 10, 0.1, 3] + 5
    correlation = np.asarray(np.corrcoef(descriptors.T))
    pairs = [correlation[i, j] for i, j in product(range(4), repeat=2) if i != j]
    expected = sum(pairs) if form == "signed" else sum(c**2 for c in pairs) / 4
    assert compactness_loss(torch.from_numpy(descriptors), form).item() == pytest.approx(expected)


def test_only_the_squared_form_is_lowest_without_correlation() -> None:
    opposed = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [2.0, -2.0], [-2.0, 2.0]])
    apart = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert compactness_loss(opposed, "signed") < compactness_loss(apart, "signed")
    assert compactness_loss(apart) == pytest.approx(0, abs=1e-12)
    assert compactness_loss(opposed) > 0.9


def test_a_dimension_that_never_varies_does_no_harm() -> None:
    descriptors = torch.cat([torch.randn(8, 3), torch.ones(8, 1)], dim=1).requires_grad_()
    compactness_loss(descriptors).backward()  # type: ignore[no-untyped-call]
    assert descriptors.grad is not None
    assert torch.isfinite(descriptors.grad).all()


def test_equation_7_is_a_sum_over_dimensions_and_a_mean_over_positions() -> None:
    student, teacher = normal(2, 5, 3, 4), normal(2, 5, 3, 4, seed=1)
    distances = [squared_distance(student[n, :, y, x], teacher[n, :, y, x]) for n, y, x in np.ndindex(2, 3, 4)]
    found = student_loss(torch.from_numpy(student), torch.from_numpy(teacher))
    assert found.item() == pytest.approx(np.mean(distances))
