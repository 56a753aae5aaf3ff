"""The recipe: everything that a detector file says of itself. Each field is defined here, once, with its unit.

It travels inside the ONNX file as one JSON document (``metadata_props["recipe"]``), beside the document's hash
(``metadata_props["recipe_sha256"]``). The hash detects accidents: a byte that was flipped, an editor that saved. It is
no signature, since whoever changes the document on purpose can write its hash anew.

Each class checks its own fields: `InputError` says which one is out of its bounds, and what they are.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime import schema1
from runtime.alignment import Alignment
from runtime.bounds import LONGEST_SENTENCE, check_above_zero, check_between, check_depth, check_sha256, shown
from runtime.errors import DetectorError, InputError
from runtime.image_hashes import check_packed
from runtime.onnx_file import COPY_AGAIN
from runtime.scoring import Scoring
from runtime.threshold import Threshold
from runtime.typed import build

SCHEMA = 2
READ = (1, SCHEMA)  # 1 knew students alone
MAP = "map"  # what the map's score is called among the scores by evidence; no other evidence has this name
MOST_TILES = 64  # each way
LARGEST_SIDE = 65_535  # pixels of a frame; beyond, the product of both sides is no number that an engine takes
MOST_PIXELS = 1 << 26  # of a frame, 8192×8192: a recipe of a few bytes asks for no more memory than one of these takes


@dataclass(frozen=True)
class Evidence:
    """One kind of map evidence, with what good images show of it (equation 11).

    The anomaly map is the sum over all kinds of `weight` · (evidence − `mean`) / `deviation` (equation 12).
    """

    name: str  # for people, such as "regression error, p = 33"
    weight: float
    mean: float  # over all pixels of good images inside the region of interest
    deviation: float  # above 0

    def __post_init__(self) -> None:
        check_above_zero(f"the weight of {self.name}", self.weight)
        check_between(f"the mean of {self.name}", self.mean)
        check_above_zero(f"the deviation of {self.name}", self.deviation)


@dataclass(frozen=True)
class ImageEvidence:
    """Evidence of the whole frame, one value, with what good images show of it.

    Its score is (evidence − `mean`) / `deviation`, in the unit of the map that scores are of.
    """

    name: str  # for people, such as "whole frame"
    looks_at: str  # in words
    mean: float  # of good images, each left out
    deviation: float  # above 0

    def __post_init__(self) -> None:
        check_between(f"the mean of {self.name}", self.mean)
        check_above_zero(f"the deviation of {self.name}", self.deviation)


@dataclass(frozen=True)
class Method:
    """How a frame becomes evidence. What the settings mean, the method's file in `calibration/methods` says."""

    name: str  # a row of train.method.METHODS
    looks_at: str  # in words, for the person who runs the line
    evidence: tuple[Evidence, ...]  # in the order of the graph's `evidence` output
    settings: dict[str, object]  # the method's own, by name: numbers, texts, lists of them
    image_evidence: tuple[ImageEvidence, ...] = ()  # in the order of the columns of `evidence_scores` behind the map's

    def __post_init__(self) -> None:
        names = [kind.name for kind in self.evidence] + [kind.name for kind in self.image_evidence]
        names += [MAP] if self.image_evidence else []
        check_depth("the method's settings", self.settings)
        if not self.evidence or len(set(names)) < len(names):
            raise InputError(f"the evidence is {names}; expected one kind or more, each of its own name")


# where a graph of schema 2 keeps what good images decide, so that a device can write other values there
# (`runtime.onnx_file.with_constants`): scale and shift [K, 1, 1] of the evidence, and, where scores are by position,
# `position_mean` and `position_factor` [H, W], the mean of the anomaly map and one over its deviation. Where a frame is
# judged as a whole, too, by pooled features [P]: their `image_centre` [P], `image_weight` [P + 1, P] and `image_bias`
# [P + 1] of the linear map whose norm is the raw evidence, `image_mean` and `image_factor` [1], as for the map
CONSTANTS = "calibration."


