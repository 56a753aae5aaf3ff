"""How a detector is served by Triton: options, checked before any library is loaded."""

from dataclasses import dataclass

from runtime.bounds import check_between
from runtime.errors import InputError
from runtime.served import MOST_FRAMES

FILES = {"onnxruntime": "model.onnx", "tensorrt": "model.plan", "python": "model.py"}  # what each backend loads


@dataclass(frozen=True)
class ServingOptions:
    """How a model is served."""

    backend: str = "onnxruntime"  # one of FILES
    batch: int = 8  # most frames that are computed at once
    instances: int = 1  # copies that compute side by side
    delay_us: int = 0  # that a frame may wait for others to fill a batch
    queue: int = 64  # most frames that wait; a further one is refused
    patience_ms: int = 1000  # that a frame waits for its turn at most; after it, it is refused
    provider: str = "cpu"  # cpu or cuda, of the backend onnxruntime
    threads: int | None = None  # CPU threads of one inference; None: as many as ONNX Runtime takes

    def __post_init__(self) -> None:
        if self.backend not in FILES:
            raise InputError(f"the backend is {self.backend!r}; expected one of {', '.join(FILES)}")
        check_between("--batch", self.batch, 1, MOST_FRAMES)
        check_between("--instances", self.instances, 1, 64)
        check_between("--delay-us", self.delay_us, 0, 1_000_000)
        check_between("--queue", self.queue, 1, 10_000)
        check_between("--patience-ms", self.patience_ms, 1, 600_000)
        check_between("--threads", self.threads, 1, 1024)
        if self.provider == "cuda" and self.backend != "onnxruntime":
            raise InputError("--provider cuda is of the backend onnxruntime; leave it out")
        if self.threads is not None and (self.backend == "tensorrt" or self.provider == "cuda"):
            raise InputError("--threads are of inference on CPU cores; leave them out")
