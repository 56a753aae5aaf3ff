"""Published weights as backbones: the same maps as with separate batch norms, and refusals of what does not fit."""

import hashlib
import pickle
import re
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import torch
from published_weights import lite_blocks, lite_state, random_resnet
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from runtime.errors import InputError
from train.backbones import load_backbone, new_network, read_card
from train.backbones.__main__ import main
from train.backbones.convert import convert, multiply_adds
from train.files import save_network
from train.networks import PatchNetwork

State = dict[str, Tensor]
RESNET = random_resnet()


def saved(folder: Path, state: State, name: str = "weights.safetensors") -> Path:
    save_file({key: value.contiguous() for key, value in state.items()}, folder / name)
    return folder / name


def maps_of(source: Path, architecture: str, pixels: Tensor) -> dict[str, Tensor]:
    """In the precision of `pixels`: in float64 only the rounding of folded weights to float32 is left to differ."""
    network = new_network(architecture).eval().requires_grad_(False)
    network.load_state_dict(convert(source, architecture)[0])
    network.to(pixels.dtype)
    maps: dict[str, Tensor] = network.maps(pixels, tuple(stage.name for stage in network.stages))
    return maps


@pytest.mark.parametrize("size_hw", [(64, 64), (49, 70)])
@pytest.mark.parametrize("without", [(), ("layer4", "fc")])
def test_a_resnets_maps_are_torchvisions(tmp_path: Path, size_hw: tuple[int, int], without: tuple[str, ...]) -> None:
    state = {key: value for key, value in RESNET.state_dict().items() if not key.startswith(without or ("none",))}
    pixels = torch.randn(2, 3, *size_hw)
    found = maps_of(saved(tmp_path, state), "resnet18", pixels)
    with torch.no_grad():
        x = RESNET.maxpool(RESNET.relu(RESNET.bn1(RESNET.conv1(pixels))))
        for layer in ("layer1", "layer2", "layer3"):
            x = getattr(RESNET, layer)(x)
            torch.testing.assert_close(found[layer], x, rtol=1e-4, atol=1e-4)


