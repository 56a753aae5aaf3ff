"""The recipe: everything that a detector file says of itself. Each field is defined here, once, with its unit.

It travels inside the ONNX file as one JSON document (``metadata_props["recipe"]``), beside the document's hash
(``metadata_props["recipe_sha256"]``). The hash detects accidents: a byte that was flipped, an editor that saved. It is
no signature, since whoever changes the document on purpose can write its hash anew.

Each class checks its own fields: `InputError` says which one is out of its bounds, and what they are.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

from runtime.errors import DetectorError, InputError
from runtime.escaped import escaped
from runtime.onnx_file import COPY_AGAIN
from runtime.promise import bound_when_none_rejected, check_rates
from runtime.typed import build

SCHEMA = 1
# fields that files of this schema may lack; left out at their default, so that the hash of an older file stays its own
LATER = ("relative", "smoothing", "by_position", "quantization")
LARGEST_SIDE = 65_535  # pixels of a frame; beyond, the product of both sides is no number that an engine takes
ROUNDED = 1e-2  # relative: how far `supported_budget` may be rounded from what it is said to be
SMOOTHING_REACH = 3  # deviations of the Gaussian over the map, which reflects the borders


@dataclass(frozen=True)
class Threshold:
    """How the decision is made: a part is rejected when its score is above `value`."""

    value: float  # unit of the anomaly score, finite
    budget: float  # false-reject rate asked for, 0 to 1
    confidence: float  # of the bound, 0 to 1
    sample_size: int  # good images the threshold was fitted on, 2 or more; any number where it was set by hand
    method: str = field(metadata={"choices": ("order-statistic", "gumbel", "manual")})
    supported: bool  # whether `sample_size` good images can prove the budget, as the order statistic alone does
    supported_budget: float  # the smallest false-reject rate that `sample_size` can prove, above 0, at most 1
    # no field of the document: false where no hash says that this is the threshold that was written
    vouched: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        check_between("the threshold", self.value)
        if self.method == "manual":  # which promises nothing
            if self.supported:
                raise InputError("the threshold is said to be set by hand and proven; expected one of both")
            return
        check_rates(self.budget, self.confidence)
        if not 0 < self.supported_budget <= 1:
            raise InputError(f"supported_budget is {self.supported_budget:g}; expected a share above 0, at most 1")
        check_between("sample_size", self.sample_size, 2)
        least = bound_when_none_rejected(self.sample_size, self.confidence)
        if not math.isclose(self.supported_budget, least, rel_tol=ROUNDED):
            raise InputError(
                f"supported_budget is {self.supported_budget:g}; expected {least:g}, what {self.sample_size:,} images "
                f"can prove"
            )
        if self.supported != (self.method == "order-statistic") or (
            self.supported and self.supported_budget > self.budget * (1 + ROUNDED)
        ):
            raise InputError(
                f"supported is {self.supported} of a budget of {self.budget:g} by the method {self.method}; expected "
                f"true for an order statistic alone, of images that can prove the budget ({least:g})"
            )


@dataclass(frozen=True)
class Scale:
    """One receptive field: a teacher and its students, with the statistics of equation 11 over good images."""

    patch_size: int  # p, pixels of the prepared frame, 1 or more
    teacher_sha256: str  # of the teacher's file
    error_mean: float  # of the regression error, equation 9; 0 or more, as it is a square
    error_std: float  # above 0
    variance_mean: float | None  # of the predictive variance, equation 10; none with a single student
    variance_std: float | None  # above 0; none where the mean is none

    def __post_init__(self) -> None:
        check_between("patch_size", self.patch_size, 1)
        check_sha256("teacher_sha256", self.teacher_sha256)
        if (self.variance_mean is None) != (self.variance_std is None):
            raise InputError("of variance_mean and variance_std one is none; expected both or neither")
        check_between("error_mean", self.error_mean, 0)
        check_between("variance_mean", self.variance_mean, 0)
        check_above_zero("error_std", self.error_std)
        check_above_zero("variance_std", self.variance_std)


@dataclass(frozen=True)
class HealthLimits:
    """Frames outside these limits are not scored. From the good images, widened; pixel values 0 to 255."""

    brightness_low: float  # smallest mean of a frame's pixels
    brightness_high: float  # largest mean of a frame's pixels
    saturated_high: float  # largest share of pixels at 250 or above in every channel, 0 to 1
    aspect_low: float  # smallest width / height, above 0
    aspect_high: float  # largest width / height

    def __post_init__(self) -> None:
        check_between("brightness_low", self.brightness_low, 0, 255)
        check_between("brightness_high", self.brightness_high, self.brightness_low, 255)
        check_between("saturated_high", self.saturated_high, 0, 1)
        check_above_zero("aspect_low", self.aspect_low)
        check_between("aspect_high", self.aspect_high, self.aspect_low)


@dataclass(frozen=True)
class Provenance:
    """Where a detector comes from."""

    images: dict[str, int]  # good images by use: training, statistics, threshold
    images_sha256: str  # over the hashes of those images, sorted
    versions: dict[str, str]  # of the libraries that made the file
    commit: str  # of Proctor, or "unknown"
    created: str  # ISO 8601, UTC

    def __post_init__(self) -> None:
        check_sha256("images_sha256", self.images_sha256)
        for use, count in self.images.items():
            check_between(f"the number of images for {use}", count, 0)


@dataclass(frozen=True)
class Quantization:
    """How an INT8 file was made, and what it was found to lose against the FP32 file it was made from."""

    source_sha256: str  # graph_sha256 of that file
    ranges: str  # method of calibration.ranges
    range_images: int  # good images that the ranges are of
    images_sha256: str  # over the hashes of those images and of the threshold's, sorted
    margin: float  # largest loss that was allowed, of each of the following
    frames: int  # held-out good frames whose maps were compared
    map_correlation: float  # of all pixels of the maps that scores are of, with the FP32 file's
    decisions: int  # held-out good images whose decisions were compared, each file at a threshold of its own scores
    decisions_differing: int
    defective_images: int  # 0 where none were given
    image_auroc_loss: float | None  # of the FP32 file's less the INT8 file's; below 0 for a gain
    au_pro_loss: float | None  # up to 30 % false-positive pixels; none without masks
    speed: float  # the FP32 file's time over the INT8 file's, median over frames in turns
    speed_on: str  # engine and threads

    def __post_init__(self) -> None:
        check_sha256("source_sha256", self.source_sha256)
        check_sha256("images_sha256", self.images_sha256)
        for name in ("range_images", "frames", "decisions"):
            check_between(name, getattr(self, name), 1)
        check_between("defective_images", self.defective_images, 0)
        check_between("decisions_differing", self.decisions_differing, 0, self.decisions)
        check_between("margin", self.margin, 0, 1)
        check_between("map_correlation", self.map_correlation, -1, 1)
        check_between("image_auroc_loss", self.image_auroc_loss, -1, 1)
        check_between("au_pro_loss", self.au_pro_loss, -1, 1)
        check_above_zero("speed", self.speed)


@dataclass(frozen=True)
class Recipe:
    """A detector's whole description."""

    size_hw: tuple[int, int]  # of the prepared frame, pixels
    interpolation: str = field(metadata={"choices": ("area",)})  # see runtime/preparation.py
    aspect: str = field(metadata={"choices": ("stretch",)})  # see runtime/preparation.py
    region_of_interest: tuple[int, int, int, int] | None  # top, left, height, width; pixels of the prepared frame
    students: int  # M, of each scale
    scales: tuple[Scale, ...]
    output_stride: int  # every s-th position has a descriptor
    score_pixels: int  # the score is the mean of so many highest values of its map; 1 is the maximum
    score_quantiles: dict[str, float]  # of the good images' scores, by probability
    threshold: Threshold
    health: HealthLimits
    precision: str = field(metadata={"choices": ("fp32", "fp16", "int8")})  # of the convolutions
    form: str = field(metadata={"choices": ("bailer", "atrous")})  # of the dense extraction
    explain: bool  # whether regression_error and predictive_variance are outputs
    largest_activation: float  # of any layer over the parity frames; FP16 ends at 65,504
    parity_sha256: str  # of the file of frames it was checked on
    graph_sha256: str  # of the ONNX file without its metadata
    provenance: Provenance
    relative: bool = False  # whether the terms are divided by 1 + the mean square of the teacher's descriptor
    smoothing: float = 0.0  # σ of the Gaussian over the map, pixels of the prepared frame; 0 is none
    by_position: bool = False  # whether deviation_map is an output, and what the score is taken from
    quantization: Quantization | None = None  # of an INT8 file alone
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        height, width = self.size_hw
        if min(height, width) < 1:
            raise InputError(f"size_hw is {height},{width}; expected 1 pixel or more each way")
        check_between("the longer side of size_hw", max(height, width), 1, LARGEST_SIDE)
        if self.region_of_interest is not None:
            check_region(self.region_of_interest, self.size_hw)
        _, _, rows, columns = self.region_of_interest or (0, 0, height, width)
        check_between("score_pixels (of the region that is inspected)", self.score_pixels, 1, rows * columns)
        check_between("output_stride", self.output_stride, 1, max(height, width))
        check_between("smoothing", self.smoothing, 0, (min(height, width) - 1) / SMOOTHING_REACH)
        check_between("largest_activation", self.largest_activation, 0)
        check_sha256("parity_sha256", self.parity_sha256)
        check_sha256("graph_sha256", self.graph_sha256)
        self._check_scales()
        self._check_quantiles()
        if (self.precision == "int8") != (self.quantization is not None):
            raise InputError(
                f"quantization is {'none' if self.quantization is None else 'given'} of a file in "
                f"{self.precision}; expected it of one in int8, and of no other"
            )

    def _check_scales(self) -> None:
        check_between("students", self.students, 1)
        sizes = [scale.patch_size for scale in self.scales]
        if not sizes or len(set(sizes)) < len(sizes):
            raise InputError(f"scales have the patch sizes {sizes}; expected one scale or more, each of its own size")
        if any((scale.variance_mean is None) != (self.students == 1) for scale in self.scales):
            raise InputError(
                f"students is {self.students}; expected a variance_mean of each scale with two students or more, "
                "and none with one"
            )

    def _check_quantiles(self) -> None:
        for probability in self.score_quantiles:
            if not _is_share(probability):
                raise InputError(f"score_quantiles has {probability!r}; expected probabilities from 0 to 1")
        values = [self.score_quantiles[key] for key in sorted(self.score_quantiles, key=float)]
        if any(not low <= high for low, high in pairwise(values)):
            raise InputError(f"score_quantiles are {values}; expected scores that rise with their probability")

    def to_json(self) -> str:
        """The document that goes into the file."""
        unset = [name for name in LATER if getattr(self, name) == getattr(Recipe, name)]
        document = {name: value for name, value in asdict(self).items() if name not in unset}
        del document["threshold"]["vouched"]
        return json.dumps(document, sort_keys=True)

    @property
    def sha256(self) -> str:
        """The recipe's hash, which every verdict carries."""
        return _sha256(self.to_json())

    @property
    def metadata(self) -> dict[str, str]:
        """The entries of an ONNX file's metadata that `recipe_from_metadata` reads."""
        return {"recipe": self.to_json(), "recipe_sha256": self.sha256}

    def with_threshold(self, value: float) -> "Recipe":
        """The same detector with a threshold set by hand, which no sample vouches for."""
        manual = replace(self.threshold, value=value, method="manual", supported=False, vouched=True)
        return replace(self, threshold=manual)

    def not_vouched_for(self) -> "Recipe":
        """The same detector with a threshold that no hash vouches for: nothing is said to be proven of it."""
        return replace(self, threshold=replace(self.threshold, vouched=False))


