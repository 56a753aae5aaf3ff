"""Pretraining on views: it begins with the best decoder, learns, goes on where it stopped, and refuses the unusable."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from runtime.errors import InputError
from train.card import facts
from train.data import file_sha256
from train.descriptor import Standardization
from train.ensemble import teacher_path
from train.files import load_network, save_network
from train.held_out import described, unexplained_variance
from train.linear_decoder import LinearDecoder
from train.networks import PatchNetwork
from train.options import TeacherConfig
from train.patches import Draw, PatchSampler
from train.run_folder import RunFolder
from train.seeds import TEACHER_HELD_OUT, generator
from train.teacher_training import _Training, train_teacher


@pytest.fixture(scope="module")
def textured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve pictures in which something happens at every scale, as in photographs."""
    folder, random = tmp_path_factory.mktemp("textured"), np.random.default_rng(0)
    for index in range(12):
        shares = random.dirichlet(np.ones(5))
        noise = [random.integers(0, 256, (side, side, 3), np.uint8) for side in (3, 9, 20, 45, 140)]
        layers = [cv2.resize(each, (140, 140), interpolation=cv2.INTER_CUBIC).astype(np.float32) for each in noise]
        image = sum(share * layer for share, layer in zip(shares, layers, strict=True))
        assert cv2.imwrite(str(folder / f"{index}.png"), np.asarray(image, np.uint8))
    return folder


@pytest.fixture
def config(textured: Path, monkeypatch: pytest.MonkeyPatch) -> TeacherConfig:
    """A few steps of the smallest views, from a shipped teacher; held-out and standardization views are few."""
    monkeypatch.setattr("train.teacher_training.HELD_OUT_VIEWS", 6)
    monkeypatch.setattr("train.teacher_training.STANDARDIZATION_VIEWS", 12)
    monkeypatch.setattr("train.teacher_training.HELD_OUT_PATCHES", 24)
    monkeypatch.setattr("train.teacher_training.STANDARDIZATION_PATCHES", 48)
    return TeacherConfig(
        data=str(textured),
        width=0.25,
        dense=96,
        start="p33-quarter",
        descriptor="resnet18-layer23",
        iterations=3,
        batch_size=3,
        evaluate_every=1,
        checkpoint_every=2,
        device="cpu",
        precision="fp32",
        half=False,
    )


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_the_error_of_the_map_falls_and_stands_in_the_card(config: TeacherConfig, tmp_path: Path) -> None:
    config = replace(config, descriptor="efficientnet-lite0", iterations=8, schedule="cosine", checkpoint_every=8)
    path = train_teacher(config, tmp_path / "run")
    assert path is not None
    log = log_of(tmp_path / "run")
    assert log[-1]["held_out_error"] < 0.95 * log[0]["held_out_error"]
    assert log[0]["views_per_second"] > 0
    card = load_network(path)[1]
    assert card["held_out_error"] == pytest.approx(log[-1]["held_out_error"], rel=1e-4)
    assert card["options"]["start"] == "p33-quarter"
    assert card["start_sha256"] == file_sha256(teacher_path("p33-quarter"))
    assert f"| begun with | `p33-quarter`, SHA-256 `{card['start_sha256']}` |" in facts(path)


