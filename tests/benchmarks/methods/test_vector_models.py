"""Models of vectors against their definitions, and the positions that they are applied to."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.methods import clusters, descriptor_vae, one_nearest, support_vectors
from benchmarks.methods.base import Frames, Setting
from benchmarks.methods.descriptors import (
    DescriptorMethod,
    PatchDescriptors,
    Reduced,
    TeacherDescriptors,
    Vectors,
    over_patches,
    sample_vectors,
    zoomed,
)
from benchmarks.methods.dfr import RegionalFeatures, autoencoder, latent_size
from benchmarks.methods.features import LocalFeatures
from runtime.errors import InputError
from train.dense import dense_descriptors
from train.files import load_network


def correlated(count: int, seed: int = 0) -> Vectors:
    """Vectors of eight dimensions whose deviations halve from each to the next, turned at random."""
    draw = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(9).normal(size=(8, 8)))[0]
    return ((draw.normal(size=(count, 8)) * 0.5 ** np.arange(8)) @ turn).astype(np.float32)


def test_1_nn_is_the_distance_to_the_nearest_in_the_kept_components() -> None:
    good, queries = correlated(200), correlated(20, 1)
    model = one_nearest.model(one_nearest.Options(), Setting())
    model.fit(good)
    _, sizes, axes = np.linalg.svd(good - good.mean(axis=0), full_matrices=False)
    kept = int(np.searchsorted(np.cumsum(sizes**2) / (sizes**2).sum(), 0.95)) + 1
    assert 1 < kept < 8
    points, others = (good - good.mean(axis=0)) @ axes[:kept].T, (queries - good.mean(axis=0)) @ axes[:kept].T
    expected = [min(np.linalg.norm(query - point) for point in points) for query in others]
    np.testing.assert_allclose(model.scores(queries), expected, rtol=1e-3, atol=1e-5)


def test_k_means_is_the_distance_to_the_nearest_centre() -> None:
    centres = np.array([[0, 0], [10, 0], [0, 10]], np.float32)
    draw = np.random.default_rng(0)
    good = np.concatenate([centre + draw.normal(0, 0.1, (50, 2)) for centre in centres]).astype(np.float32)
    model = clusters.NearestCentre(3, seed=0)
    model.fit(good)
    np.testing.assert_allclose(model.scores(np.array([[10, 3], [5, 0], [0, 10]], np.float32)), [3, 5, 0], atol=0.05)
    with pytest.raises(InputError, match="2 descriptors cannot make 3 clusters"):
        model.fit(good[:2])


def test_the_share_of_good_vectors_outside_the_oc_svm_is_nu() -> None:
    model = support_vectors.OneClassSupport(0.2)
    good = correlated(400)
    model.fit(good)
    assert np.mean(model.scores(good) > 0) == pytest.approx(0.2, abs=0.02)
    assert model.scores(good + 5).min() > model.scores(good).max()


def test_the_divergence_is_that_of_two_gaussians_integrated_numerically() -> None:
    mean, deviation = 0.7, 1.6
    x = np.linspace(-15, 15, 200_001)
    p = np.exp(-((x - mean) ** 2) / 2 / deviation**2) / deviation / np.sqrt(2 * np.pi)
    log_ratio = -np.log(deviation) - (x - mean) ** 2 / 2 / deviation**2 + x**2 / 2
    expected = float((p * log_ratio).sum() * (x[1] - x[0]))
    found = descriptor_vae.divergence(torch.tensor([[mean, 0.0]]), torch.tensor([[2 * np.log(deviation), 0.0]]))
    assert float(found) == pytest.approx(expected, abs=1e-4)


def test_pca_keeps_the_share_asked_for() -> None:
    for share, expected in ((0.5, 1), (0.9, 2), (1.0, 8)):
        model = Reduced(one_nearest.NearestVector("cpu"), share)
        model.fit(correlated(500))
        assert model.pca.n_components_ == expected
    with pytest.raises(InputError, match="explained is 0; expected a share"):
        Reduced(one_nearest.NearestVector("cpu"), 0)


def test_the_latent_size_of_dfr_is_the_number_of_components() -> None:
    vectors = correlated(2000)
    # variances fall to a quarter from each to the next: three quarters, 15/16, 63/64 of the whole
    assert [latent_size(vectors, share) for share in (0.7, 0.9, 0.95)] == [1, 2, 3]


def test_dfrs_layers_are_the_papers() -> None:
    sizes = [tuple(layer.weight.shape) for layer in autoencoder(40, 4) if isinstance(layer, torch.nn.Linear)]
    assert sizes == [(24, 40), (8, 24), (4, 8), (8, 4), (24, 8), (40, 24)]


def test_a_region_averages_the_enlarged_stage(good: Frames, stages: Any) -> None:
    features = RegionalFeatures(stages, ("layer3",), 4)(good[:1])
    (stage,) = stages(good[:1], ("layer3",))
    assert features.shape == (1, 12, 8, 8)
    enlarged = torch.nn.functional.interpolate(stage, (32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(features[0, :, 3, 5], enlarged[0, :, 12:16, 20:24].mean(dim=(1, 2)))


def test_samples_come_from_every_frame_and_none_twice(good: Frames, stages: Any) -> None:
    extractor = LocalFeatures(stages, ("layer2",), 1)
    found = sample_vectors(extractor, good, 60, seed=0)
    every = extractor(good).permute(0, 2, 3, 1).reshape(12 * 256, 8).numpy()
    distances = np.abs(found[:, None] - every).max(axis=2)  # a batch of another size may round differently
    assert distances.min(axis=1).max() < 1e-5 * every.std()
    frames = distances.argmin(axis=1) // 256
    assert found.shape == (60, 8)
    assert sorted(set(frames)) == list(range(12))
    assert len(np.unique(found, axis=0)) == 60
    assert len(sample_vectors(extractor, good, 10**6, seed=0)) == 12 * 256


def test_the_teachers_dense_descriptors_are_train_denses(good: Frames, teacher_files: dict[int, Path]) -> None:
    setting = Setting(teacher=str(teacher_files[33]))
    found = TeacherDescriptors(setting, 8)(good[:2])
    network = load_network(teacher_files[33])[0]
    pixels = torch.from_numpy(good[:2, :, :, ::-1].copy()).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(found, dense_descriptors(network, pixels, 8, "atrous").detach(), rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="stride is 3; expected one of 1, 2, 4, 8"):
        TeacherDescriptors(setting, 3)


def test_a_batch_of_small_images_is_described_once_and_never_taken_for_another(
    good: Frames, teacher_files: dict[int, Path]
) -> None:
    setting = replace(Setting(), teacher=str(teacher_files[33]))
    first = over_patches(one_nearest.NearestVector("cpu"), setting, 12)
    second = over_patches(one_nearest.NearestVector("cpu"), setting, 12)
    assert isinstance(first, DescriptorMethod)
    assert isinstance(second, DescriptorMethod)
    found = first.extractor(good)
    assert second.extractor(good) is found
    other = good.copy()
    other[0, 10, 10] ^= 128
    changed = second.extractor(other)
    assert not torch.equal(changed[0], found[0])
    torch.testing.assert_close(changed[1:], found[1:])


def test_a_small_image_has_one_descriptor_and_one_score(good: Frames, teacher_files: dict[int, Path]) -> None:
    extractor = PatchDescriptors(replace(Setting(), teacher=str(teacher_files[33])))
    network = load_network(teacher_files[33])[0]
    patches = torch.from_numpy(zoomed(good, 33)[:, :, :, ::-1].copy()).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(extractor(good)[:, :, 0, 0], network(patches).detach(), rtol=1e-4, atol=1e-4)
    method = DescriptorMethod(extractor, one_nearest.NearestVector("cpu"), samples=12, seed=0, batch=5)
    method.fit(good[:10])
    found = method.inspect(good)
    assert found.scores[:10].max() < 1e-3 * found.scores[10:].min()
    assert found.maps is not None
    assert np.ptp(found.maps, axis=(1, 2)).max() < 1e-5
