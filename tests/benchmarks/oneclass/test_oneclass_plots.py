"""Embeddings and the pictures of one-class detection."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from benchmarks.oneclass.embedding import embed
from benchmarks.oneclass.plots import descriptor_embedding, score_histogram
from benchmarks.oneclass.results import Answers
from runtime.errors import InputError

random = np.random.default_rng(0)


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def test_principal_components_of_a_plane_keep_its_distances() -> None:
    plane = random.normal(size=(12, 2)) * [3, 1]
    basis, _ = np.linalg.qr(random.normal(size=(9, 2)))
    found = embed(plane @ basis.T + 4, "pca")
    np.testing.assert_allclose(distances(found.points), distances(plane), atol=1e-9)
    assert found.described == "two principal components, 100 % of the variance"


def test_principal_components_say_what_share_they_show() -> None:
    corners = np.concatenate([np.eye(4), -np.eye(4)]) * [3.0, 2.0, 1.0, 1.0]
    assert embed(corners, "pca").described == "two principal components, 87 % of the variance"


def test_equal_vectors_are_one_point() -> None:
    assert np.ptp(embed(np.ones((5, 3)), "pca").points) == 0


def test_t_sne_keeps_neighbours_and_is_the_same_twice() -> None:
    pytest.importorskip("sklearn")
    vectors = random.normal(size=(30, 20)) + 20 * (np.arange(30) >= 15)[:, None]
    found = embed(vectors, "tsne", seed=1)
    nearest = (distances(found.points) + np.diag(np.full(30, np.inf))).argmin(axis=1)
    assert ((nearest >= 15) == (np.arange(30) >= 15)).all()
    assert found.described == "t-SNE, perplexity 9.67"
    assert (embed(vectors, "tsne", seed=1).points == found.points).all()


@pytest.mark.parametrize("vectors", [np.zeros((3, 5)), np.zeros(8)])
def test_too_few_vectors_are_refused(vectors: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"cannot be embedded; expected four or more, \[N, D\]"):
        embed(vectors, "pca")


def test_vectors_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="hold values that are not finite"):
        embed(np.full((5, 2), np.nan), "tsne")


def answers(teacher: np.ndarray, students: np.ndarray, variance: np.ndarray) -> Answers:
    return Answers(teacher.astype(np.float32), students.astype(np.float32), variance.astype(np.float32))


def test_each_kind_of_the_histogram_sums_to_100_percent() -> None:
    scores = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0])
    anomalous = np.array([False, False, True, False, True, True, True])
    (axes,) = score_histogram(scores, anomalous, "Ours, class 3").axes
    heights = [patch.get_data().values.sum() for patch in axes.patches]
    assert heights == pytest.approx([100] * 4)  # each kind filled and outlined
    assert axes.get_title(loc="left") == "Ours, class 3: AUROC 0.9167"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["trained on (3)", "all others (4)"]


def test_a_histogram_of_one_kind_is_refused() -> None:
    with pytest.raises(InputError, match="AUROC"):
        score_histogram(np.zeros(3), np.zeros(3, bool), "digit 3")


def test_students_are_joined_with_their_teacher_and_larger_where_they_disagree() -> None:
    teacher = random.normal(size=(6, 8))
    students, anomalous = teacher + 0.1, np.arange(6) >= 3
    variance = np.array([0, 0, 0, 1, 2, 4.0])
    (axes,) = descriptor_embedding(answers(teacher, students, variance), anomalous, "Ours, class 3").axes
    points = embed(np.concatenate([teacher, students]).astype(np.float32), "pca").points
    assert len(axes.lines) == 6
    for index, line in enumerate(axes.lines):
        np.testing.assert_allclose(line.get_xydata(), points[[index, index + 6]])
    seen, unseen = (axes.collections[i].get_sizes() for i in (1, 3))
    assert set(seen) == {12}
    np.testing.assert_allclose((unseen - 12) / 300, [0.25, 0.5, 1])
    assert axes.get_title(loc="left").startswith("Ours, class 3: two principal components")


def test_descriptors_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(InputError, match="expected descriptors of one shape"):
        descriptor_embedding(answers(np.zeros((5, 3)), np.zeros((4, 3)), np.zeros(5)), np.zeros(5, bool), "Ours")
