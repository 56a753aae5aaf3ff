"""Detectors that nobody trained: the graph of a trained one, from files that say what they are."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import torch

from benchmarks.throughput.untrained import (
    Teacher,
    shipped_or_file,
    untrained,
    untrained_backbone_students,
    untrained_memory_bank,
)
from calibration.calibrate import calibrate
from calibration.calibrated import with_statistics
from calibration.methods import open_run
from calibration.methods.students import StudentsRun
from export.fused import FusedDetector
from export.graph import export_graph
from runtime.detector_file import read_detector
from train.backbone_students import train_backbone_students
from train.data import file_sha256
from train.networks import PatchNetwork

if TYPE_CHECKING:
    from train.options import BackboneStudentsConfig, MemoryBankConfig, StudentsConfig


def structure(model: bytes) -> tuple[list[Any], Mapping[str, Any]]:
    """All of a graph but the values of its weights: its nodes in order, and type and shape of each weight."""
    graph = onnx.load_model_from_string(model).graph
    nodes = [
        (node.op_type, list(node.input), list(node.output), [str(a) for a in node.attribute]) for node in graph.node
    ]
    return nodes, {weight.name: (weight.data_type, list(weight.dims)) for weight in graph.initializer}


def test_the_graph_is_that_of_a_trained_detector_of_the_same_options(
    calibrated_run: Path, tiny_config: "StudentsConfig"
) -> None:
    run = with_statistics(open_run(calibrated_run, "cpu"))
    exported = export_graph(FusedDetector(run), run.trained.size_hw)
    made = untrained(tiny_config, [shipped_or_file(name) for name in tiny_config.teachers])
    assert structure(made.graph()) == structure(exported)


def test_the_graph_is_that_of_a_memory_bank_of_the_same_options(
    shallow_bank_run: Path, shallow_backbone: Path, bank_config: "MemoryBankConfig"
) -> None:
    run = with_statistics(open_run(shallow_bank_run, "cpu"))
    exported = export_graph(FusedDetector(run), run.trained.size_hw)
    bank = len(run.trained.memory.bank)  # type: ignore[attr-defined]
    made = untrained_memory_bank(replace(bank_config, backbone=str(shallow_backbone), coreset=bank))
    assert structure(made.graph()) == structure(exported)


def test_the_graph_is_that_of_a_backbones_students_of_the_same_options(
    backbone_students_config: "BackboneStudentsConfig", shallow_backbone: Path, tmp_path: Path
) -> None:
    config = replace(backbone_students_config, backbone=str(shallow_backbone), steps=1)
    assert train_backbone_students(config, tmp_path / "run")
    run = calibrate(open_run(tmp_path / "run", "cpu"), budget=0.2)
    exported = export_graph(FusedDetector(run), run.trained.size_hw)
    assert structure(untrained_backbone_students(config).graph()) == structure(exported)


def test_students_are_as_wide_as_their_teacher_unless_told() -> None:
    from train.options import StudentsConfig

    teachers = [Teacher(PatchNetwork(patch_size, width), "0" * 64) for patch_size, width in ((33, 0.5), (65, 0.25))]
    for config, expected in (
        (StudentsConfig(students=2, size_hw=(64, 64)), [[0.5, 0.5], [0.25, 0.25]]),
        (StudentsConfig(students=1, size_hw=(64, 64), width=0.125), [[0.125], [0.125]]),
    ):
        trained = untrained(config, teachers).run.trained
        assert isinstance(trained, StudentsRun)
        scales = trained.scales
        assert [[student.width for student in scale.students] for scale in scales] == expected
        assert [scale.patch_size for scale in scales] == [33, 65]


def test_the_file_says_that_it_was_made_from_no_image(tiny_config: "StudentsConfig", tmp_path: Path) -> None:
    (name,) = tiny_config.teachers
    config = replace(tiny_config, students=1)
    (tmp_path / "detector.onnx").write_bytes(untrained(config, [shipped_or_file(name)]).detector(half=True))
    _, recipe = read_detector(tmp_path / "detector.onnx")
    assert set(recipe.provenance.images.values()) == {0}
    assert (recipe.threshold.method, recipe.threshold.supported, recipe.threshold.sample_size) == ("manual", False, 0)
    assert (recipe.precision, recipe.size_hw, recipe.scoring) == ("fp16", config.size_hw, config.scoring)
    assert recipe.method.settings["teachers_sha256"] == [file_sha256(Path(name))]
    assert len(recipe.method.evidence) == 1  # a single student has no variance


def test_random_numbers_of_others_go_on_as_if_none_had_been_drawn(tiny_config: "StudentsConfig") -> None:
    teacher = Teacher(PatchNetwork(33, 0.125), "0" * 64)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    untrained(tiny_config, [teacher])
    assert torch.equal(torch.rand(3), expected)