def constants_of(evidence: Sequence[Evidence]) -> dict[str, NDArray[np.float32]]:
    """The graph's constants behind `CONSTANTS` that follow from evidence: the map is Σ (scale · evidence + shift)."""
    scale = [kind.weight / kind.deviation for kind in evidence]
    shift = [-kind.weight * kind.mean / kind.deviation for kind in evidence]
    return {
        name: np.array(values, np.float32).reshape(-1, 1, 1) for name, values in (("scale", scale), ("shift", shift))
    }


TYPICAL_SIDE = 8  # pixels of `HealthLimits.typical`, each way
SMALLEST_SHARP_SIDE = 16  # pixels of a prepared frame, below which there are no two scales to compare
BRIGHTNESS_MARGIN = 0.5  # of the distance from the good images' extreme to black, or to white: where the limit lies
LATER_LIMITS = ("height_low", "sharpness_low", "likeness_low", "typical")  # a file without one has no such limit


@dataclass(frozen=True)
class Tiling:
    """The pieces that a graph computes evidence in, one after the other, in place of the whole frame at once.

    They overlap by all that the networks see: the result is that of the whole frame, to rounding.
    """

    rows: int
    columns: int
    tile_hw: tuple[int, int]  # of each, pixels of the prepared frame

    def __post_init__(self) -> None:
        check_between("the rows of tiles", self.rows, 1, MOST_TILES)
        check_between("the columns of tiles", self.columns, 1, MOST_TILES)
        check_between("the shorter side of a tile", min(self.tile_hw), 1)

    def share(self, size_hw: tuple[int, int]) -> float:
        """The pixels of all tiles over those of the frame: what the overlap costs."""
        return self.rows * self.columns * self.tile_hw[0] * self.tile_hw[1] / (size_hw[0] * size_hw[1])


@dataclass(frozen=True)
class HealthLimits:
    """Frames outside these limits are not scored. From the good images, widened; pixel values 0 to 255."""

    brightness_low: float  # smallest mean of a frame's pixels
    brightness_high: float  # largest mean of a frame's pixels
    saturated_high: float  # largest share of pixels at 250 or above in every channel, 0 to 1
    aspect_low: float  # smallest width / height, above 0
    aspect_high: float  # largest width / height
    height_low: float = 0.0  # smallest height of a frame as it came, pixels; 0, of files from before it: any
    # smallest sharpness of the prepared frame, from left to right and from top to bottom, a ratio (see
    # runtime/sharpness.py); 0, where good images set none and of files from before it: any
    sharpness_low: tuple[float, float] = (0.0, 0.0)
    # smallest likeness of the prepared frame to `typical`, a correlation up to 1 (see runtime/likeness.py); 0, where
    # good images set none and of files from before it: any
    likeness_low: float = 0.0
    typical: tuple[float, ...] = ()  # mean of the good images at 8×8 pixels, BGR, row by row; none without likeness_low

    def __post_init__(self) -> None:
        check_between("brightness_low", self.brightness_low, 0, 255)
        check_between("brightness_high", self.brightness_high, self.brightness_low, 255)
        check_between("saturated_high", self.saturated_high, 0, 1)
        check_above_zero("aspect_low", self.aspect_low)
        check_between("aspect_high", self.aspect_high, self.aspect_low)
        check_between("height_low", self.height_low, 0)
        for value in self.sharpness_low:
            check_between("sharpness_low", value, 0)
        check_between("likeness_low", self.likeness_low, 0, 1)
        expected = 3 * TYPICAL_SIDE**2 if self.likeness_low else 0
        if len(self.typical) != expected:
            raise InputError(
                f"typical has {len(self.typical)} values; expected {expected} with a likeness_low of "
                f"{self.likeness_low:g}"
            )
        for value in self.typical:
            check_between("typical", value, 0, 255)

    @property
    def brightness_seen(self) -> tuple[float, float]:
        """Smallest and largest mean of the pixels of a good image, from which the limits were made."""
        margin = BRIGHTNESS_MARGIN
        return self.brightness_low / margin, (self.brightness_high - 255 * margin) / (1 - margin)

    @property
    def document(self) -> dict[str, object]:
        """The limits as a recipe holds them: one that came later and is not set is left out, so that recipes, plans
        and verdicts from before it keep their hashes."""
        later = {name: getattr(self, name) for name in LATER_LIMITS}
        unset = [name for name, value in later.items() if not np.any(value)]
        return {name: value for name, value in asdict(self).items() if name not in unset}


