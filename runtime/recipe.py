"""The recipe: everything that a detector file says of itself. Each field is defined here, once, with its unit.

It travels inside the ONNX file as one JSON document (``metadata_props["recipe"]``), beside the document's hash.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from runtime.errors import DetectorError, InputError
from runtime.threshold import Threshold
from runtime.typed import build

SCHEMA = 1
# fields that files of this schema may lack; left out at their default, so that the hash of an older file stays its own
LATER = ("relative", "smoothing", "by_position", "quantization")


@dataclass(frozen=True)
class Scale:
    """One receptive field: a teacher and its students, with the statistics of equation 11 over good images."""

    patch_size: int  # p, pixels of the prepared frame
    teacher_sha256: str  # of the teacher's file
    error_mean: float  # of the regression error, equation 9
    error_std: float
    variance_mean: float | None  # of the predictive variance, equation 10; none with a single student
    variance_std: float | None


@dataclass(frozen=True)
class HealthLimits:
    """Frames outside these limits are not scored. From the good images, widened; pixel values 0 to 255."""

    brightness_low: float  # smallest mean of a frame's pixels
    brightness_high: float  # largest mean of a frame's pixels
    saturated_high: float  # largest share of pixels at 250 or above in every channel, 0 to 1
    aspect_low: float  # smallest width / height
    aspect_high: float  # largest width / height


@dataclass(frozen=True)
class Provenance:
    """Where a detector comes from."""

    images: dict[str, int]  # good images by use: training, statistics, threshold
    images_sha256: str  # over the hashes of those images, sorted
    versions: dict[str, str]  # of the libraries that made the file
    commit: str  # of Proctor, or "unknown"
    created: str  # ISO 8601, UTC


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
        if min(self.size_hw) < 1:
            raise InputError(f"size_hw is {self.size_hw[0]},{self.size_hw[1]}; expected 1 pixel or more each way")
        if self.region_of_interest is not None:
            check_region(self.region_of_interest, self.size_hw)
        for probability in self.score_quantiles:
            if not _is_share(probability):
                raise InputError(f"score_quantiles has {probability!r}; expected probabilities from 0 to 1")

    def to_json(self) -> str:
        """The document that goes into the file."""
        unset = [name for name in LATER if getattr(self, name) == getattr(Recipe, name)]
        return json.dumps({k: v for k, v in asdict(self).items() if k not in unset}, sort_keys=True)

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
        manual = replace(self.threshold, value=value, method="manual", supported=False)
        return replace(self, threshold=manual)


def check_region(region: tuple[int, int, int, int], size_hw: tuple[int, int]) -> None:
    """Raise `InputError` unless a region of interest (top, left, height, width) lies within a frame of `size_hw`."""
    top, left, rows, columns = region
    height, width = size_hw
    if min(top, left) < 0 or min(rows, columns) < 1 or top + rows > height or left + columns > width:
        raise InputError(f"region_of_interest {region} lies outside {height}×{width} pixels")


def recipe_from_metadata(metadata: Mapping[str, str]) -> Recipe:
    """The recipe in an ONNX file's metadata.

    Raises `DetectorError` when there is none, when it is not the one whose hash lies beside it, and what
    `recipe_from_json` raises. Files from before that hash have none.
    """
    if "recipe" not in metadata:
        raise DetectorError("an ONNX file without a recipe; make a detector with python -m export.onnx")
    text = metadata["recipe"]
    if metadata.get("recipe_sha256", _sha256(text)) != _sha256(text):
        raise DetectorError(
            "its recipe is not the one that was written into it (recipe_sha256): the file was damaged or changed by "
            "hand; copy it again or export the detector again"
        )
    return recipe_from_json(text)


def recipe_from_json(text: str) -> Recipe:
    """Parse a recipe. Raises `DetectorError` for another schema or a damaged document."""
    try:
        document: Any = json.loads(text)
        schema = document["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DetectorError("the recipe is damaged; export the detector again") from error
    if schema != SCHEMA:
        raise DetectorError(
            f"the recipe has schema {schema}, this version reads schema {SCHEMA}; "
            "export the detector again or install the version that made it"
        )
    try:
        return build(Recipe, document)
    except InputError as error:
        raise DetectorError(f"the recipe is damaged ({error}); export the detector again") from error


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
