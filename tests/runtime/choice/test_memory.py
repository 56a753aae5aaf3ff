"""A remembered choice: it holds for what it was measured on, and for nothing else."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from runtime.choice.memory import Choice, Circumstances, read_choice, recall, remember
from runtime.errors import InputError
from runtime.machine import Machine

MACHINE = Machine("Xeon", 2, (), {"onnxruntime": "1.20"})
NOW = Circumstances("a" * 64, {"onnxruntime": "", "tensorrt": "b" * 64}, MACHINE)
CHOICE = Choice(NOW, "tensorrt", {"onnxruntime": 1.0, "tensorrt": 0.25}, {}, "2026-01-02T03:04:05+00:00")


def test_what_is_remembered_is_recalled(tmp_path: Path) -> None:
    assert recall(tmp_path / "choice.json", NOW) == (None, None)
    assert remember(tmp_path / "choice.json", CHOICE) is None
    assert recall(tmp_path / "choice.json", NOW) == (CHOICE, None)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (replace(NOW, subject_sha256="c" * 64), "it is of another detector"),
        (
            replace(NOW, alternatives={"onnxruntime": ""}),
            "it compared onnxruntime, tensorrt, and here are onnxruntime",
        ),
        (replace(NOW, alternatives={**NOW.alternatives, "tensorrt": "d"}), "it was measured with another tensorrt"),
        (replace(NOW, machine=replace(MACHINE, cpu="Atom")), "the machine has changed: cpu was Xeon, is Atom"),
        (replace(NOW, machine=replace(MACHINE, cores=4)), "cores was 2, is 4"),
        (replace(NOW, machine=replace(MACHINE, gpus=("Orin",))), "gpus was none, is Orin"),
        (
            replace(NOW, machine=replace(MACHINE, versions={"onnxruntime": "1.21"})),
            "versions was onnxruntime 1.20, is onnxruntime 1.21",
        ),
    ],
)
def test_a_choice_of_other_circumstances_does_not_hold_and_says_why(
    now: Circumstances, reason: str, tmp_path: Path
) -> None:
    remember(tmp_path / "choice.json", CHOICE)
    recalled, stale = recall(tmp_path / "choice.json", now)
    assert recalled is None
    assert stale is not None
    assert reason in stale


def changed(**fields: object) -> str:
    return json.dumps(asdict(CHOICE) | fields)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"chosen": 3}', "\xff", "[" * 100_000, changed(ratios={}), changed(chosen="openvino")],
    ids=["cut", "list", "no text", "bytes", "deep", "no ratios", "not among them"],
)
def test_a_damaged_memory_is_called_so_and_does_not_hold(text: str, tmp_path: Path) -> None:
    path = tmp_path / "choice.json"
    path.write_bytes(text.encode("latin-1"))
    recalled, stale = recall(path, NOW)
    assert recalled is None
    assert stale is not None
    assert stale.startswith(f"{path} is damaged (")
    with pytest.raises(InputError, match="delete it, so that the choice is measured anew"):
        read_choice(path)


def test_a_memory_of_another_version_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "choice.json"
    path.write_text(changed(schema=2))
    assert recall(path, NOW) == (None, f"{path} was written by another version")


def test_a_folder_that_cannot_be_written_is_a_sentence_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    problem = remember(tmp_path / "file" / "choice.json", CHOICE)
    assert problem is not None
    assert "cannot be written" in problem


def test_the_choice_in_words_has_ratio_day_and_who_was_left_out() -> None:
    assert CHOICE.words() == "tensorrt takes 0.25 of the time of onnxruntime, measured on this machine 2026-01-02"
    kept = replace(CHOICE, chosen="onnxruntime", ratios={"onnxruntime": 1.0, "slow": 1.5}, left_out={"cuda": "no GPU"})
    assert kept.words() == (
        "onnxruntime; slow takes 1.50 of its time, measured on this machine 2026-01-02; cuda is left out: no GPU"
    )
