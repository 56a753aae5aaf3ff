"""Held-out measures against the equations worked out by hand."""

import pytest
import torch
from torch import Tensor

from train.held_out import CHUNK, described, measure_triplets, unexplained_variance
from train.losses import triplet_distances, triplet_loss
from train.networks import PatchNetwork
from train.patches import Triplets


def test_descriptors_do_not_depend_on_the_chunks() -> None:
    patches = torch.rand(CHUNK + 3, 3, 2, 2)
    found = described(lambda chunk: chunk.flatten(1), patches)
    assert torch.equal(found, patches.flatten(1))


def test_nothing_is_unexplained_by_the_target_itself_and_everything_by_its_mean() -> None:
    target = torch.tensor([[0.0, 1.0], [4.0, 3.0]])
    assert unexplained_variance(target, target) == 0
    assert unexplained_variance(target.mean(dim=0).expand(2, 2), target) == 1
    assert unexplained_variance(torch.tensor([[0.0, 1.0], [4.0, 1.0]]), target) == pytest.approx(4 / 10)


def test_triplets_are_measured_by_equations_2_to_4() -> None:
    torch.manual_seed(0)
    teacher = PatchNetwork(17)
    triplets = Triplets(*(torch.rand(6, 3, 17, 17) for _ in range(3)))
    anchor, positive, negative = (teacher(patches).detach() for patches in triplets)
    near, losses, confused = [], [], 0

    def distance(a: Tensor, b: Tensor) -> float:
        return sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True))

    for a, p, n in zip(anchor, positive, negative, strict=True):
        near.append(distance(a, p))
        far = min(distance(a, n), distance(p, n))
        losses.append(max(0.0, 5.0 + near[-1] - far))
        confused += near[-1] > far
    assert 0 < confused < 6, "a case that all triplets agree on would show nothing"
    found = measure_triplets(teacher, triplets, margin=5.0)
    assert found.confused == pytest.approx(confused / 6)
    assert found.loss == pytest.approx(sum(losses) / 6, rel=1e-4)
    assert float(triplet_loss(anchor, positive, negative, 5.0)) == pytest.approx(found.loss, rel=1e-5)
    torch.testing.assert_close(triplet_distances(anchor, positive, negative)[0], torch.tensor(near), rtol=1e-4, atol=0)


def test_a_teacher_that_finds_positives_confuses_nothing() -> None:
    torch.manual_seed(0)
    anchor, negative = torch.rand(2, 8, 3, 17, 17)
    assert measure_triplets(PatchNetwork(17), Triplets(anchor, anchor, negative), margin=0.0).confused == 0
