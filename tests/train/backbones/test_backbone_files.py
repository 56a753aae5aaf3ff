"""Files of backbones: shipped ones load, and damaged, foreign or spoilt ones end with one sentence."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from runtime.errors import InputError
from train.backbones import SHIPPED, load_backbone, shipped_backbones

LITE = SHIPPED / "efficientnet-lite0.safetensors"


def changed(folder: Path, name: str, value: float, dtype: torch.dtype = torch.float16) -> Path:
    """Lite0's file with one value of one tensor replaced."""
    tensors = {key: tensor.to(dtype) for key, tensor in load_file(LITE).items()}
    tensors[name].view(-1)[0] = value
    save_file(tensors, folder / "changed.safetensors", {"card": json.dumps({"architecture": "efficientnet-lite0"})})
    return folder / "changed.safetensors"


@pytest.mark.parametrize("name", shipped_backbones())
def test_a_shipped_backbone_loads_frozen_by_name_and_by_path(name: str) -> None:
    path = SHIPPED / f"{name}.safetensors"
    backbone = load_backbone(name)
    assert (backbone.name, backbone.sha256) == (name, hashlib.sha256(path.read_bytes()).hexdigest())
    assert load_backbone(str(path)).sha256 == backbone.sha256
    assert not backbone.network.training
    for parameter in backbone.network.parameters():
        assert (parameter.requires_grad, parameter.dtype) == (False, torch.float32)
    for names in (backbone.architecture.compared, backbone.architecture.pooled):
        assert names == tuple(stage.name for stage in backbone.stages(names))


def test_stages_come_in_the_networks_order_and_others_are_refused() -> None:
    backbone = load_backbone("efficientnet-lite0")
    assert [(stage.name, stage.stride) for stage in backbone.stages(("group5", "group2"))] == [
        ("group2", 4),
        ("group5", 16),
    ]
    with pytest.raises(InputError, match=r"stage 'layer2' is none of efficientnet-lite0's: group1, group2, group3, "):
        backbone.stages(("group3", "layer2"))


def test_a_name_that_is_none_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        InputError, match=r"'b0' is neither a shipped one \(efficientnet-lite0, efficientnet-lite2, resnet18\) nor a"
    ):
        load_backbone("b0")


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (0, "is not a safetensors file or is damaged"),
        (100, "is not a safetensors file or is damaged"),
        (-1, "is not a safetensors file or is damaged"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, kept: int, sentence: str) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(LITE.read_bytes()[:kept])
    with pytest.raises(InputError, match=sentence):
        load_backbone(str(path))


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        (None, "is no backbone: it does not name its architecture; python -m train.backbones makes one"),
        ("[1]", "is not a safetensors file or is damaged"),
        ("{", "is not a safetensors file or is damaged"),
        ('{"patch_size": 17}', "is no backbone"),
        ('{"architecture": ["resnet18"]}', "architecture is \"['resnet18']\"; expected one of"),
        ('{"architecture": "vgg"}', "architecture is 'vgg'; expected one of"),
        ('{"architecture": "resnet18"}', "does not hold the layers of resnet18; make it again"),
        ('{"architecture": "efficientnet-lite2"}', "does not hold the layers of efficientnet-lite2"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path: Path, card: str | None, sentence: str) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file(load_file(LITE), path, None if card is None else {"card": card})
    with pytest.raises(InputError, match=re.escape(sentence)):
        load_backbone(str(path))


@pytest.mark.parametrize(
    ("value", "dtype", "sentence"),
    [
        (torch.nan, torch.float16, r"not finite \(stem.weight\); make it again"),
        (torch.inf, torch.float16, r"not finite \(stem.weight\); make it again"),
        (1e38, torch.float32, r"too large \(stem.weight reaches 1e\+38, FP16 65504\); make it again"),
        (1, torch.int32, "does not hold the layers of efficientnet-lite0"),
    ],
)
def test_a_file_of_values_that_no_backbone_has_is_refused(
    tmp_path: Path, value: float, dtype: torch.dtype, sentence: str
) -> None:
    path = changed(tmp_path, "stem.weight", value, dtype)
    with pytest.raises(InputError, match=f"changed.safetensors .*{sentence}"):
        load_backbone(str(path))