def check_region(region: tuple[int, int, int, int], size_hw: tuple[int, int]) -> None:
    """Raise `InputError` unless a region of interest (top, left, height, width) lies within a frame of `size_hw`."""
    top, left, rows, columns = region
    height, width = size_hw
    if min(top, left) < 0 or min(rows, columns) < 1 or top + rows > height or left + columns > width:
        raise InputError(f"region_of_interest {region} lies outside {height}×{width} pixels")


def check_between(name: str, value: float | None, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise `InputError` unless `value` is none, or finite and from `low` to `high`."""
    if value is None or (low <= value <= high and math.isfinite(value)):
        return
    if not math.isfinite(low):
        raise InputError(f"{name} is {value}; expected a finite number")
    raise InputError(
        f"{name} is {value:g}; expected {f'{low:g} or more' if high == math.inf else f'{low:g} to {high:g}'}"
    )


def check_above_zero(name: str, value: float | None) -> None:
    """Raise `InputError` unless `value` is none, or finite and above 0."""
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"{name} is {value:g}; expected a finite number above 0")


def check_sha256(name: str, value: str) -> None:
    """Raise `InputError` unless `value` is a SHA-256 in hexadecimal."""
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise InputError(f"{name} is {value[:70]!r}; expected 64 hexadecimal digits")


def recipe_from_metadata(metadata: Mapping[str, str]) -> Recipe:
    """The recipe in an ONNX file's metadata.

    Raises `DetectorError` when there is none, when it is not the one whose hash lies beside it, and what
    `recipe_from_json` raises. A file of schema 1 without that hash is read, and its threshold is `not_vouched_for`.
    """
    if "recipe" not in metadata:
        raise DetectorError("an ONNX file without a recipe; make a detector with python -m export.onnx")
    text = metadata["recipe"]
    if "recipe_sha256" not in metadata:
        return recipe_from_json(text).not_vouched_for()
    if metadata["recipe_sha256"] != _sha256(text):
        raise DetectorError(
            "its recipe is not the one that was written into it (recipe_sha256): the file was damaged or changed by "
            f"hand; {COPY_AGAIN}"
        )
    return recipe_from_json(text)


def recipe_from_json(text: str) -> Recipe:
    """Parse a recipe. Raises `DetectorError` for another schema or a damaged document."""
    try:
        document: Any = json.loads(text, object_pairs_hook=_each_once)
        schema = document["schema"]
    except InputError as error:
        raise DetectorError(f"the recipe is damaged ({escaped(str(error))}); {COPY_AGAIN}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DetectorError(f"the recipe is damaged; {COPY_AGAIN}") from error
    if isinstance(schema, bool) or schema != SCHEMA:
        raise DetectorError(
            f"the recipe has schema {escaped(str(schema))}, this version reads schema {SCHEMA}; "
            "export the detector again or install the version that made it"
        )
    try:
        if "vouched" in dict(document["threshold"]):
            raise InputError("unknown option vouched in threshold")
        return build(Recipe, document)
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise DetectorError(f"the recipe is damaged ({escaped(str(error))}); {COPY_AGAIN}") from error


def _each_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object's members. Raises `InputError` for a name that is there twice: readers disagree which one holds."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"{name} is there twice")
        found[name] = value
    return found


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