LATER_IMAGES = {"learned_from", "statistics_from"}  # a file without them does not say which images it knows


@dataclass(frozen=True)
class Provenance:
    """Where a detector comes from."""

    images: dict[str, int]  # good images by use: training, statistics, threshold
    images_sha256: str  # over the hashes of those images, sorted
    versions: dict[str, str]  # of the libraries that made the file
    commit: str  # of Proctor, or "unknown"
    created: str  # ISO 8601, UTC
    # of these images a score says nothing of new parts, as `runtime.image_hashes` packs them; none of older files
    learned_from: str = ""  # that networks, memory or evidence come from
    statistics_from: str = ""  # that gave the statistics alone

    def __post_init__(self) -> None:
        check_sha256("images_sha256", self.images_sha256)
        for use, count in self.images.items():
            check_between(f"the number of images for {use}", count, 0)
        check_packed("learned_from", self.learned_from)
        check_packed("statistics_from", self.statistics_from)


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
class Recalibration:
    """How a finished detector was fitted to other good images, of which nothing was trained on."""

    source_sha256: str  # of the recipe that it had before, which verdicts of that file carry
    statistics: bool  # whether the graph's statistics were fitted anew; the threshold always is
    images: dict[str, int]  # different good images by use: statistics, threshold
    images_sha256: str  # over the hashes of those images, sorted
    by: str  # who did it
    versions: dict[str, str]  # of the libraries that did
    commit: str  # of Proctor, or "unknown"
    created: str  # ISO 8601, UTC
    statistics_from: str = ""  # as in `Provenance`: that gave the graph's statistics, by this recalibration or before

    def __post_init__(self) -> None:
        check_sha256("source_sha256", self.source_sha256)
        check_sha256("images_sha256", self.images_sha256)
        for use, count in self.images.items():
            check_between(f"the number of images for {use}", count, 0)
        check_packed("statistics_from", self.statistics_from)


