"""Rows that cannot be opened or run are left out, and said to be."""

from collections.abc import Callable

import numpy as np

from benchmarks.gpu.presets import in_order
from benchmarks.gpu.timed import SMALL, row_of_preset, timed
from benchmarks.throughput.subject import Frames, Subject
from benchmarks.throughput.timing import Turns
from runtime.errors import EngineError
from train.method import METHODS
from train.preset import preset_names


def subject(name: str, infer: Callable[[Frames], object], closed: list[str]) -> Subject:
    return Subject(
        name=name,
        device="cpu",
        size_hw=(4, 4),
        precision="fp32",
        limit="fp32",
        arithmetic=None,
        describe=lambda: "a sum",
        infer=infer,
        close=lambda: closed.append(name),
    )


def test_the_others_are_timed_beside_rows_that_fail() -> None:
    closed: list[str] = []

    def absent() -> Subject:
        raise EngineError("this ONNX Runtime has no CUDAExecutionProvider")

    def broken(frames: Frames) -> object:
        raise RuntimeError("CUDA out of memory\nby far")

    makers = {
        "absent": absent,
        "broken": lambda: subject("broken", broken, closed),
        "works": lambda: subject("works", np.sum, closed),
    }
    result = timed(makers, (), Turns(3, 0.1, pause_s=0), 1, limits=False)
    assert [row["name"] for row in result["rows"]] == ["works"]
    assert result["failed_rows"] == {
        "absent": "this ONNX Runtime has no CUDAExecutionProvider",
        "broken": "RuntimeError: CUDA out of memory",
    }
    assert closed == ["broken", "works"]


def test_no_row_that_works_is_no_error() -> None:
    def absent() -> Subject:
        raise EngineError("absent")

    result = timed({"absent": absent}, (), Turns(3, 0.1), 1, limits=True)
    assert (result["rows"], result["failed_rows"]) == ([], {"absent": "absent"})


def test_presets_that_take_little_come_first() -> None:
    assert in_order(("accurate", "edge", "fast", "paper", "students")) == [
        "fast",
        "edge",
        "students",
        "accurate",
        "paper",
    ]
    assert in_order(("paper", "new", "edge")) == ["edge", "paper", "new"]


def test_every_method_has_tiny_sizes_for_a_rehearsal() -> None:
    assert set(SMALL) == set(METHODS)
    for preset in preset_names():
        assert max(row_of_preset(preset, small=True).config.size_hw or ()) == 64
