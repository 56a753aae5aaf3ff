"""A model of Triton's Python backend: a detector, run by ONNX Runtime on CPU cores.

``python -m export.triton --backend python`` copies this file into the model repository. It runs there alone, beside
``model.onnx``, with NumPy and ONNX Runtime in the server's Python, and needs nothing else of Proctor.
"""

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before ONNX Runtime is loaded

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """What Triton calls: the requests that it gathered are one batch."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph that lies beside this file."""
        config = json.loads(args["model_config"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(config["parameters"].get("threads", {}).get("string_value", "0"))
        options.log_severity_level = 3
        # without VNNI the fast product of INT8 saturates at 16 bits: scores would differ from those of training
        options.add_session_config_entry("session.x64quantprecision", "1")
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._names = [each["name"] for each in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Compute the frames of all requests at once, and hand each its own."""
        frames = [pb_utils.get_input_tensor_by_name(request, "frames").as_numpy() for request in requests]
        try:
            values = self._session.run(self._names, {"frames": np.concatenate(frames)})
        except Exception as error:  # each frame is refused; the server goes on
            failure = pb_utils.TritonError(f"ONNX Runtime failed: {error}")
            return [pb_utils.InferenceResponse(error=failure) for _ in requests]
        ends = np.cumsum([len(each) for each in frames])[:-1]
        parts = zip(*(np.split(value, ends) for value in values), strict=True)
        return [pb_utils.InferenceResponse(self._tensors(of_one)) for of_one in parts]

    def _tensors(self, values: tuple[Any, ...]) -> list[Any]:
        named = zip(self._names, values, strict=True)
        return [pb_utils.Tensor(name, np.ascontiguousarray(value)) for name, value in named]