@pytest.mark.parametrize("changes", [{}, {"start": None, "descriptor": "efficientnet-lite0", "patch_size": 17}])
def test_pieces_give_what_one_go_gives_bit_for_bit(
    config: TeacherConfig, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = replace(config, schedule="cosine", **changes)
    whole = train_teacher(config, tmp_path / "whole")
    assert train_teacher(config, tmp_path / "pieces", stop_after=1) is None
    pieces = train_teacher(config, tmp_path / "pieces", stop_after=9)
    assert whole is not None
    assert pieces is not None
    first, second = (load_network(path)[0].state_dict() for path in (whole, pieces))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_training_begins_with_the_weights_of_start_and_the_best_decoder_for_them(
    config: TeacherConfig, tmp_path: Path
) -> None:
    training = _Training(config, RunFolder(tmp_path / "run"))
    begun, shipped = training.teacher.state_dict(), load_network(teacher_path("p33-quarter"))[0].state_dict()
    assert all(torch.equal(begun[name], shipped[name]) for name in shipped)
    sample = training.sampler.patches(12, generator(config.seed, TEACHER_HELD_OUT, 1))
    with torch.no_grad():
        found, target = training.learner(sample), training._targets(sample)
        decoded = training.decoder(found)
    torch.testing.assert_close(target.mean(dim=0), torch.zeros(384), atol=1e-4, rtol=0)
    deviation = target.std(dim=0)
    assert ((deviation - 1).abs() < 1e-3).float().mean() > 0.95  # of no dead channel
    best = unexplained_variance(LinearDecoder.fit(found, target)(found), target.double())
    assert unexplained_variance(decoded, target) == pytest.approx(best, rel=1e-3)
    assert best < 0.9


@pytest.mark.parametrize("changes", [{}, {"dense": None, "descriptor_input": 32}])
def test_what_is_fitted_before_the_first_step_reads_a_few_at_once_and_is_the_same_to_the_last_bit(
    config: TeacherConfig, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr("train.teacher_training.CHUNK", 20)
    read, sizes = PatchSampler.read, list[int]()

    def counted(sampler: PatchSampler, draw: Draw) -> torch.Tensor:
        sizes.append(len(draw.photo))
        return read(sampler, draw)

    monkeypatch.setattr(PatchSampler, "read", counted)
    weights_of_p = {"descriptor_weights": str(weights)} if changes else {}
    training = _Training(replace(config, **changes, **weights_of_p), RunFolder(tmp_path / "run"))
    held_out, *at_once = sizes
    count = 48 if changes else 12
    assert (held_out, at_once) == ((24, [20, 20, 8]) if changes else (6, [8, 4]))
    sample = training.sampler.patches(count, generator(config.seed, TEACHER_HELD_OUT, 1))
    outputs = training._described(sample)
    whole = Standardization.of(outputs)
    assert training.standardization is not None
    assert torch.equal(training.standardization.mean, whole.mean)
    assert torch.equal(training.standardization.deviation, whole.deviation)
    decoder = torch.nn.Linear(*reversed(training.decoder.weight.shape))
    LinearDecoder.fit(described(training.learner, sample, training.at_once), whole(outputs)).fill(decoder)
    assert torch.equal(training.decoder.weight, decoder.weight)
    assert torch.equal(training.decoder.bias, decoder.bias)


def test_a_decoder_as_a_layer_computes_the_same() -> None:
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 4, generator=random) + 2, torch.randn(50, 3, generator=random) - 1
    layer = torch.nn.Linear(4, 3)
    LinearDecoder.fit(x, y).fill(layer)
    torch.testing.assert_close(layer(x).double(), LinearDecoder.fit(x, y)(x), rtol=1e-5, atol=1e-5)


def test_patches_can_begin_with_a_teacher_too(config: TeacherConfig, weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "teacher-mine.safetensors"
    torch.manual_seed(5)
    network = PatchNetwork(33, 0.25)
    save_network(file, network, {})
    changes: dict[str, Any] = {"dense": None, "descriptor_weights": str(weights), "descriptor_input": 32}
    path = train_teacher(replace(config, start=str(file), learning_rate=1e-9, **changes), tmp_path / "run")
    assert path is not None
    found, card, _ = load_network(path)
    torch.testing.assert_close(found.convs[0].weight, network.convs[0].weight, rtol=0, atol=1e-6)
    assert card["options"]["start"] == "mine"  # and no path


BAD = [
    ({"dense": 100}, "dense is 100; expected a multiple of 16 pixels from 96 to 528"),
    ({"dense": 80}, "dense is 80; expected a multiple of 16 pixels from 96 to 528"),
    ({"dense": 288, "patch_size": 17}, "dense is 288; expected a multiple of 16 pixels from 96 to 272"),
    ({"dense": 144, "patch_size": 65}, "dense is 144; expected a multiple of 16 pixels from 160 to 1040"),
    ({"triplet": 1.0}, "dense and triplet are two forms of training; leave out one of them"),
    ({"descriptor": "resnet18"}, "descriptor is resnet18, which has no dense form; use one of resnet18-layer23, eff"),
    ({"descriptor": "none"}, "descriptor is none, which has no dense form"),
    ({"dense": None, "descriptor": "efficientnet-lite2"}, "lite2, which has no form for patches; set --dense, too"),
    ({"descriptor_weights": "x"}, "descriptor_weights are for patches; dense takes a shipped backbone, so leave them"),
    ({"start": "p34"}, "teacher 'p34' is neither a shipped one"),
    ({"width": 0.5}, "start is p33-quarter, of p = 33 and width 0.25; this training is of p = 33 and width 0.5"),
    ({"patch_size": 17}, "start is p33-quarter, of p = 33 and width 0.25; this training is of p = 17 and width 0.25"),
]


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_each_option_that_cannot_be_used_has_its_sentence(
    config: TeacherConfig, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_teacher(replace(config, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()
