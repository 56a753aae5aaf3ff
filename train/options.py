"""The configurations of the methods and of a teacher's pretraining, checked as they are made, without heavy imports."""

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from runtime.alignment import ANY_ANGLE, LARGEST_ANGLE, LARGEST_SHIFT, MODES
from runtime.errors import InputError
from runtime.interest import Inspected
from runtime.scoring import Scoring
from runtime.typed import option

SMALLEST, LARGEST = 32, 8_192  # pixels of a side of the prepared frame
FEWEST_DESCRIPTORS = 2  # in a memory bank
SMALLEST_VIEW = {17: 96, 33: 96, 65: 160}  # pixels of a view's side, by p: what lies clear of its border
VIEW_STEP = 16  # pixels, of which it is a multiple: P's coarsest stride


NO_ALIGNMENT = "none"


@dataclass(frozen=True)
class AlignmentOptions:
    """Whether and how the part is found in each frame before it is inspected; all methods have these."""

    align: str = option(
        NO_ALIGNMENT,
        "find the part first, and inspect it as it lies in a reference among the good images. near: shifted, and "
        f"turned by {LARGEST_ANGLE:g} degrees at most; any-angle: shifted, and turned by any; none: frames are taken "
        "as they come",
        (NO_ALIGNMENT, *MODES),
    )
    align_shift: float | None = option(
        None, "largest shift of a part, share of the frame's shorter side; none: learnt from the good images"
    )
    align_angle: float | None = option(
        None, "of near, largest angle of a part, degrees each way; none: learnt from the good images"
    )
    align_reference: str | None = option(
        None, "image whose part lies as all are to lie; none: a good image that the others are like, and lie near to"
    )

    def __post_init__(self) -> None:
        """Raises `InputError` for the first option that cannot be used."""
        given = [name for name in ("align_shift", "align_angle", "align_reference") if getattr(self, name) is not None]
        if self.align == NO_ALIGNMENT and given:
            raise InputError(
                f"{given[0]} is given and align is none; give --align {' or '.join(MODES)}, or leave it out"
            )
        if self.align == ANY_ANGLE and self.align_angle is not None:
            raise InputError(f"align_angle is given and align is {ANY_ANGLE}, which takes any; leave out one of both")
        for name, most in (("align_shift", LARGEST_SHIFT), ("align_angle", LARGEST_ANGLE)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise InputError(f"{name} is {value:g}; expected more than 0 and {most:g} at most")


class _OfFrames:
    """What the configurations of all methods have: frames whose size may be left to the images, and how the part is
    found in them."""

    size_hw: tuple[int, int] | None
    scoring: Scoring
    alignment: AlignmentOptions

    @property
    def shaped_by_statistics(self) -> bool:
        """Whether images of the statistics have a part in the evidence itself; see `train.method.TrainedRun`."""
        return False

    @property
    def seen(self) -> Inspected | None:
        """What networks see of the prepared frame, of a run that has begun; None for all of it."""
        return self.scoring.in_regions(self.frame_hw)

    @property
    def frame_hw(self) -> tuple[int, int]:
        """The prepared frame, of a run that has begun (`train.shape`)."""
        assert self.size_hw is not None
        return self.size_hw


@dataclass(frozen=True)
class StudentsConfig(_OfFrames):
    """Options of the students' training, the paper's by default, and all else that changes a score."""

    METHOD: ClassVar[str] = "students"

    data: str = option("", "good images: a flat folder, or one in the MVTec AD layout")
    teachers: tuple[str, ...] = option(("p33",), "names of shipped teachers or files, one for each scale")
    students: int = option(3, "M, students of each scale")
    width: float | None = option(None, "share of the paper's channels in the students; none: their teacher's (ours)")
    separable: bool = option(False, "students of depthwise and 1×1 convolutions behind the first (ours)")
    side: int = option(256, "the frame has the pixels of a square of this side, and the shape of the parts")
    size_hw: tuple[int, int] | None = option(None, "height,width of the prepared frame in pixels, in place of side")
    output_stride: int = option(1, "evaluate every s-th position when inspecting", (1, 2, 4, 8))
    relative: bool = option(False, "errors in relation to the descriptor's own size; the paper's are absolute (ours)")
    image_evidence: bool = option(False, "judge each frame as a whole, too, by the teachers' pooled descriptors (ours)")
    scoring: Scoring = field(default_factory=Scoring)
    alignment: AlignmentOptions = field(default_factory=AlignmentOptions)
    train_stride: int = option(1, "evaluate every s-th position when training, shifted at random", (1, 2, 4, 8))
    window: int | None = option(None, "side of a random window of positions for each step; none for all of them")
    epochs: int = option(100, "passes over the training images")
    steps: int | None = option(None, "training steps of each scale, in place of epochs")
    batch_size: int = option(1, "images a step")
    learning_rate: float = option(1e-4, "Adam's")
    schedule: str = option("constant", "of the learning rate; cosine ends at zero", ("constant", "cosine"))
    weight_decay: float = option(1e-5, "Adam's")
    holdout: float = option(0.2, "share of the images held out, a quarter for statistics, the rest for the threshold")
    seed: int = option(0, "of weights, order and shifts")
    checkpoint_every: int = option(200, "steps between two checkpoints")
    device: str = option("auto", "where to train", ("auto", "cpu", "cuda"))
    precision: str = option("auto", "of the convolutions; auto: bf16 if the hardware has it", ("auto", "fp32", "bf16"))

    def __post_init__(self) -> None:
        """Raises `InputError` for the first option that cannot be used."""
        check_size(self.side, self.size_hw, self.scoring, self.image_evidence)
        if not self.teachers:
            raise InputError("teachers is empty; name one or more, such as p33")
        at_least(self, 1, "students", "epochs", "steps", "batch_size", "checkpoint_every")
        at_least(self, 0, "weight_decay", "seed")
        above_zero(self, "learning_rate", "width")
        at_most(self, 1, "width", "learning_rate")
        most = min(self.size_hw or (self.side,))
        if self.window is not None and not self.train_stride <= self.window <= most:
            raise InputError(f"window is {self.window}; expected {self.train_stride} to {most} pixels")


@dataclass(frozen=True)
class MemoryBankConfig(_OfFrames):
    """Options of a memory bank, and all else that changes a score."""

    METHOD: ClassVar[str] = "memory-bank"

    data: str = option("", "good images: a flat folder, or one in the MVTec AD layout")
    backbone: str = option("efficientnet-lite2", "whose features are kept: the name of a shipped backbone, or a file")
    stages: tuple[str, ...] = option((), "of the backbone, whose maps are compared; none: its usual ones")
    side: int = option(256, "the frame has the pixels of a square of this side, and the shape of the parts")
    size_hw: tuple[int, int] | None = option(None, "height,width of the prepared frame in pixels, in place of side")
    coreset: int = option(4_000, "descriptors in the bank")
    projected: int = option(128, "dimensions in which the coreset is chosen")
    image_evidence: bool = option(True, "judge each frame as a whole, too, by the mean and deviation of its features")
    scoring: Scoring = field(default_factory=partial(Scoring, smoothing=4.0, by_position=True))
    alignment: AlignmentOptions = field(default_factory=AlignmentOptions)
    reference: float = option(0.5, "share of the images that fix normalizations; each other is left out in turn")
    seed: int = option(0, "of the coreset")
    device: str = option("auto", "where to compute", ("auto", "cpu", "cuda"))

    def __post_init__(self) -> None:
        """Raises `InputError` for the first option that cannot be used."""
        check_size(self.side, self.size_hw, self.scoring, self.image_evidence)
        at_least(self, FEWEST_DESCRIPTORS, "coreset")
        at_least(self, 1, "projected")
        at_least(self, 0, "seed")


# network P, of patches and of views
PATCH_DESCRIPTORS = ("resnet18", "resnet18-layer23")
DENSE_DESCRIPTORS = ("resnet18-layer23", "efficientnet-lite0", "efficientnet-lite2")
DESCRIPTORS = (*dict.fromkeys((*PATCH_DESCRIPTORS, *DENSE_DESCRIPTORS)), "none")


@dataclass(frozen=True)
class BackboneStudentsConfig(_OfFrames):
    """Options of students that imitate a backbone, and all else that changes a score."""

    METHOD: ClassVar[str] = "backbone-students"

    data: str = option("", "good images: a flat folder, or one in the MVTec AD layout")
    backbone: str = option("efficientnet-lite2", "the teacher: the name of a shipped backbone, or a file")
    stages: tuple[str, ...] = option((), "of the backbone, whose maps are imitated; none: its usual ones")
    student: str = option("pixels", "what a student reads: the frame, or the teacher's map", ("pixels", "autoencoder"))
    students: int = option(1, "M, how many")
    width: int = option(96, "a student's channels; of an autoencoder those of its bottleneck")
    blocks: int = option(2, "residual blocks at half the resolution, of a student that reads pixels")
    side: int = option(256, "the frame has the pixels of a square of this side, and the shape of the parts")
    size_hw: tuple[int, int] | None = option(None, "height,width of the prepared frame in pixels, in place of side")
    whitened: bool = option(True, "errors in deviations of how students err on good images, all channels together")
    image_evidence: bool = option(True, "judge each frame as a whole, too, by the mean and deviation of its features")
    scoring: Scoring = field(default_factory=partial(Scoring, smoothing=4.0, by_position=True))
    alignment: AlignmentOptions = field(default_factory=AlignmentOptions)
    hardest: float = option(1.0, "share of the numbers of a step that is learnt from, those of the largest error")
    photographs: str | None = option(None, "folder of pictures of other things, that students learn to fail at")
    penalty: float = option(1.0, "weight of what students say of such pictures, where there are any")
    steps: int = option(3_000, "training steps")
    batch_size: int = option(2, "images a step")
    learning_rate: float = option(1e-3, "Adam's; it ends at zero on a cosine")
    weight_decay: float = option(1e-5, "Adam's")
    holdout: float = option(0.2, "share of the images held out, a quarter for statistics, the rest for the threshold")
    seed: int = option(0, "of weights, order and pictures")
    checkpoint_every: int = option(500, "steps between two checkpoints")
    device: str = option("auto", "where to train", ("auto", "cpu", "cuda"))
    precision: str = option("auto", "of the convolutions; auto: bf16 if the hardware has it", ("auto", "fp32", "bf16"))

    def __post_init__(self) -> None:
        """Raises `InputError` for the first option that cannot be used."""
        check_size(self.side, self.size_hw, self.scoring, self.image_evidence)
        at_least(self, 1, "students", "width", "blocks", "steps", "batch_size", "checkpoint_every")
        at_least(self, 0, "weight_decay", "penalty", "seed")
        above_zero(self, "learning_rate", "hardest")
        at_most(self, 1, "learning_rate", "hardest")

    @property
    def shaped_by_statistics(self) -> bool:
        """Errors are whitened as on the images that were trained on and those of the statistics."""
        return self.whitened


@dataclass(frozen=True)
class TeacherConfig:
    """Options of a teacher's pretraining; the defaults are the paper's where it names one."""

    data: str = option("", "folder of natural photographs")
    patch_size: int = option(33, "side p of the patches", (17, 33, 65))
    width: float = option(1.0, "share of the paper's channels in the hidden layers, 0 to 1 (ours)")
    dense: int | None = option(
        None, "side of views of photographs whose every position is learnt; none: patches, as the paper (ours)"
    )
    start: str | None = option(None, "teacher whose weights training begins with, shipped or a file; none: random")
    descriptor: str = option("resnet18", "network P to distil from", DESCRIPTORS)
    descriptor_weights: str | None = option(None, "file of P's weights; without it torchvision downloads them")
    descriptor_input: int = option(96, "side in pixels at which patches enter P (the paper does not say)")
    standardize: bool = option(True, "standardize P's output over patches of the photographs (ours)")
    distillation: float = option(1.0, "weight λk of the distillation loss")
    triplet: float = option(0.0, "weight λm of the triplet loss")
    compactness: float = option(1.0, "weight λc of the compactness loss")
    compactness_form: str = option("squared", "sum of correlations", ("squared", "signed"))
    margin: float = option(128.0, "margin δ of the triplet loss, a squared distance (ours: one unit per dimension)")
    luminance: float = option(0.2, "largest relative change of a positive's brightness (ours)")
    zoom_cap: float | None = option(None, "largest enlargement of a photograph; none for the paper's 4p to 16p")
    iterations: int = option(50_000, "training steps")
    batch_size: int = option(64, "patches a step, or views")
    learning_rate: float = option(2e-4, "Adam's")
    schedule: str = option("constant", "of the learning rate; cosine ends at zero", ("constant", "cosine"))
    weight_decay: float = option(1e-5, "Adam's")
    seed: int = option(0, "of weights and patches")
    evaluate_every: int = option(500, "steps between two held-out errors")
    checkpoint_every: int = option(500, "steps between two checkpoints")
    device: str = option("auto", "where to train", ("auto", "cpu", "cuda"))
    precision: str = option("auto", "of the convolutions; auto: bf16 if the hardware has it", ("auto", "fp32", "bf16"))
    compile: bool = option(False, "torch.compile the networks: minutes at the start, faster steps on a GPU")
    half: bool = option(True, "store the teacher's weights in FP16")
    data_note: str | None = option(None, "what the photographs are, in a few words, for the teacher's card")

    def __post_init__(self) -> None:
        """Raises `InputError` for the first option that cannot be used."""
        at_least(self, 1, "iterations", "evaluate_every", "checkpoint_every", "descriptor_input")
        at_least(self, 2, "batch_size")  # one patch has no correlation
        at_least(self, 0, "distillation", "triplet", "compactness", "margin", "luminance", "weight_decay", "seed")
        above_zero(self, "learning_rate", "zoom_cap", "width")
        at_most(self, 1, "width", "learning_rate")
        at_most(self, 2**64 - 1, "seed")  # PyTorch's limit
        if self.dense is not None:
            self._check_dense(self.dense)
        elif self.descriptor not in (*PATCH_DESCRIPTORS, "none"):
            raise InputError(f"descriptor is {self.descriptor}, which has no form for patches; set --dense, too")

    def _check_dense(self, side: int) -> None:
        least, largest = SMALLEST_VIEW[self.patch_size], 16 * self.patch_size // VIEW_STEP * VIEW_STEP
        if not least <= side <= largest or side % VIEW_STEP:
            raise InputError(f"dense is {side}; expected a multiple of {VIEW_STEP} pixels from {least} to {largest}")
        if self.triplet:
            raise InputError("dense and triplet are two forms of training; leave out one of them")
        if self.descriptor not in DENSE_DESCRIPTORS:
            names = ", ".join(DENSE_DESCRIPTORS)
            raise InputError(f"descriptor is {self.descriptor}, which has no dense form; use one of {names}")
        if self.descriptor_weights is not None:
            raise InputError("descriptor_weights are for patches; dense takes a shipped backbone, so leave them out")


def check_size(side: int, size_hw: tuple[int, int] | None, scoring: Scoring, image_evidence: bool) -> None:
    """Raise `InputError` for prepared frames that are too small for any method, and for scores that cannot be taken
    from them; where the shape is left to the images, as far as it can be said before they are read."""
    if not SMALLEST <= side <= LARGEST:
        raise InputError(f"side is {side}; expected {SMALLEST} to {LARGEST:,} pixels")
    if size_hw is not None and min(size_hw) < SMALLEST:
        raise InputError(f"size_hw is {size_hw[0]},{size_hw[1]}; expected {SMALLEST} pixels or more each way")
    if size_hw is None and scoring.region_of_interest is not None:
        if scoring.regions is None:
            raise InputError(
                "a region_of_interest is in pixels of the prepared frame; give its size_hw, too, or a file of regions "
                "in pixels of the camera's picture, which needs none"
            )
        scoring.regions.check()
        scoring = replace(scoring, region_of_interest=None)  # which pixels they hold is known when the shape is
    if image_evidence and not scoring.by_position:
        raise InputError("image_evidence is of scores by position; give by_position yes, or image_evidence no")
    scoring.check(size_hw or (side, side))


def at_least(config: Any, least: int, *names: str) -> None:
    """Raise `InputError` for the first of these options that is given and below `least`."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not least <= value < math.inf:
            raise InputError(f"{name} is {value}; expected {least} or more")


def at_most(config: Any, most: int, *names: str) -> None:
    """Raise `InputError` for the first of these options that is given and above `most`."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value > most:
            raise InputError(f"{name} is {value}; expected {most} or less")


def above_zero(config: Any, *names: str) -> None:
    """Raise `InputError` for the first of these options that is given and not above zero."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{name} is {value}; expected a number above 0")
