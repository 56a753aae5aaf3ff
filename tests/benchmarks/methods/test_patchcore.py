"""PatchCore's features, map and image score, each against its formula written out."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.methods.base import Frames, Setting, as_pixels
from benchmarks.methods.features import LocalFeatures
from benchmarks.methods.patchcore import Options, PatchCore, make, reweighted, smoothed
from runtime.errors import InputError
from train.dense import dense_descriptors
from train.files import load_network

LAYERS = ("layer2", "layer3")


def test_equation_7_is_that_of_plain_exponentials() -> None:
    draw = np.random.default_rng(0)
    patch, bank = draw.normal(size=4), draw.normal(size=(15, 4))
    index = min(range(15), key=lambda i: np.linalg.norm(patch - bank[i]))
    around = sorted(range(15), key=lambda i: np.linalg.norm(bank[index] - bank[i]))[:5]
    star = float(np.linalg.norm(patch - bank[index]))
    weight = 1 - math.exp(star) / sum(math.exp(np.linalg.norm(patch - bank[i])) for i in around)
    found = reweighted(torch.tensor(patch), torch.tensor(bank), index, 5)
    assert found == pytest.approx(weight * star, rel=1e-9)
    assert 0 < found < star


def test_equation_7_does_not_overflow_where_its_exponentials_would() -> None:
    bank = torch.tensor([[0.0], [500.0]])
    assert reweighted(torch.tensor([-1000.0]), bank, 0, 2) == pytest.approx(1000.0)


def test_features_are_local_means_with_zeros_beyond_the_border(good: Frames, stages: Any) -> None:
    features = LocalFeatures(stages, LAYERS)(good[:2])
    first, second = stages(good[:2], LAYERS)
    assert features.shape == (2, 20, 16, 16)
    middle, corner = first[0, :, 4:7, 6:9].mean(dim=(1, 2)), first[0, :, :2, :2].sum(dim=(1, 2)) / 9
    torch.testing.assert_close(features[0, :8, 5, 7], middle)
    torch.testing.assert_close(features[0, :8, 0, 0], corner)
    # twice as large, bilinear: the corner cell is the deeper stage's own
    torch.testing.assert_close(features[1, 8:, 0, 0], second[1, :, :2, :2].sum(dim=(1, 2)) / 9)


def test_the_map_is_the_distance_to_the_bank(good: Frames, planted: Frames, stages: Any) -> None:
    method = PatchCore(LocalFeatures(stages, LAYERS), Options(coreset=10**6, sigma=0), seed=0)
    method.fit(good)
    features = LocalFeatures(stages, LAYERS)(planted[:1])[0].flatten(1).T
    distances = torch.cdist(features.double(), method.bank.double()).min(dim=1).values.reshape(16, 16)
    # of a map that is doubled, four neighbouring pixels average to the mean of weights 9, 3, 3 and 1
    found = method.maps(planted[:1])[0]
    expected = (9 * distances[5, 5] + 3 * distances[4, 5] + 3 * distances[5, 4] + distances[4, 4]) / 16
    assert found[10, 10] == pytest.approx(float(expected), rel=1e-4)
    assert method.maps(good[:1]).max() < 1e-3 * found.max()  # all of its features are in the bank


def test_smoothing_is_a_gaussian_of_the_deviation_named() -> None:
    impulse = np.zeros((41, 41), np.float32)
    impulse[20, 20] = 1
    blurred = smoothed(impulse, 2.0)
    plain = np.exp(-(np.arange(-20, 21) ** 2) / 8)
    plain = np.outer(plain, plain) / plain.sum() ** 2
    np.testing.assert_allclose(blurred, plain, atol=2e-4)
    assert np.array_equal(smoothed(impulse, 0), impulse)


def test_a_bank_of_a_single_vector_gives_the_plain_distance() -> None:
    assert reweighted(torch.tensor([3.0, 4.0]), torch.zeros(1, 2), 0, 9) == 5


def test_senseless_options_are_refused(stages: Any) -> None:
    with pytest.raises(InputError, match="coreset is 1; expected 2 or more"):
        PatchCore(LocalFeatures(stages, LAYERS), Options(coreset=1), Setting().seed)


def test_a_teachers_descriptors_take_the_place_of_the_layers(good: Frames, teacher_files: dict[int, Path]) -> None:
    options = Options(teachers=(str(teacher_files[33]),), stride=4, coreset=10**6, sigma=0)
    method = make(options, Setting(0))
    method.fit(good[:2])
    assert isinstance(method, PatchCore)
    network = load_network(teacher_files[33])[0]
    with torch.no_grad():
        expected = dense_descriptors(network, as_pixels(good[:2], "cpu"), 4)
    torch.testing.assert_close(method.bank, expected.permute(0, 2, 3, 1).reshape(-1, 128), rtol=1e-3, atol=1e-4)


def test_several_teachers_are_refused() -> None:
    with pytest.raises(InputError, match="teachers are p17, p33; expected one"):
        make(Options(teachers=("p17", "p33")), Setting(0))
