"""The methods' evidence as modules that can be exported, each in a file of its own."""

from importlib import import_module
from typing import Any, Protocol

from torch import Tensor

from train.dense import Form
from train.method import TrainedRun, file_of


class EvidenceGraph(Protocol):
    """A module from raw pixels to raw evidence; convolutions are `export.folding.FoldedNetwork`."""

    def __call__(self, pixels: Tensor) -> Tensor:
        """Raw evidence [N, K, h, w] of pixels [N, 3, H, W], BGR, 0 to 255, float32; K and h, w as `TrainedRun`."""


def evidence_graph(trained: TrainedRun, form: Form, half: bool) -> Any:
    """The evidence of a run as an `EvidenceGraph`: dense extraction in `form`, convolutions in FP16 if `half`."""
    return _graphs(trained).evidence_graph(trained, form, half)


def different_forms(trained: TrainedRun) -> tuple[Form, ...]:
    """The forms of dense extraction that are different computations for this run; the first alone where none is."""
    found: tuple[Form, ...] = _graphs(trained).different_forms(trained)
    return found


def _graphs(trained: TrainedRun) -> Any:
    return import_module(f"export.graphs.{file_of(trained.method)}")
