"""What the TensorRT tests share: the tiny detector as a plan, an engine over it, and a machine that has both."""

from dataclasses import dataclass

from onnx_tensorrt import OnnxTensorRt
from recording_cuda import RecordingCuda
from runtime_samples import SIZE_HW, make_recipe, tiny_model

from runtime.tensorrt.builder import BuildOptions, build_plan
from runtime.tensorrt.cuda import Device
from runtime.tensorrt.engine import TensorRtEngine

MAX_BATCH = 4


@dataclass
class Computer:
    """A machine: what `plans` finds when it asks for CUDA and TensorRT. `opened` are the GPUs handed out."""

    gpu: Device
    trt: OnnxTensorRt
    opened: list[RecordingCuda]

    @property
    def events(self) -> list[str]:
        """What TensorRT was asked to do."""
        return self.trt.events


def make_plan(trt: OnnxTensorRt, cuda: RecordingCuda) -> bytes:
    """The tiny detector's plan, for four frames at most."""
    with cuda.current():
        return build_plan(trt, tiny_model(), SIZE_HW, BuildOptions(MAX_BATCH)).plan


def make_engine(cuda: RecordingCuda) -> TensorRtEngine:
    """An engine over that plan."""
    trt = OnnxTensorRt(lambda: cuda)
    return TensorRtEngine(trt, cuda, make_plan(trt, cuda), make_recipe())
