"""Nearest neighbours and the greedy coreset against loops that do the same plainly."""

import numpy as np
import pytest
import torch

from train import neighbours
from train.coreset import greedy_coreset
from train.neighbours import nearest


def test_neighbours_are_those_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "CHUNK_BYTES", 4 * 40 * 3)  # three queries at a time
    draw = np.random.default_rng(0)
    queries, bank = draw.normal(size=(10, 5)).astype(np.float32), draw.normal(size=(40, 5)).astype(np.float32)
    distances, indices = nearest(torch.from_numpy(queries), torch.from_numpy(bank), 4)
    for row, query in enumerate(queries):
        plain = [float(np.sqrt(((query - vector) ** 2).sum())) for vector in bank]
        expected = sorted(range(len(bank)), key=plain.__getitem__)[:4]
        assert indices[row].tolist() == expected
        np.testing.assert_allclose(distances[row].numpy(), [plain[index] for index in expected], rtol=1e-5)


def test_the_distance_to_a_vector_of_the_bank_is_nothing_however_long_it_is() -> None:
    bank = 1e4 + torch.rand(20, 64, generator=torch.Generator().manual_seed(0))
    distances, indices = nearest(bank, bank, 1)
    assert distances.abs().max() == 0
    assert indices[:, 0].tolist() == list(range(20))


def test_a_bank_smaller_than_asked_for_gives_all_it_has() -> None:
    distances, _ = nearest(torch.zeros(2, 3), torch.ones(3, 3), 9)
    assert distances.shape == (2, 3)


def test_the_coreset_is_that_of_a_plain_greedy_loop() -> None:
    vectors = torch.randn(60, 6, generator=torch.Generator().manual_seed(1))
    chosen = greedy_coreset(vectors, 12, seed=5, projected=None).tolist()
    points = vectors.numpy().astype(np.float64)
    for count in range(1, 12):
        nearest_chosen = [min(np.linalg.norm(p - points[c]) for c in chosen[:count]) for p in points]
        assert chosen[count] == int(np.argmax(nearest_chosen))
    assert len(set(chosen)) == 12


def test_beside_a_bank_the_coreset_is_that_of_a_loop_that_begins_with_the_bank() -> None:
    draw = torch.Generator().manual_seed(6)
    vectors, beside = torch.randn(40, 6, generator=draw), torch.randn(15, 6, generator=draw)
    chosen = greedy_coreset(vectors, 9, seed=5, projected=2, beside=beside).tolist()  # which is not projected
    points, known = vectors.numpy().astype(np.float64), [*beside.numpy().astype(np.float64)]
    for index in chosen:
        gaps = [min(np.linalg.norm(point - each) for each in known) for point in points]
        assert index == int(np.argmax(gaps))
        known.append(points[index])
    assert len(set(chosen)) == 9


def test_beside_a_bank_what_it_holds_already_is_not_chosen() -> None:
    vectors = torch.randn(12, 5, generator=torch.Generator().manual_seed(7))
    assert sorted(greedy_coreset(vectors, 8, seed=0, beside=vectors[:9]).tolist()) == [9, 10, 11]
    assert greedy_coreset(vectors, 8, seed=0, beside=vectors).tolist() == []


def test_the_coreset_leaves_no_vector_as_far_as_a_random_choice_does() -> None:
    draw = torch.Generator().manual_seed(2)
    vectors = torch.randn(400, 3, generator=draw) @ torch.randn(3, 64, generator=draw)
    chosen = greedy_coreset(vectors, 40, seed=0, projected=32)
    at_random = torch.randperm(400, generator=torch.Generator().manual_seed(3))[:40]
    reach = [float(nearest(vectors, vectors[indices], 1)[0].max()) for indices in (chosen, at_random)]
    assert reach[0] < 0.7 * reach[1]


def test_the_coreset_depends_on_its_seed_alone() -> None:
    vectors = torch.randn(50, 20, generator=torch.Generator().manual_seed(4))
    torch.manual_seed(0)
    first = greedy_coreset(vectors, 10, seed=1, projected=8)
    torch.manual_seed(1)
    assert torch.equal(greedy_coreset(vectors, 10, seed=1, projected=8), first)
    assert not torch.equal(greedy_coreset(vectors, 10, seed=2, projected=8), first)


def test_equal_vectors_are_not_chosen_before_all_others() -> None:
    vectors = torch.cat([torch.zeros(30, 3), torch.eye(3)])
    assert {30, 31, 32} <= set(greedy_coreset(vectors, 4, seed=0).tolist())


@pytest.mark.parametrize("projected", [None, 16])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_no_vector_is_chosen_twice(projected: int | None, shift: float) -> None:
    draw = torch.Generator().manual_seed(0)
    distinct = torch.rand(7, 64, generator=draw) + shift
    vectors = distinct[torch.randint(7, (300,), generator=draw)]
    chosen = greedy_coreset(vectors, 50, seed=0, projected=projected)
    assert sorted(map(tuple, vectors[chosen].tolist())) == sorted(map(tuple, distinct.tolist()))
    assert len(greedy_coreset(torch.zeros(9, 4), 3, seed=0)) == 1


def test_a_bank_no_larger_than_the_coreset_is_kept_whole() -> None:
    assert greedy_coreset(torch.rand(5, 2), 9, seed=0).tolist() == [0, 1, 2, 3, 4]
