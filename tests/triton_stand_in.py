"""A server that speaks Triton's protocol, by Triton's own stubs, over a real connection: for what tests have to spoil.

It serves one model of a repository that `export.triton_repository` wrote, by ONNX Runtime. What a real Triton does with
such a repository, `tests/runtime/test_triton_server.py` tries.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

Change = Callable[[Any], None]  # of an answer, before it is sent


class StandIn(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves ``repository/model`` on `port` of this machine (0: any) until it is stopped."""

    def __init__(
        self, folder: Path, port: int = 0, change: Change | None = None, keys: grpc.ServerCredentials | None = None
    ) -> None:
        self._config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / "1" / "model.onnx"), session)
        self.change = change
        self.asked = 0
        self.timeouts_us: list[int] = []
        self.gate = threading.Event()  # while it is not set, frames wait
        self.gate.set()
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        where = f"127.0.0.1:{port}"
        self.port = self._server.add_secure_port(where, keys) if keys else self._server.add_insecure_port(where)
        self._server.start()

    def address(self, query: str = "") -> str:
        """Of the model."""
        return f"triton://127.0.0.1:{self.port}/{self._config.name}{query}"

    def stop(self) -> None:
        """End at once, as a server that is killed."""
        self.gate.set()
        self._server.stop(None).wait()

    def ServerMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return service_pb2.ServerMetadataResponse(name="triton", version="2.51.0")

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        if request.name != self._config.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}' is not found")
        return service_pb2.ModelConfigResponse(config=self._config)

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.asked += 1
        self.timeouts_us.append(request.parameters["timeout"].int64_param)
        self.gate.wait(60)
        shape = tuple(request.inputs[0].shape)
        frames = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(shape)
        names = [each.name for each in self._config.output]
        answer = service_pb2.ModelInferResponse(model_name=self._config.name, model_version="1")
        for name, value in zip(names, self._session.run(names, {"frames": frames}), strict=True):
            dims = value.shape if value.ndim > 1 else (*value.shape, 1)
            answer.outputs.add(name=name, datatype="FP32", shape=dims)
            answer.raw_output_contents.append(value.tobytes())
        if self.change is not None:
            self.change(answer)
        return answer
