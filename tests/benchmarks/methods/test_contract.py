"""What every method promises: it finds what was planted, repeats itself for a seed, refuses frames that do not fit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.methods import (
    anogan,
    autoencoder,
    clusters,
    descriptor_autoencoder,
    descriptor_vae,
    dfr,
    feature_dictionary,
    image_neighbours,
    ocgan,
    one_nearest,
    padim,
    patchcore,
    ssim_autoencoder,
    stfpm,
    support_vectors,
)
from benchmarks.methods.base import Frames, Method, Setting
from benchmarks.methods.descriptors import DescriptorMethod, VectorModel
from benchmarks.methods.features import LocalFeatures
from benchmarks.methods.patch_features import PatchFeatures
from runtime.errors import InputError

LAYERS = ("layer2", "layer3")
SQUARE = (slice(None), slice(10, 20), slice(16, 26))
Maker = Callable[[int, Any], Method]


def of_descriptors(model: Callable[[Any, Setting], VectorModel], options: Any) -> Maker:
    def make(seed: int, stages: Any) -> Method:
        return DescriptorMethod(LocalFeatures(stages, LAYERS), model(options, Setting(seed)), options.samples, seed)

    return make


def pooled_colours(patches: Tensor) -> Tensor:
    return torch.cat([patches.mean(dim=(2, 3)), patches.std(dim=(2, 3))], dim=1)


def make_dictionary(seed: int, stages: Any) -> Method:
    options = feature_dictionary.Options(entries=6, neighbours=2, samples=150)
    extractor = PatchFeatures(pooled_colours, "colours", patch=8, stride=4)
    return feature_dictionary.FeatureDictionary(extractor, options, seed)


class TinyStudent(nn.Module):
    """Layers as those of the tiny stages, with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU())

    def forward(self, pixels: Tensor) -> list[Tensor]:
        first = self.first(pixels)
        return [first, self.second(first)]


ae = {"patch": 32, "stride": 16, "latent": 8, "width": 4, "steps": 25, "batch_size": 4, "learning_rate": 5e-3}
vectors = {"samples": 300, "hidden": 16, "steps": 150, "batch_size": 64}
MAKERS: dict[str, Maker] = {
    "1-nn": of_descriptors(one_nearest.model, one_nearest.Options(samples=300)),
    "oc-svm": of_descriptors(support_vectors.model, support_vectors.Options(samples=200)),
    "k-means": of_descriptors(clusters.model, clusters.Options(samples=300)),
    "l2-ae": of_descriptors(descriptor_autoencoder.model, descriptor_autoencoder.Options(latent=4, **vectors)),
    "vae": of_descriptors(descriptor_vae.model, descriptor_vae.Options(latent=4, **vectors)),
    "patchcore": lambda seed, stages: patchcore.PatchCore(
        LocalFeatures(stages, LAYERS), patchcore.Options(coreset=60, projected=8, sigma=1.0), seed
    ),
    "padim": lambda seed, stages: padim.PatchDistributions(
        padim.ChosenChannels(stages, LAYERS, channels=6, pool=1, seed=seed), padim.Options(channels=6, sigma=1.0)
    ),
    "stfpm": lambda seed, stages: stfpm.FeaturePyramidMatching(
        stages, TinyStudent, stfpm.Options(layers=LAYERS, steps=60, batch_size=4, learning_rate=0.1), seed
    ),
    "dfr": lambda seed, stages: dfr.DeepFeatureReconstruction(
        dfr.RegionalFeatures(stages, LAYERS, 4), dfr.Options(samples=400, steps=150, batch_size=64), seed
    ),
    "k-nn": lambda seed, stages: image_neighbours.ImageNeighbours(
        image_neighbours.PooledFeatures(stages, LAYERS), image_neighbours.Options(columns=12)
    ),
    "dictionary": make_dictionary,
    "autoencoder": lambda seed, _: autoencoder.make(autoencoder.Options(**ae), Setting(seed)),
    "ssim-ae": lambda seed, _: ssim_autoencoder.make(
        ssim_autoencoder.Options(window=5, **{**ae, "steps": 40}), Setting(seed)
    ),
    "anogan": lambda seed, _: anogan.make(
        anogan.Options(patch=8, stride=8, latent=8, width=4, steps=30, batch_size=8, search_steps=12, search_rate=0.1),
        Setting(seed),
    ),
    "ocgan": lambda seed, _: ocgan.make(
        ocgan.Options(latent=8, width=4, steps=20, batch_size=6, learning_rate=4e-3, mining_steps=1), Setting(seed)
    ),
}
NOT_RANDOM = ("k-nn",)


@pytest.fixture(params=sorted(MAKERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(name: str, stages: Any) -> Callable[[int], Method]:
    return lambda seed: MAKERS[name](seed, stages)


def test_a_method_finds_what_was_planted_and_repeats_itself(
    name: str, make: Callable[[int], Method], good: Frames, unseen: Frames, planted: Frames, one_thread: None
) -> None:
    method, again, other = make(3), make(3), make(4)
    method.fit(good)
    found, normal = method.inspect(planted), method.inspect(unseen)
    assert found.scores.dtype == np.float32
    assert found.scores.shape == (4,)
    assert found.scores.min() > normal.scores.max()
    if found.maps is not None:
        assert found.maps.dtype == np.float32
        assert found.maps.shape == planted.shape[:3]
        assert found.maps[SQUARE].mean() > 1.5 * outside(found.maps)
    # frame by frame the same as all at once
    alone = method.inspect(planted[2:3])
    np.testing.assert_allclose(alone.scores, found.scores[2:3], rtol=1e-4)

    with pytest.raises(InputError, match="fitted on frames of 32×32 pixels got 24×32"):
        method.inspect(unseen[:, :24])

    again.fit(good)
    assert np.array_equal(again.inspect(planted).scores, found.scores)
    other.fit(good)
    assert np.array_equal(other.inspect(planted).scores, found.scores) == (name in NOT_RANDOM)


def outside(maps: NDArray[np.float32]) -> float:
    """The mean of maps outside the planted square, above the lowest value anywhere."""
    away = np.ones(maps.shape, bool)
    away[SQUARE] = False
    return float(maps[away].mean())


def test_frames_that_do_not_fit_are_refused(make: Callable[[int], Method], good: Frames) -> None:
    with pytest.raises(InputError, match="not fitted yet"):
        make(0).inspect(good)
    with pytest.raises(InputError, match=r"float32 frames of shape \[12, 32, 32, 3\]; expected uint8"):
        make(0).fit(good.astype(np.float32))
    with pytest.raises(InputError, match=r"shape \[32, 32, 3\]; expected uint8 \[n, H, W, 3\]"):
        make(0).fit(good[0])