@dataclass(frozen=True)
class Recipe:
    """A detector's whole description."""

    size_hw: tuple[int, int]  # of the prepared frame, pixels
    interpolation: str = field(metadata={"choices": ("area",)})  # see runtime/preparation.py
    aspect: str = field(metadata={"choices": ("stretch",)})  # see runtime/preparation.py
    scoring: Scoring
    method: Method
    score_quantiles: dict[str, float]  # of the good images' scores, by probability
    threshold: Threshold
    health: HealthLimits
    precision: str = field(
        metadata={"choices": ("fp32", "fp16", "int8")}
    )  # of the convolutions; int8 of a memory bank: of its search
    explain: bool  # whether raw evidence is an output
    largest_activation: float  # of any layer over the parity frames; FP16 ends at 65,504
    parity_sha256: str  # of the file of frames it was checked on
    graph_sha256: str  # of the ONNX file without its metadata
    provenance: Provenance
    quantization: Quantization | None = None  # of an INT8 file alone
    tiles: Tiling | None = None  # none where the graph computes the frame at once
    alignment: Alignment | None = None  # none: frames are inspected as they come
    recalibration: Recalibration | None = None  # the last one; none of a file as it was exported
    schema: int = field(default=SCHEMA, metadata={"choices": READ})

    def __post_init__(self) -> None:
        height, width = self.size_hw
        if min(height, width) < 1:
            raise InputError(f"size_hw is {height},{width}; expected 1 pixel or more each way")
        check_between("the longer side of size_hw", max(height, width), 1, LARGEST_SIDE)
        if height * width > MOST_PIXELS:
            raise InputError(f"size_hw is {height},{width}; expected up to {MOST_PIXELS:,} pixels")
        self.scoring.check(self.size_hw)
        if any(self.health.sharpness_low) and min(height, width) < SMALLEST_SHARP_SIDE:
            raise InputError(
                f"there is a sharpness_low for frames of {height},{width}; expected none below {SMALLEST_SHARP_SIDE} "
                "pixels each way"
            )
        if self.method.image_evidence and not self.scoring.by_position:
            raise InputError("there is image evidence and scores are not by_position; expected both or none")
        check_between("largest_activation", self.largest_activation, 0)
        check_sha256("parity_sha256", self.parity_sha256)
        check_sha256("graph_sha256", self.graph_sha256)
        self._check_quantiles()
        for name, given in (("an alignment", self.alignment), ("a recalibration", self.recalibration)):
            if given is not None and self.schema == 1:
                raise InputError(f"there is {name}, which schema 1 does not know")
        if (self.precision == "int8") != (self.quantization is not None):
            raise InputError(
                f"quantization is {'none' if self.quantization is None else 'given'} of a file in {self.precision}; "
                "expected it of one in int8, and of no other"
            )

    def _check_quantiles(self) -> None:
        for probability in self.score_quantiles:
            if not _is_share(probability):
                raise InputError(f"score_quantiles has {probability!r}; expected probabilities from 0 to 1")
        if len(set(map(float, self.score_quantiles))) < len(self.score_quantiles):
            raise InputError(f"score_quantiles has {', '.join(self.score_quantiles)}; expected each probability once")
        values = [self.score_quantiles[key] for key in sorted(self.score_quantiles, key=float)]
        if any(not low <= high for low, high in pairwise(values)):
            raise InputError(f"score_quantiles are {values}; expected scores that rise with their probability")

    @property
    def document(self) -> dict[str, object]:
        """What a file holds, in the recipe's own schema; `upgraded` is the way back."""
        document = asdict(self) | {"scoring": self.scoring.document, "health": self.health.document}
        del document["threshold"]["vouched"]
        if not self.method.image_evidence:
            del document["method"]["image_evidence"]
        if self.tiles is None:  # as files from before it, which keep their hashes
            del document["tiles"]
        if self.alignment is None:
            del document["alignment"]
        if self.recalibration is None:
            del document["recalibration"]
        for made in (document["provenance"], document.get("recalibration", {})):
            for name in LATER_IMAGES & made.keys():
                if not made[name]:
                    del made[name]
        return schema1.downgraded(document) if self.schema == 1 else document

    def to_json(self) -> str:
        """The document as the text that goes into the file."""
        return json.dumps(self.document, sort_keys=True)

    @property
    def sha256(self) -> str:
        """The recipe's hash, which every verdict carries."""
        return _sha256(self.to_json())

    @property
    def metadata(self) -> dict[str, str]:
        """The entries of an ONNX file's metadata that `recipe_from_metadata` reads."""
        return {"recipe": self.to_json(), "recipe_sha256": self.sha256}

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """The graph's outputs by name, each with its shape behind the number of frames."""
        shapes: dict[str, tuple[int, ...]] = {"anomaly_map": self.size_hw, "anomaly_score": ()}
        if self.scoring.by_position:
            shapes["deviation_map"] = self.size_hw
        if self.method.image_evidence:
            shapes["evidence_scores"] = (1 + len(self.method.image_evidence),)
        if not self.explain:
            return shapes
        if self.schema == 1:
            return shapes | {name: (count, *self.size_hw) for name, count in schema1.explaining(self.method.settings)}
        return shapes | {"evidence": (len(self.method.evidence), *self.size_hw)}

    @property
    def statistics_weigh(self) -> bool:
        """Whether the statistics choose weights, of kinds of evidence or of places, beside the unit of the score.

        Images that gave them then score lower than others, and prove nothing; see `train.data.Split.threshold_images`.
        """
        return len(self.method.evidence) > 1 or self.scoring.by_position

    @property
    def scores_left_out(self) -> bool:
        """Whether the good images' scores are of images that were left out in turn.

        The threshold says so or, where it was set by hand, the images' uses.
        """
        if self.threshold.method != "manual":
            return self.threshold.left_out
        return self.recalibration is None and not self.provenance.images.get("threshold")

    def with_threshold(self, value: float) -> "Recipe":
        """The same detector with a threshold set by hand, which no sample vouches for."""
        manual = replace(self.threshold, value=value, method="manual", supported=False, vouched=True)
        return replace(self, threshold=manual)

    def not_vouched_for(self) -> "Recipe":
        """The same detector with a threshold that no hash vouches for: nothing is said to be proven of it."""
        return replace(self, threshold=replace(self.threshold, vouched=False))


