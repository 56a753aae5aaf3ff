"""Pretraining a teacher: it learns, goes on where it stopped, and refuses what it cannot use."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from runtime.errors import InputError
from train import descriptor
from train.ahead import ahead
from train.config import as_mapping, as_yaml
from train.data import file_sha256
from train.descriptor import DescriptorNetwork, Standardization
from train.files import load_network, read_with_card
from train.held_out import measure_triplets
from train.options import TeacherConfig
from train.photographs import read_photographs
from train.run_folder import RunFolder
from train.seeds import TEACHER_HELD_OUT, generator
from train.teacher_training import _Training, train_teacher

FEW = {"HELD_OUT_PATCHES": 24, "HELD_OUT_TRIPLETS": 16, "STANDARDIZATION_PATCHES": 48}
# the command, in a process that has as few
TRAIN_TEACHER = f"""
from runtime import cli
from train import teacher, teacher_training
vars(teacher_training).update({FEW})
cli.run(teacher.main)
"""


@pytest.fixture
def config(photographs: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> TeacherConfig:
    """A few steps of a narrow teacher with the narrower descriptor; held-out and standardization patches are few."""
    for name, count in FEW.items():
        monkeypatch.setattr(f"train.teacher_training.{name}", count)
    return TeacherConfig(
        data=str(photographs),
        width=0.25,
        descriptor="resnet18-layer23",
        descriptor_weights=str(weights),
        descriptor_input=32,
        iterations=4,
        batch_size=4,
        evaluate_every=2,
        checkpoint_every=2,
        device="cpu",
        precision="fp32",
        half=False,
    )


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def assert_equal_networks(a: Path, b: Path) -> None:
    first, second = (load_network(path)[0].state_dict() for path in (a, b))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_the_error_on_photographs_never_trained_on_falls(config: TeacherConfig, tmp_path: Path) -> None:
    config = replace(
        config, iterations=24, batch_size=8, evaluate_every=1, checkpoint_every=24, learning_rate=1e-3, compactness=0.1
    )
    path = train_teacher(config, tmp_path / "run")
    assert path is not None
    errors = [entry["held_out_error"] for entry in log_of(tmp_path / "run")]
    assert np.mean(errors[-3:]) < 0.9 * errors[0]
    network, card, _ = load_network(path)
    assert network.patch_size == card["patch_size"] == 33
    assert card["held_out_error"] == pytest.approx(errors[-1], rel=1e-4)
    assert card["photographs"] == 8
    assert card["held_out_triplet_loss"] is card["held_out_triplets_confused"] is None
    assert "data" not in card["options"]
    assert str(config.data) not in json.dumps(card)


@pytest.mark.parametrize("options", [{"triplet": 1.0}, {"descriptor": "none", "triplet": 1.0}])
def test_pieces_give_what_one_go_gives_bit_for_bit(
    config: TeacherConfig, tmp_path: Path, options: dict[str, Any]
) -> None:
    config = replace(config, schedule="cosine", **options)
    whole = train_teacher(config, tmp_path / "whole")
    assert train_teacher(config, tmp_path / "pieces", stop_after=1) is None
    assert train_teacher(config, tmp_path / "pieces", stop_after=2) is None
    pieces = train_teacher(config, tmp_path / "pieces", stop_after=9)
    assert whole is not None
    assert pieces is not None
    assert_equal_networks(whole, pieces)
    losses = {"distillation", "triplet", "compactness"} & set(log_of(tmp_path / "whole")[-1])
    assert losses == {"compactness", "triplet"} | (set() if "descriptor" in options else {"distillation"})


def test_pieces_follow_the_cosine_of_the_whole(config: TeacherConfig, tmp_path: Path) -> None:
    config = replace(config, descriptor="none", triplet=1.0, schedule="cosine", batch_size=2)
    states = []
    for done in range(1, config.iterations + 1):
        train_teacher(config, tmp_path / "run", stop_after=1)
        assert log_of(tmp_path / "run")[-1]["iteration"] == done
        states.append(load_file(tmp_path / "run" / "checkpoint.safetensors"))
    cosine = [(1 + np.cos(np.pi * step / config.iterations)) / 2 for step in range(1, config.iterations)]
    rates = [rate_of(states[step - 1], states[step], step + 1) for step in range(1, config.iterations)]
    assert rates == pytest.approx([config.learning_rate * share for share in cosine], rel=1e-2)


def rate_of(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], steps: int) -> float:
    """The learning rate of the last of so many Adam steps (Kingma and Ba, 2015), seen in the first convolution."""
    first, second = (after[f"optimizer.adam.0.{name}"].double() for name in ("exp_avg", "exp_avg_sq"))
    direction = (first / (1 - 0.9**steps)) / ((second / (1 - 0.999**steps)).sqrt() + 1e-8)
    moved = (before["module.teacher.convs.0.weight"] - after["module.teacher.convs.0.weight"]).double()
    return float((moved * direction).sum() / direction.square().sum())


def test_log_and_card_of_self_supervised_training_measure_triplets_never_trained_on(
    config: TeacherConfig, tmp_path: Path
) -> None:
    config = replace(config, descriptor="none", triplet=2.0, iterations=2)
    path = train_teacher(config, tmp_path / "run")
    assert path is not None
    network, card, _ = load_network(path)
    held_out = read_photographs(config, torch.device("cpu")).held_out
    expected = measure_triplets(network, held_out.triplets(16, generator(0, TEACHER_HELD_OUT, 2)), config.margin)
    assert 0 < expected.confused < 1
    assert expected.loss > 0
    for source in (card, log_of(tmp_path / "run")[-1]):
        assert source["held_out_error"] is None
        assert source["held_out_triplet_loss"] == pytest.approx(expected.loss, rel=1e-4)
        assert source["held_out_triplets_confused"] == expected.confused


def test_a_machine_that_cannot_compile_says_so_and_trains_to_the_same_result(
    config: TeacherConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch._inductor.config

    config = replace(config, descriptor="none", triplet=1.0, iterations=2)
    plain = train_teacher(config, tmp_path / "plain")
    with torch._inductor.config.patch("cpp.cxx", ("no-such-compiler",)):  # monkeypatch's undoing would lose the name
        uncompiled = train_teacher(replace(config, compile=True), tmp_path / "uncompiled")
    assert re.search(
        r"torch\.compile cannot compile the teacher here \(.*C\+\+ compiler.*\); it runs uncompiled, only slower",
        capsys.readouterr().out,
    )
    assert plain is not None
    assert uncompiled is not None
    assert_equal_networks(plain, uncompiled)


def test_a_run_from_before_an_option_existed_goes_on(config: TeacherConfig, tmp_path: Path) -> None:
    config = replace(config, descriptor="none", triplet=1.0)
    assert train_teacher(config, tmp_path / "run", stop_after=1) is None
    stored = tmp_path / "run" / "config.yaml"
    lines = stored.read_text().splitlines(keepends=True)
    stored.write_text("".join(line for line in lines if not line.startswith("compile")))
    with pytest.raises(InputError, match=r"holds a run with compile = False, this one has True"):
        train_teacher(replace(config, compile=True), tmp_path / "run")
    assert train_teacher(config, tmp_path / "run") is not None


def test_the_card_keeps_the_note_on_the_photographs(config: TeacherConfig, tmp_path: Path) -> None:
    config = replace(config, descriptor="none", triplet=1.0, iterations=1, data_note="8 made-up pictures")
    path = train_teacher(config, tmp_path / "run")
    assert path is not None
    assert load_network(path)[1]["options"]["data_note"] == "8 made-up pictures"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_a_step_on_a_gpu_never_waits_for_it(config: TeacherConfig, tmp_path: Path) -> None:
    config = replace(config, triplet=1.0, device="cuda", iterations=3)
    training = _Training(config, RunFolder(tmp_path / "run"))
    training._choose_networks()
    drawn = ahead(training._draw, range(3))
    training.step(0, drawn)  # the first one allocates and chooses algorithms
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.step(1, drawn)
        training.step(2, drawn)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("one_thread")
def test_a_killed_pretraining_goes_on_to_the_same_result(
    config: TeacherConfig, environment: dict[str, str], tmp_path: Path
) -> None:
    """It has more steps before it than it can do, so that the kill comes amid them; its next step is compared."""
    config = replace(config, descriptor="none", triplet=1.0, iterations=100_000, checkpoint_every=3)
    config = replace(config, evaluate_every=100_000)
    (tmp_path / "config.yaml").write_text(as_yaml(as_mapping(config)))
    arguments = [sys.executable, "-c", TRAIN_TEACHER, "--config", "config.yaml", "--out", "killed"]
    process = subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    try:
        deadline = time.monotonic() + 60
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finally:
        assert process.wait(timeout=10) == -signal.SIGKILL
    before = read_with_card(checkpoint)[1]["iteration"]
    assert before % 3 == 0
    # the folder holds the configuration as it was resolved, distillation off
    assert train_teacher(config, tmp_path / "killed", stop_after=2) is None
    assert train_teacher(config, tmp_path / "whole", stop_after=before + 2) is None
    (killed, after), (whole, expected) = (
        read_with_card(tmp_path / name / "checkpoint.safetensors") for name in ("killed", "whole")
    )
    assert after["iteration"] == expected["iteration"] == before + 2
    assert list(killed) == list(whole)
    assert [name for name in whole if not torch.equal(killed[name], whole[name])] == []


@pytest.mark.parametrize("often", [{}, {"checkpoint_every": 1}])
def test_a_pretraining_that_diverged_writes_nothing(
    config: TeacherConfig, tmp_path: Path, often: dict[str, int]
) -> None:
    config = replace(config, descriptor="none", triplet=1e38, **often)
    with pytest.raises(InputError, match=r"the triplet is not finite at step \d: .* use a smaller --learning-rate"):
        train_teacher(config, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_a_pretraining_goes_on_with_its_own_photographs_only(
    config: TeacherConfig, photographs: Path, tmp_path: Path
) -> None:
    shutil.copytree(photographs, tmp_path / "photographs")
    config = replace(config, descriptor="none", triplet=1.0, data=str(tmp_path / "photographs"))
    assert train_teacher(config, tmp_path / "run", stop_after=1) is None
    (tmp_path / "photographs" / "0.png").unlink()
    with pytest.raises(InputError, match=r"run was begun on other photographs than \S+ holds; restore them"):
        train_teacher(config, tmp_path / "run")


def test_half_precision_halves_the_file(config: TeacherConfig, tmp_path: Path) -> None:
    config = replace(config, descriptor="none", triplet=1.0, iterations=1)
    full, half = (train_teacher(replace(config, half=h), tmp_path / str(h)) for h in (False, True))
    assert full is not None
    assert half is not None
    assert half.stat().st_size < 0.51 * full.stat().st_size
    for name, tensor in load_network(half)[0].state_dict().items():
        torch.testing.assert_close(tensor, load_network(full)[0].state_dict()[name].half().float(), rtol=0, atol=0)


def test_a_pretraining_goes_on_with_its_own_options_only(config: TeacherConfig, tmp_path: Path) -> None:
    config = replace(config, descriptor="none", triplet=1.0)
    assert train_teacher(config, tmp_path / "run", stop_after=1) is None
    with pytest.raises(InputError, match=r"holds a run with margin = 128\.0, this one has 1\.0; use the same options"):
        train_teacher(replace(config, margin=1.0), tmp_path / "run")


BAD = [
    (
        {"distillation": 0.0},
        "distillation and triplet are both off, so a teacher has nothing to learn; set --triplet 1",
    ),
    ({"descriptor": "none"}, "distillation and triplet are both off"),
    ({"iterations": 0}, "iterations is 0; expected 1 or more"),
    ({"batch_size": 1}, "batch_size is 1; expected 2 or more"),
    ({"evaluate_every": 0}, "evaluate_every is 0; expected 1 or more"),
    ({"checkpoint_every": -1}, "checkpoint_every is -1; expected 1 or more"),
    ({"zoom_cap": 0.0}, "zoom_cap is 0.0; expected a number above 0"),
    ({"learning_rate": -1.0}, "learning_rate is -1.0; expected a number above 0"),
    ({"learning_rate": 1e30}, r"learning_rate is 1e\+30; expected 1 or less"),
    ({"seed": 10**20}, "seed is 100000000000000000000; expected 18446744073709551615 or less"),
    ({"triplet": -1.0}, "triplet is -1.0; expected 0 or more"),
    ({"seed": -5}, "seed is -5; expected 0 or more"),
    ({"data": "nowhere"}, "nowhere is not a folder; give a folder of images"),
    ({"descriptor_weights": "nowhere.safetensors"}, "nowhere.safetensors is not a file; give the weights of torch"),
]


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_each_option_that_cannot_be_used_has_its_sentence(
    config: TeacherConfig, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_teacher(replace(config, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_few_photographs_are_refused(config: TeacherConfig, photographs: Path, tmp_path: Path) -> None:
    for path in sorted(photographs.iterdir())[:3]:
        (tmp_path / "few").mkdir(exist_ok=True)
        (tmp_path / "few" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="few holds 3 images; a teacher needs 4 or more"):
        train_teacher(replace(config, data=str(tmp_path / "few")), tmp_path / "run")


@pytest.mark.parametrize("name", ["resnet18", "resnet18-layer23"])
def test_the_descriptor_is_torchvisions_network_pooled(name: str, resnet: Any, weights: Path) -> None:
    patches = torch.rand(3, 3, 17, 17, generator=torch.Generator().manual_seed(0))
    found = DescriptorNetwork(name, 64, weights)(patches)
    x = functional.interpolate(patches, (64, 64), mode="bilinear")
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        getattr(resnet, layer).register_forward_hook(lambda _, __, out, layer=layer: seen.update({layer: out}))
        for layer in ("layer2", "layer3", "layer4")
    ]
    with torch.no_grad():
        resnet(x)
    for hook in hooks:
        hook.remove()
    layers = ["layer4"] if name == "resnet18" else ["layer2", "layer3"]
    expected = torch.cat([seen[layer].mean(dim=(2, 3)) for layer in layers], dim=1)
    assert found.shape == (3, 512 if name == "resnet18" else 384)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_weights_without_the_last_layers_serve_the_earlier_descriptor_only(resnet: Any, tmp_path: Path) -> None:
    state = {k: v for k, v in resnet.state_dict().items() if not k.startswith(("layer4", "fc"))}
    path = tmp_path / "to_layer3.safetensors"
    save_file(state, path)
    assert DescriptorNetwork("resnet18-layer23", 32, path).size == 384
    with pytest.raises(InputError, match=r"lacks layer4\.\S+ and \d+ more tensors of torchvision's ResNet-18"):
        DescriptorNetwork("resnet18", 32, path)


@pytest.fixture
def kept_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision's weights are kept, once they are there; they cannot be downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nothing listens
    monkeypatch.setattr("urllib.request._opener", None)  # or an earlier test's would be used, with its proxies
    path = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True)
    return path


def test_without_a_network_a_file_of_the_weights_is_asked_for(kept_weights: Path) -> None:
    message = r"neither be read from \S+ nor downloaded from https://\S+ \(.+\); give a file of them, with --desc"
    with pytest.raises(InputError, match=message):
        DescriptorNetwork("resnet18", 32, None)


def test_kept_weights_are_those_that_were_downloaded(
    kept_weights: Path, resnet: Any, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(resnet.state_dict(), kept_weights)
    monkeypatch.setattr(descriptor, "WEIGHTS_SHA256", file_sha256(kept_weights))
    patches = torch.rand(3, 3, 17, 17, generator=torch.Generator().manual_seed(0))
    found, expected = (DescriptorNetwork("resnet18", 64, path)(patches) for path in (None, weights))
    assert torch.equal(found, expected)


class Harmful:
    """A pickle of it would write a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("is_expected", [False, True])
