"""The seam between a method and all that is shared: what calibration and export need of a finished run.

A method turns a prepared frame into map evidence: K kinds of numbers at every `stride`-th position, high where
something is unlike the good images. All that comes behind is the same for every method, and is written once: the
statistics of each kind over good images (equation 11), their weighted sum as the anomaly map (equation 12), smoothing,
deviations by position, one score, the threshold and what it proves, the parity gate, the recipe, the runtime.

A method is one file in each of three rooms, and one row in `METHODS`:

- ``train/``: its options, and the function that trains a run folder from them;
- ``calibration/methods/<name>.py``: ``open_run(folder, device)``, a `TrainedRun` with its evidence written plainly;
- ``export/graphs/<name>.py``: ``evidence_graph(run, options)``, the same evidence as a module that can be exported.

Image evidence, one value for a whole frame, is shared, too: a method gives the vectors that it is of, and no more.

The parity gate compares the last two on good images before a file is written.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.alignment import Alignment
from runtime.errors import InputError
from runtime.scoring import Scoring
from train.run_folder import FIRST_METHOD, RunFolder

if TYPE_CHECKING:  # what the train extra brings: the table is read before it is known to be there
    from torch import Tensor

    from train.data import Split


@dataclass(frozen=True)
class Kind:
    """One kind of map evidence."""

    name: str  # for people, such as "regression error, p = 33"
    weight: float  # of its normalized values in the anomaly map


class TrainedRun(Protocol):
    """A finished run of one method: opened once, and handed on from calibration to export.

    Its networks and images are read when it is opened; nothing of the run folder is read again behind it.
    """

    @property
    def method(self) -> str:
        """The method's name, a row of `METHODS`."""

    @property
    def folder(self) -> RunFolder:
        """Where the run lies."""

    @property
    def split(self) -> "Split":
        """The good images by use."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Of the prepared frame, pixels."""

    @property
    def alignment(self) -> Alignment | None:
        """How the part is found in each image before it is prepared; None where images are taken as they come."""

    def on(self, device: str) -> "TrainedRun":
        """The same run on another device; this one is not used any more."""

    @property
    def scoring(self) -> Scoring:
        """How the map becomes a score."""

    @property
    def stride(self) -> int:
        """Evidence stands at every `stride`-th position: sample k for the pixels stride·k … stride·(k + 1) − 1."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The K kinds of evidence, in the order of `evidence`."""

    @property
    def leaves_out(self) -> bool:
        """Whether images that it knows are left out in turn (`without`), in place of holding images out.

        Its evidence of a new part is then at most what it is without any one of these images, and what is known of an
        image has no part in what is known of the others: `calibration.threshold` proves a budget by that. The images of
        `split.statistics` are known, too, and `split.threshold` is empty.
        """

    @property
    def shaped_by_statistics(self) -> bool:
        """Whether images of `split.statistics` have a part in the evidence itself, beside their statistics.

        Their scores are then lower than those of a new part, and say nothing of it; see `Split.threshold_images`.
        """

    def without(self, image: Path) -> "TrainedRun":
        """The run that knows all images but the picture in this file; itself where it does not know it."""

    @property
    def concerns(self) -> tuple[str, ...]:
        """Sentences on what training itself says against the detector; none where nothing does."""

    @property
    def looks_at(self) -> str:
        """What the method looks at, in words, for the person who runs the line."""

    @property
    def settings(self) -> dict[str, object]:
        """What else a recipe is to say of the method, by name: numbers, texts, lists of them."""

    def evidence(self, frames: NDArray[np.uint8]) -> "Tensor":
        """Raw evidence, float32 [N, K, ceil(H/s), ceil(W/s)], of prepared frames [N, H, W, 3]: the plain formulas."""

    @property
    def pooled(self) -> str | None:
        """What `pooled_features` are of, in words, such as "EfficientNet"; None where the run has no image evidence."""

    def pooled_features(self, frames: NDArray[np.uint8]) -> "Tensor":
        """One vector of each whole frame, float32 [N, P], of prepared frames [N, H, W, 3], where `pooled` is not None.

        From what the evidence is computed from anyway: no second network. See `calibration.image_evidence`.
        """


@dataclass(frozen=True)
class Method:
    """A row of the table: where a method's options and its training are."""

    options: str  # module:class, a configuration with `data`, `size_hw`, `device` and `scoring`
    training: str  # module:function of such a configuration and the run folder's path


METHODS = {
    FIRST_METHOD: Method("train.options:StudentsConfig", "train.student_training:train_students"),
    "memory-bank": Method("train.options:MemoryBankConfig", "train.memory_bank:train_memory_bank"),
    "backbone-students": Method(
        "train.options:BackboneStudentsConfig", "train.backbone_students:train_backbone_students"
    ),
}


def loaded(place: str) -> Any:
    """What ``module:name`` of a row names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def file_of(method: str) -> str:
    """The name of a method's modules in the later rooms. Raises `InputError` for a method that is not known."""
    if method not in METHODS:
        raise InputError(f"method is {method!r}; expected one of {', '.join(METHODS)}")
    return method.replace("-", "_")
