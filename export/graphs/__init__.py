"""The methods' evidence as modules that can be exported, each in a file of its own."""

from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from train.backbones.features import Pooling
from train.dense import Form
from train.method import TrainedRun, file_of

FAR = 1e30  # the square of a member that is nearest to nothing; its sum with any distance is still a float32


class EvidenceGraph(Protocol):
    """A module from raw pixels to raw evidence; convolutions are of `export.folding`."""

    step: int  # pixels from which on strides and paddings fall alike: the coarsest stride of anything inside
    narrow: int  # pixels of a side that is enough for it to be computed at all
    pooling: Pooling | None  # from the maps to the features of the whole frame, where there is image evidence

    def __call__(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Raw evidence [N, K, h, w] of raw pixels and, where there is image evidence, the maps that are pooled.

        Pixels are [N, 3, H, W], BGR, 0 to 255, float32; K, h and w as `TrainedRun` has them.
        """


def evidence_graph(trained: TrainedRun, form: Form, half: bool) -> Any:
    """The evidence of a run as an `EvidenceGraph`: dense extraction in `form`, convolutions in FP16 if `half`."""
    return _graphs(trained).evidence_graph(trained, form, half)


def different_forms(trained: TrainedRun) -> tuple[Form, ...]:
    """The forms of dense extraction that are different computations for this run; the first alone where none is.

    None at all of a method that evaluates nothing densely.
    """
    found: tuple[Form, ...] = _graphs(trained).different_forms(trained)
    return found


def memory_name(trained: TrainedRun) -> str:
    """The graph's constant [m] that is added to the distances to the m members of a memory, as squares.

    Where it is large, a member is nearest to nothing: it is left out. Of methods that leave out images alone.
    """
    return f"evidence.{_graphs(trained).MEMORY}"


def memory_of(trained: TrainedRun) -> NDArray[np.float32]:
    """The constant `memory_name`, [m], as a file of this run has it."""
    constant: Tensor = getattr(evidence_graph(trained, "bailer", half=False), _graphs(trained).MEMORY)
    return np.asarray(constant.numpy(), np.float32)


def members(trained: TrainedRun) -> dict[str, NDArray[np.bool_]]:
    """Which rows of the memory, bool [m], are of each picture, by its key; see `memory_name`."""
    found: dict[str, NDArray[np.bool_]] = _graphs(trained).members(trained)
    return found


def _graphs(trained: TrainedRun) -> Any:
    return import_module(f"export.graphs.{file_of(trained.method)}")
