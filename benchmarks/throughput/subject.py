"""What is timed: anything that turns frames on the host into maps and scores on the host."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.engines import Engine

if TYPE_CHECKING:
    from benchmarks.throughput.arithmetic import Arithmetic

ENGINES = ("onnxruntime-cpu", "onnxruntime-cuda", "openvino")  # that run an ONNX file
Frames = NDArray[np.uint8]
TIMEOUT_S = 600.0
BURST = 8  # batches a burst on a device that can overlap an upload with the work before it


@dataclass(frozen=True)
class Subject:
    """One row: a detector in an engine.

    `infer` takes frames uint8 [n, H, W, 3], BGR, on the host, and returns once what it computes of them lies on the
    host; it raises `EngineError` when it fails. Where only a part of a frame is measured, its time times `factor` is a
    frame's.
    """

    name: str
    device: str  # cpu or cuda
    size_hw: tuple[int, int]
    precision: str  # in which the graph has its convolutions
    limit: str  # precision of the matrix product that bounds it here
    arithmetic: "Arithmetic | None"  # of a whole frame; None where no graph is at hand
    describe: Callable[[], str]  # library, device and threads, in words; an engine may know only after its first frame
    infer: Callable[[Frames], object]
    close: Callable[[], None]
    max_batch: int = 64
    engine: Engine | None = None  # that can have several batches under way
    factor: float = 1.0
    note: str = ""
    random: str | None = None  # PRESET[:OPTION=VALUE…] whose graph it is, with random weights; None for a file

    def burst(self, frames: Frames) -> int:
        """Run the batch `frames` several times with as many under way as the engine takes, and return how many times.

        Once on a CPU, where an upload has nothing to overlap with.
        """
        if self.device == "cpu":
            self.infer(frames)
            return 1
        under_way: list[int] = []
        for _ in range(BURST):
            if self.engine is None:
                self.infer(frames)
                continue
            if len(under_way) == self.engine.slots:
                self.engine.result(under_way.pop(0), TIMEOUT_S)
            under_way.append(self.engine.submit(frames))
        for ticket in under_way:
            assert self.engine is not None
            self.engine.result(ticket, TIMEOUT_S)
        return BURST


def limit_of(library: str, device: str, precision: str) -> str:
    """The precision of the matrix product that bounds a graph's convolutions in `library` on `device`.

    A CPU computes FP16 in FP32. On a GPU, PyTorch gives FP32 convolutions to the TF32 units unless told otherwise; ONNX
    Runtime and TensorRT are told.
    """
    if device == "cpu":
        return "int8" if precision == "int8" else "fp32"
    return "tf32" if precision == "fp32" and library == "torch" else precision
