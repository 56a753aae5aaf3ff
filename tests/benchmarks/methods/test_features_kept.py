"""Kept features are those computed, and cost nothing the second time; the backbone is torchvision's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from benchmarks.methods.base import Frames, Setting
from benchmarks.methods.features import KeptFeatures, LocalFeatures, ResNetStages, kept
from runtime.errors import InputError

LAYERS = ("layer2", "layer3")


def test_kept_features_are_read_back_and_not_computed_again(good: Frames, stages: Any, tmp_path: Path) -> None:
    extractor = kept(LocalFeatures(stages, LAYERS), Setting(features=tmp_path))
    first = extractor(good[:3])
    assert stages.calls == 3
    again = kept(LocalFeatures(stages, LAYERS), Setting(features=tmp_path))(good[1:4])
    assert stages.calls == 4  # the fourth frame is new
    torch.testing.assert_close(again[:2], first[1:], rtol=0, atol=0)
    torch.testing.assert_close(first, LocalFeatures(stages, LAYERS)(good[:3]))


def test_other_settings_do_not_share_features(good: Frames, stages: Any, tmp_path: Path) -> None:
    for neighbourhood in (1, 3):
        found = KeptFeatures(LocalFeatures(stages, LAYERS, neighbourhood), tmp_path, 1 << 20)(good[:1])
        torch.testing.assert_close(found, LocalFeatures(stages, LAYERS, neighbourhood)(good[:1]))


def test_a_full_folder_computes_the_rest_anew(good: Frames, stages: Any, tmp_path: Path) -> None:
    one_file = 20 * 16 * 16 * 4 + 200
    extractor = KeptFeatures(LocalFeatures(stages, LAYERS), tmp_path, 2 * one_file)
    for _ in range(2):
        assert extractor(good[:4]).shape == (4, 20, 16, 16)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    assert stages.calls == 6


def test_a_damaged_file_is_named(good: Frames, stages: Any, tmp_path: Path) -> None:
    extractor = KeptFeatures(LocalFeatures(stages, LAYERS), tmp_path, 1 << 20)
    extractor(good[:1])
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(b"not an array")
    with pytest.raises(InputError, match=f"{path.name} is damaged; remove it"):
        extractor(good[:1])


def test_stages_are_those_of_torchvisions_network(good: Frames, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, tmp_path / "p.safetensors")
    stages = ResNetStages(Setting(backbone="resnet18", weights=tmp_path / "p.safetensors"))
    found = stages(good[:2], ("layer3", "layer1"))
    rgb = torch.from_numpy(good[:2, :, :, ::-1].astype(np.float32)).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (rgb - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        first = network.layer1(network.maxpool(network.relu(network.bn1(network.conv1(x)))))
        third = network.layer3(network.layer2(first))
    torch.testing.assert_close(found[1], first)
    torch.testing.assert_close(found[0], third)
    with pytest.raises(InputError, match="resnet18 has no 'layer5'; choose among layer1, layer2, layer3, layer4"):
        stages(good[:1], ("layer5",))
