"""What the TensorRT tests share: the tiny detector as a plan, an engine over it, and a machine that has both."""

import hashlib
from dataclasses import dataclass

from onnx_tensorrt import OnnxTensorRt
from recording_cuda import RecordingCuda
from runtime_samples import SIZE_HW, make_recipe, tiny_model

from runtime.tensorrt.builder import BuildOptions, build_plan
from runtime.tensorrt.cuda import Device
from runtime.tensorrt.engine import TensorRtEngine
from runtime.tensorrt.sidecar import Checked, Machine, Sidecar, Tensor

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


def make_sidecar(plan: bytes) -> Sidecar:
    """A sidecar that vouches for `plan`."""
    return Sidecar(
        recipe=make_recipe(),
        plan_sha256=hashlib.sha256(plan).hexdigest(),
        onnx_sha256="f" * 64,
        machine=Machine("10.3.0", "NVIDIA Test", (8, 7)),
        cuda="12.6",
        options=BuildOptions(MAX_BATCH),
        tensors=(Tensor("frames", "UINT8", (-1, *SIZE_HW, 3)),),
        checked=Checked(4, 1e-6, 1e-6, 1e-3),
        created="2026-01-01",
    )


def make_engine(cuda: RecordingCuda) -> TensorRtEngine:
    """An engine over that plan."""
    trt = OnnxTensorRt(lambda: cuda)
    return TensorRtEngine(trt, cuda, make_plan(trt, cuda), make_recipe())
