"""Patches cover every pixel of a frame, and what they say is averaged; the searches and minings over them descend."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.methods import anogan, autoencoder, feature_dictionary, ocgan, patchcore
from benchmarks.methods.base import Frames, Setting, as_pixels
from benchmarks.methods.patch_autoencoder import autoencoder as network_of
from benchmarks.methods.patch_features import PatchFeatures
from benchmarks.methods.patches import averaged_over_patches, check_patch, random_patches, starts
from benchmarks.methods.training import batches, minimize, seeded
from runtime.errors import InputError


@pytest.mark.parametrize(("length", "side", "stride"), [(32, 8, 8), (33, 8, 8), (30, 8, 3), (8, 8, 5)])
def test_every_pixel_is_covered(length: int, side: int, stride: int) -> None:
    covered = {pixel for start in starts(length, side, stride) for pixel in range(start, start + side)}
    assert covered == set(range(length))


def test_a_pixel_is_the_mean_over_the_patches_that_cover_it() -> None:
    pixels = torch.rand(3, 11, 13, generator=torch.Generator().manual_seed(0))
    seen: list[Tensor] = []

    def number(patches: Tensor) -> Tensor:
        seen.extend(patches)
        first = len(seen) - len(patches)
        return torch.arange(first, len(seen)).float()[:, None, None].expand(-1, 6, 6)

    found = averaged_over_patches(pixels, 6, 4, number)
    corners = [(top, left) for top in (0, 4, 5) for left in (0, 4, 7)]
    torch.testing.assert_close(seen[5], pixels[:, 4:10, 7:13])
    for row, column in [(0, 0), (5, 5), (10, 12), (4, 8)]:
        covering = [i for i, (y, x) in enumerate(corners) if y <= row < y + 6 and x <= column < x + 6]
        assert float(found[row, column]) == pytest.approx(np.mean(covering))


def test_random_patches_lie_inside_their_frames(good: Frames) -> None:
    frames = good.copy()
    frames[:] = np.arange(12)[:, None, None, None]
    patches = random_patches(frames, torch.tensor([3, 11, 0]), 30, "cpu", 0, 1)
    assert patches.shape == (3, 3, 30, 30)
    torch.testing.assert_close(patches.amax(dim=(1, 2, 3)) * 255, torch.tensor([3.0, 11.0, 0.0]))


def test_patches_that_do_not_fit_or_leave_gaps_are_refused() -> None:
    with pytest.raises(InputError, match="patches of 40 pixels do not fit into frames of 32×48"):
        check_patch((32, 48), 40, 8)
    with pytest.raises(InputError, match="stride is 9; expected 1 to 8"):
        check_patch((32, 48), 8, 9)
    with pytest.raises(InputError, match="patch is 40; expected a multiple of 16"):
        autoencoder.make(autoencoder.Options(patch=40), Setting())
    with pytest.raises(InputError, match="patch is 24; expected a power of two"):
        anogan.make(anogan.Options(patch=24), Setting())


def test_a_described_patch_is_centred_in_the_pixels_it_stands_for(good: Frames) -> None:
    features = PatchFeatures(lambda patches: patches.mean(dim=(2, 3)), "mean", patch=8, stride=4)(good[:1])
    assert features.shape == (1, 3, 8, 8)
    pixels = as_pixels(good[:1], "cpu")[0]
    torch.testing.assert_close(features[0, :, 2, 3], pixels[:, 6:14, 10:18].mean(dim=(1, 2)))


def test_the_autoencoder_gives_back_patches_of_its_size() -> None:
    network = network_of(48, latent=5, width=4)
    assert network(torch.rand(2, 3, 48, 48)).shape == (2, 3, 48, 48)
    latent = network[:17](torch.rand(2, 3, 48, 48))  # nine convolutions with a ReLU after each but the ninth
    assert latent.shape == (2, 5, 1, 1)


def test_the_threshold_is_three_deviations_above_the_good_frames_mean(good: Frames) -> None:
    method = autoencoder.make(autoencoder.Options(patch=32, latent=4, width=2, steps=2, batch_size=2), Setting())
    with pytest.raises(InputError, match="not fitted yet"):
        _ = method.threshold
    method.fit(good)
    scores = method.inspect(good).scores
    assert method.threshold == pytest.approx(scores.mean() + 3 * scores.std(), rel=1e-5)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """That of a ResNet-18 of random weights."""
    from safetensors.torch import save_file
    from torchvision.models import resnet18

    torch.manual_seed(0)
    save_file(resnet18(weights=None).state_dict(), tmp_path / "resnet18.safetensors")
    return Setting(backbone="resnet18-layer23", weights=tmp_path / "resnet18.safetensors")


def test_patchcore_over_patches_sees_what_a_teacher_is_taught(good: Frames, setting: Setting) -> None:
    from train.descriptor import DescriptorNetwork

    options = patchcore.Options(patch=17, stride=16, coreset=10**6, sigma=0)
    method = patchcore.make(options, setting)
    method.fit(good[:2])
    assert isinstance(method, patchcore.PatchCore)
    pixels = as_pixels(good[:2], "cpu")
    inner = pixels[1, :, 16:32, 16:32]  # the patch of 17 that stands for these pixels has one more row and column
    padded = torch.nn.functional.pad(inner[None], (0, 1, 0, 1), mode="reflect")
    expected = DescriptorNetwork(setting.backbone, 96, setting.weights)(padded)[0]
    assert method.bank.shape == (8, 384)
    torch.testing.assert_close(method.bank[7], expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="teachers are p33 and patch is 33; expected one, or none"):
        patchcore.make(patchcore.Options(teachers=("p33",), patch=33), setting)


def test_the_dictionarys_features_have_unit_l1_norm(good: Frames, setting: Setting) -> None:
    options = feature_dictionary.Options(patch=16, stride=16, input_size=32)
    method = feature_dictionary.make(options, setting)
    assert isinstance(method, feature_dictionary.FeatureDictionary)
    features = method.extractor(good[:1])
    assert features.shape == (1, 384, 2, 2)
    torch.testing.assert_close(features.abs().sum(dim=1), torch.ones(1, 2, 2))


def test_anogans_noise_is_uniform(good: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    class Recording(anogan.Generator):
        def forward(self, latent: Tensor) -> Tensor:
            seen.append(latent.detach())
            return super().forward(latent)

    monkeypatch.setattr(anogan, "Generator", Recording)
    anogan.AnoGan(anogan.Options(patch=8, stride=8, latent=200, width=2, steps=1, batch_size=10), seed=0).fit(good)
    assert seen[0].shape == (10, 200)
    assert seen[0].abs().max() <= 1
    assert seen[0].std() == pytest.approx(3**-0.5, abs=0.02)


def test_anogans_search_lowers_its_loss_and_heeds_the_discriminator(good: Frames) -> None:
    found = []
    for steps, weight in ((0, 0.1), (20, 0.1), (20, 1.0)):
        options = anogan.Options(
            patch=8, stride=8, latent=8, width=4, steps=1, batch_size=4, search_steps=steps, search_rate=0.1,
            discrimination=weight,
        )  # fmt: skip
        method = anogan.AnoGan(options, seed=0)
        method.fit(good)
        found.append(method.searched(as_pixels(good[:3, :8, :8], "cpu") * 2 - 1)[1])
    assert (found[1] < found[0]).all()
    assert not torch.allclose(found[1], found[2])


def test_ocgans_mining_finds_codes_within_bounds_that_look_less_good(good: Frames) -> None:
    method = ocgan.OneClassGan(ocgan.Options(latent=6, width=2, steps=3, batch_size=4), seed=0)
    method.fit(good)
    codes = torch.rand(5, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        before = method.networks.classifier(method.networks.decoder(codes))
    mined = method.mined(codes)
    with torch.no_grad():
        after = method.networks.classifier(method.networks.decoder(mined))
    assert mined.abs().max() <= 1
    assert after.mean() < before.mean()


def test_every_epoch_shows_each_sample_once() -> None:
    drawn = torch.cat(list(batches(7, 3, 7, seed=0))).tolist()
    assert [sorted(drawn[start : start + 7]) for start in (0, 7, 14)] == [list(range(7))] * 3
    assert drawn[:7] != drawn[7:14]


def test_seeded_weights_leave_the_global_state_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with seeded(5, 100):
        first = torch.rand(3)
    torch.testing.assert_close(torch.rand(3), expected)
    with seeded(5, 100):
        torch.testing.assert_close(torch.rand(3), first)


def test_a_training_that_diverges_or_never_starts_is_refused() -> None:
    weight = torch.nn.Parameter(torch.ones(1))

    def loss(indices: Tensor, step: int) -> Tensor:
        return (weight * float("nan")).sum()

    with pytest.raises(InputError, match="toy diverged: its last loss is nan"):
        minimize(loss, [weight], 4, steps=2, batch_size=2, learning_rate=1.0, seed=0, name="toy")
    with pytest.raises(InputError, match="toy got 0 steps"):
        minimize(loss, [weight], 4, steps=0, batch_size=2, learning_rate=1.0, seed=0, name="toy")
