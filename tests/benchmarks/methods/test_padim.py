"""PaDiM's channels, Gaussians and distances against NumPy's own, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from benchmarks.methods.base import Frames, Setting
from benchmarks.methods.padim import ChosenChannels, Options, PatchDistributions, gaussians, make
from runtime.errors import InputError

LAYERS = ("layer2", "layer3")  # 8 and 12 channels, 16×16 and 8×8 positions


def test_a_distance_is_numpys_mahalanobis_distance_at_its_position(good: Frames, planted: Frames, stages: Any) -> None:
    extractor = ChosenChannels(stages, LAYERS, channels=6, pool=1, seed=0)
    method = PatchDistributions(extractor, Options(channels=6, regularization=0.02, sigma=0))
    method.fit(good)
    found = method.distances(planted[0])
    assert found.shape == (16, 16)
    features, query = extractor(good).double().numpy(), extractor(planted[:1])[0].double().numpy()
    for row, column in [(0, 0), (5, 9), (15, 3)]:
        vectors = features[:, :, row, column]
        covariance = np.cov(vectors, rowvar=False) + 0.02 * np.eye(6)
        away = query[:, row, column] - vectors.mean(axis=0)
        expected = np.sqrt(away @ np.linalg.inv(covariance) @ away)
        assert float(found[row, column]) == pytest.approx(expected, rel=1e-4)


def test_the_map_is_the_enlarged_distances_and_the_score_its_highest_value(
    good: Frames, planted: Frames, stages: Any
) -> None:
    method = PatchDistributions(ChosenChannels(stages, LAYERS, 6, 1, 0), Options(channels=6, sigma=0))
    method.fit(good)
    distances, found = method.distances(planted[0]), method.inspect(planted[:1])
    assert found.maps is not None
    # of a map that is doubled, a pixel is a mean of four with weights 9, 3, 3 and 1
    expected = (9 * distances[5, 5] + 3 * distances[4, 5] + 3 * distances[5, 4] + distances[4, 4]) / 16
    assert found.maps[0, 10, 10] == pytest.approx(float(expected), rel=1e-5)
    assert found.scores[0] == found.maps[0].max()
    method.options = Options(channels=6, sigma=4)
    assert method.maps(planted[:1]).max() < 0.95 * found.maps.max()


def test_a_position_has_the_deeper_cell_that_covers_it(good: Frames, stages: Any) -> None:
    features = ChosenChannels(stages, LAYERS, channels=20, pool=1, seed=0)(good[:2])
    first, second = stages(good[:2], LAYERS)
    assert features.shape == (2, 20, 16, 16)
    torch.testing.assert_close(features[:, :8], first)
    for row, column in [(0, 0), (7, 4), (15, 15)]:
        torch.testing.assert_close(features[:, 8:, row, column], second[:, :, row // 2, column // 2])


def test_the_channels_are_the_seeds_and_none_twice(good: Frames, stages: Any) -> None:
    every = ChosenChannels(stages, LAYERS, 20, 1, 0)(good[:1])
    chosen = []
    for seed in (0, 0, 1):
        extractor = ChosenChannels(stages, LAYERS, 9, 1, seed)
        chosen.append(torch.cat(extractor.taken).nonzero()[:, 0].tolist())
        assert torch.equal(extractor(good[:1]), every[:, chosen[-1]])
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]
    assert len(chosen[0]) == 9
    identities = {ChosenChannels(stages, LAYERS, 9, pool, seed).identity for pool in (1, 2) for seed in (0, 1)}
    assert len(identities) == 4  # kept features are told apart by it


def test_pooled_positions_are_means_of_squares(good: Frames, stages: Any) -> None:
    every = ChosenChannels(stages, LAYERS, 7, 1, 0)(good[:1])
    pooled = ChosenChannels(stages, LAYERS, 7, 3, 0)(good[:1])
    assert pooled.shape == (1, 7, 6, 6)
    torch.testing.assert_close(pooled[0, :, 1, 2], every[0, :, 3:6, 6:9].mean(dim=(1, 2)))
    torch.testing.assert_close(pooled[0, :, 5, 0], every[0, :, 15, :3].mean(dim=1))  # the last row has one position


def test_one_frame_and_more_channels_than_there_are_are_refused(good: Frames, stages: Any) -> None:
    method = PatchDistributions(ChosenChannels(stages, LAYERS, 6, 1, 0), Options())
    with pytest.raises(InputError, match="PaDiM got one good frame; expected 2 or more"):
        method.fit(good[:1])
    with pytest.raises(InputError, match="channels is 21; layer2, layer3 have 20: choose that or fewer"):
        ChosenChannels(stages, LAYERS, 21, 1, 0)


def test_a_regularization_too_small_to_help_is_refused() -> None:
    with pytest.raises(InputError, match="regularization is 1e-30, which leaves a covariance singular"):
        gaussians(torch.zeros(1, 3, 2) + torch.tensor([[0.0], [1.0], [2.0]]), 1e-30)


def test_resnet_18_gives_the_papers_hundred_channels_at_layer1s_resolution(good: Frames, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, tmp_path / "p.safetensors")
    setting = Setting(backbone="resnet18-layer23", weights=tmp_path / "p.safetensors")
    method = make(Options(), setting)
    assert isinstance(method, PatchDistributions)
    method.fit(good[:3])
    assert method.whitening.shape == (8, 8, 100, 100)
    assert method.maps(good[:1]).shape == (1, 32, 32)
    with pytest.raises(InputError, match="channels is 500; layer1, layer2, layer3 have 448"):
        make(Options(channels=500), setting)
    with pytest.raises(InputError, match="resnet18-layer23 has no 'layer4'; choose among layer1, layer2, layer3"):
        make(Options(layers=("layer3", "layer4")), setting)