def plain_lite_maps(state: State, name: str, pixels: Tensor) -> list[Tensor]:
    """Maps of the stages to stride 16, with batch norms on their own and TensorFlow's padding written out."""

    def conv(x: Tensor, place: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{place}.weight"]
        kernel, (height, width) = weight.shape[-1], x.shape[2:]
        down = max((ceil(height / stride) - 1) * stride + kernel - height, 0)
        across = max((ceil(width / stride) - 1) * stride + kernel - width, 0)
        x = functional.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        x = functional.conv2d(x, weight, stride=stride, groups=x.shape[1] // weight.shape[1])
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return functional.batch_norm(x, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3)

    x = conv(pixels, "_conv_stem", "_bn0", 2).clamp(0, 6)
    found, index = [], 0
    for blocks in lite_blocks(name)[:5]:
        for block in blocks:
            place, before = f"_blocks.{index}.", x
            if block.expansion > 1:
                x = conv(x, f"{place}_expand_conv", f"{place}_bn0").clamp(0, 6)
            x = conv(x, f"{place}_depthwise_conv", f"{place}_bn1", block.stride).clamp(0, 6)
            x = conv(x, f"{place}_project_conv", f"{place}_bn2")
            x = x + before if x.shape == before.shape else x
            index += 1
        found.append(x)
    return found


@pytest.mark.parametrize("size_hw", [(64, 64), (45, 66)])
@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2"])
def test_an_efficientnets_maps_are_those_with_separate_batch_norms(
    tmp_path: Path, name: str, size_hw: tuple[int, int]
) -> None:
    state, pixels = lite_state(name), torch.randn(2, 3, *size_hw, dtype=torch.float64)
    found = maps_of(saved(tmp_path, state), name, pixels)
    exact = {key: value.double() for key, value in state.items()}
    for number, expected in enumerate(plain_lite_maps(exact, name, pixels), start=1):
        assert expected.std() > 0.1
        torch.testing.assert_close(found[f"group{number}"], expected, rtol=1e-4, atol=1e-4)


def test_the_file_and_its_card_say_what_was_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "mine.pth", tmp_path / "new" / "mine.safetensors"
    torch.save(RESNET.state_dict(), source)
    main([str(source), "--architecture", "resnet18", "--out", str(out), "--note", "ours"])
    assert "the card leaves it open" in capsys.readouterr().out
    backbone = load_backbone(str(out))
    pixels = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        exact = maps_of(source, "resnet18", pixels)["layer3"]
        torch.testing.assert_close(backbone.network.maps(pixels, ("layer3",))["layer3"], exact, rtol=0.02, atol=0.02)
    assert {tensor.dtype for tensor in load_file(out).values()} == {torch.float16}
    card = backbone.card
    assert card["source"] == {"name": "mine.pth", "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
    assert card["stages"][1] == {"name": "layer2", "channels": 128, "stride": 8}
    assert card["pixels"]["mean"] == [0.485, 0.456, 0.406]
    assert card["converted_with"]["torch"] == torch.__version__.partition("+")[0]
    assert card["note"] == "ours"

    main([str(source), "--architecture", "resnet18", "--out", str(out)])  # a backbone may be replaced by a newer one
    assert read_card(out)["note"] == ""


def test_the_multiply_adds_are_those_counted_by_hand() -> None:
    stem, layer1 = 16**2 * 64 * 3 * 49, 4 * 8**2 * 64 * 64 * 9
    layer2 = 4**2 * 128 * (64 * 9 + 3 * 128 * 9 + 64)
    layer3 = 2**2 * 256 * (128 * 9 + 3 * 256 * 9 + 128)
    assert multiply_adds(new_network("resnet18"), 32) == stem + layer1 + layer2 + layer3

    side, expected = 16, 16**2 * 32 * 3 * 9
    for block in [block for stage in lite_blocks("efficientnet-lite0")[:5] for block in stage]:
        inner = block.width_in * block.expansion
        expected += side**2 * block.width_in * inner if block.expansion > 1 else 0
        side //= block.stride
        expected += side**2 * inner * (block.kernel**2 + block.width)
    assert multiply_adds(new_network("efficientnet-lite0"), 32) == expected


def lacking(state: State) -> State:
    return {key: value for key, value in state.items() if key != "layer2.1.bn2.running_var"}


def misshapen(state: State) -> State:
    return {**state, "layer1.0.conv2.weight": torch.zeros(64, 64, 1, 1)}


def mismatched(state: State) -> State:
    return {**state, "bn1.weight": torch.ones(63)}


def deeper(_: State) -> State:
    return dict(random_resnet(34).state_dict())


def wrapped(state: State) -> dict[str, Any]:
    return {"epoch": 3, "state_dict": state}


def of_integers(state: State) -> State:
    return {**state, "conv1.weight": state["conv1.weight"].int()}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lacking, "it lacks layer2.1.bn2.running_var; give weights of resnet18"),
        (misshapen, "it has 64×64×1×1 values for layer1.0.conv2.weight, which has 64×64×3×3"),
        (mismatched, "it has a batch norm that does not fit its convolution"),
        (deeper, "it has layer1.2.bn1.bias, which resnet18 has not"),
        (wrapped, "it lacks bn1.running_mean"),
        (of_integers, "it lacks conv1.weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: Callable[[State], Any], sentence: str) -> None:
    source = tmp_path / "weights.pth"
    torch.save(change(RESNET.state_dict()), source)
    with pytest.raises(InputError, match=re.escape(f"weights.pth does not hold resnet18: {sentence}")):
        convert(source, "resnet18")


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ("efficientnet-lite0", "resnet18"),
        ("efficientnet-lite2", "efficientnet-lite0"),
        ("resnet18", "efficientnet-lite2"),
    ],
)
def test_another_architecture_is_named(tmp_path: Path, held: str, asked: str) -> None:
    source = saved(tmp_path, RESNET.state_dict() if held == "resnet18" else lite_state(held))
    with pytest.raises(InputError, match=rf"does not hold {asked}: it .*; it holds {held}: --architecture {held}$"):
        convert(source, asked)


def test_a_deeper_efficientnet_is_not_taken_for_one_that_is_known(tmp_path: Path) -> None:
    source = saved(tmp_path, lite_state("efficientnet-lite1"))
    with pytest.raises(InputError, match=r"does not hold efficientnet-lite0: .*; give weights of efficientnet-lite0"):
        convert(source, "efficientnet-lite0")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("conv1.weight", 1e9, r"too large \(conv1.weight reaches \S+, FP16 65504\)"),
        ("layer3.0.bn1.bias", torch.nan, r"not finite \(layer3.0.conv1.bias\)"),
        ("bn1.running_var", -1.0, r"not finite \(conv1.weight\)"),
        ("layer1.0.bn1.bias", torch.inf, r"not finite \(layer1.0.conv1.bias\)"),
    ],
)
def test_weights_that_fp16_cannot_hold_are_refused(tmp_path: Path, name: str, value: float, sentence: str) -> None:
    state, out = dict(RESNET.state_dict()), tmp_path / "out.safetensors"
    source = saved(tmp_path, {**state, name: torch.full_like(state[name], value)})
    with pytest.raises(InputError, match=rf"was not written: it would hold weights that are {sentence}"):
        main([str(source), "--architecture", "resnet18", "--out", str(out)])
    assert not out.exists()


class Harmful:
    """A pickle of it would write a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path) -> None:
    source, trace = tmp_path / "weights.pth", tmp_path / "it ran"
    source.write_bytes(pickle.dumps({"conv1.weight": Harmful(trace)}))
    with pytest.raises(InputError, match="is a pickle that could run code; refused"):
        main([str(source), "--architecture", "resnet18", "--out", str(tmp_path / "a.safetensors")])
    assert not trace.exists()


def test_what_is_no_backbone_is_not_replaced(tmp_path: Path) -> None:
    source = saved(tmp_path, RESNET.state_dict())
    teacher = tmp_path / "teacher.safetensors"
    save_network(teacher, PatchNetwork(17, 0.1), {})
    (tmp_path / "notes.safetensors").write_text("mine")
    (tmp_path / "folder.safetensors").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for out, sentence in {
        teacher: "is no backbone and would be replaced; move it, or name another --out",
        source: "is no backbone and would be replaced",
        tmp_path / "notes.safetensors": "is no backbone and would be replaced",
        tmp_path / "folder.safetensors": "which is a folder; name a file",
        tmp_path / "backbone.onnx": "expected a name ending in .safetensors",
        source / "a.safetensors": "cannot be written",
    }.items():
        with pytest.raises(InputError, match=re.escape(sentence)):
            main([str(source), "--architecture", "resnet18", "--out", str(out)])
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gone.pth", "--architecture", "resnet18"], "gone.pth is not a file; give weights of resnet18"),
        (["gone.pth", "--architecture", "vgg"], "architecture is 'vgg'; expected one of efficientnet-lite0, eff"),
    ],
)
def test_a_wrong_argument_is_answered_in_one_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        main([*arguments, "--out", str(tmp_path / "a.safetensors")])
    assert list(tmp_path.iterdir()) == []