def recipe_from_metadata(metadata: Mapping[str, str]) -> Recipe:
    """The recipe in an ONNX file's metadata.

    Raises `DetectorError` when there is none, when it is not the one whose hash lies beside it, and what
    `recipe_from_json` raises. A file of schema 1 without that hash is read, and its threshold is `not_vouched_for`.
    """
    if "recipe" not in metadata:
        raise DetectorError("an ONNX file without a recipe; make a detector with python -m export.onnx")
    text, sha256 = metadata["recipe"], metadata.get("recipe_sha256")
    if sha256 not in (None, _sha256(text)):
        raise DetectorError(
            "its recipe is not the one that was written into it (recipe_sha256): the file was damaged or changed by "
            f"hand; {COPY_AGAIN}"
        )
    recipe = recipe_from_json(text)
    if sha256 is not None:
        return recipe
    if recipe.schema != 1:
        raise DetectorError(f"the hash beside its recipe (recipe_sha256) is missing; {COPY_AGAIN}")
    return recipe.not_vouched_for()


def recipe_from_json(text: str) -> Recipe:
    """Parse a recipe. Raises `DetectorError` for another schema or a damaged document."""
    try:
        document: Any = json.loads(text, object_pairs_hook=_each_once)
        schema = document["schema"]
    except InputError as error:
        raise DetectorError(f"the recipe is damaged ({shown(error, LONGEST_SENTENCE)}); {COPY_AGAIN}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DetectorError(f"the recipe is damaged; {COPY_AGAIN}") from error
    if isinstance(schema, bool) or schema not in READ:
        raise DetectorError(
            f"the recipe has schema {shown(schema)}, this version reads schemas 1 and {SCHEMA}; "
            "export the detector again or install the version that made it"
        )
    try:
        if "vouched" in dict(document.get("threshold") or {}):
            raise InputError("unknown option vouched in threshold")
        return build(Recipe, upgraded(document))
    except (InputError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = shown(error, LONGEST_SENTENCE)
        if schema == SCHEMA and reason.startswith("unknown option"):
            raise DetectorError(
                f"the recipe is of a later version or damaged ({reason}); install the version that made it, or copy "
                "the file again"
            ) from error
        raise DetectorError(f"the recipe is damaged ({reason}); {COPY_AGAIN}") from error


def _each_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object's members. Raises `InputError` for a name that is there twice: readers disagree which one holds."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"{name} is there twice")
        found[name] = value
    return found


def upgraded(document: Mapping[str, object]) -> Mapping[str, object]:
    """A recipe's document, of any schema, in the fields of today's `Recipe`.

    Raises `InputError` for what no document of schema 1 holds.
    """
    return schema1.upgraded(document) if document["schema"] == 1 else document


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