def test_a_file_in_the_place_of_kept_weights_runs_no_code(
    kept_weights: Path, monkeypatch: pytest.MonkeyPatch, is_expected: bool
) -> None:
    trace = kept_weights.with_name("it ran")
    torch.save({"conv1.weight": Harmful(trace)}, kept_weights)
    if is_expected:
        monkeypatch.setattr(descriptor, "WEIGHTS_SHA256", file_sha256(kept_weights))
    other = r"f37072fd\.pth is not torchvision's file: its SHA-256 is \w+, expected f37072fd\w+; remove it, and it is "
    with pytest.raises(InputError, match="is a pickle that could run code; refused" if is_expected else other):
        DescriptorNetwork("resnet18", 32, None)
    assert not trace.exists()


def test_weights_of_another_shape_are_refused(resnet: Any, tmp_path: Path) -> None:
    state = {**resnet.state_dict(), "conv1.weight": torch.zeros(64, 3, 5, 5)}
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"does not fit torchvision's ResNet-18: size mismatch for conv1\.weight"):
        DescriptorNetwork("resnet18", 32, tmp_path / "other.safetensors")


def test_standardized_descriptors_have_mean_0_and_deviation_1_and_dead_channels_their_scale() -> None:
    descriptors = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 50.0, 0.0]) + 7
    found = Standardization.of(descriptors)(descriptors)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(dim=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5, rtol=0)
