"""How a map becomes a score and a decision: the settings that every method shares, carried whole from training.

One more setting of the score is a field at the end of `Scoring`, a line in `calibration.maps`, where it is written
plainly, one in `export.fused`, where the graph computes it, and one in `runtime.info`, which tells it. A setting of the
runtime alone (`RUNTIME`) changes no graph, score or threshold: it is such a field, a line in `runtime.judgement` and
one in `runtime.info`; recipes of schema 1 may have it too, so `runtime.schema1` has it.
"""

import math
from dataclasses import dataclass, fields

from runtime.bounds import check_between
from runtime.errors import InputError
from runtime.interest import Inspected, Interest, RegionsOfInterest, check_interest, inspected
from runtime.typed import option

MOST_SCORE_PIXELS = 3840  # TensorRT's limit for TopK
FIRST = ("region_of_interest", "smoothing", "by_position", "score_pixels")  # the settings of the first recipes
RUNTIME = ("mm_per_pixel", "smallest_area")  # of the decision, behind the graph: they can be changed in a finished file
SMALLEST_PIXEL_MM, LARGEST_PIXEL_MM = 1e-6, 1e3  # a nanometre, a metre
REACH = 3  # deviations of the Gaussian, which is cut off there; the border it reaches over is reflected
POSITIONS_SMOOTHING = 4.0  # σ in pixels of statistics by position: what a place shows, its neighbours show too


@dataclass(frozen=True)
class Scoring:
    """What is done to the anomaly map, how one number is taken from it, and which regions of it reject a part.

    The paper's by default, and every region counts.
    """

    region_of_interest: Interest | None = option(  # noqa: RUF009  # it cannot tell that it is immutable
        None,
        "where the score is taken from: a YAML file of named polygons, or a mask (PNG, white is inspected), both in "
        "pixels of the camera's picture as the good images are; or top,left,height,width in pixels of the prepared "
        "frame; none: all of it",
        short="roi",
        form="FILE|top,left,height,width|none",
    )
    smoothing: float = option(0.0, "σ of a Gaussian over the map, pixels of the prepared frame; 0, the paper's: none")
    by_position: bool = option(
        False, "score and regions in deviations from what the good images show at each position (ours)"
    )
    score_pixels: int = option(1, "the score is the mean of so many highest values of the map")
    mm_per_pixel: float | None = option(
        None, "side of a pixel of the camera's picture as it arrives, in mm; none where it is not known"
    )
    smallest_area: float = option(
        0.0,
        "regions above the threshold that are smaller do not reject a part: in mm² with mm_per_pixel, without it in "
        "pixels of the camera's picture; 0: every region counts",
    )

    @property
    def document(self) -> dict[str, object]:
        """The settings as a recipe holds them. One that is not among the `FIRST` is left out at its default, so that
        recipes, plans and verdicts from before it keep their hashes."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        found = {name: value for name, (value, default) in values.items() if name in FIRST or value != default}
        return found if self.regions is None else found | {"region_of_interest": self.regions.document}

    @property
    def regions(self) -> RegionsOfInterest | None:
        """The named regions; None of a rectangle, too.

        Outside them nothing is seen (see `runtime.interest`); a rectangle is of the map's score alone.
        """
        return self.region_of_interest if isinstance(self.region_of_interest, RegionsOfInterest) else None

    def inspected(self, size_hw: tuple[int, int]) -> Inspected | None:
        """The pixels of prepared frames of `size_hw` that the map's score is taken from; None for all of them."""
        return inspected(self.region_of_interest, size_hw)

    def in_regions(self, size_hw: tuple[int, int]) -> Inspected | None:
        """The pixels of prepared frames of `size_hw` in named regions, outside which nothing is seen; None: all is."""
        return None if self.regions is None else self.inspected(size_hw)

    @property
    def reach(self) -> int:
        """How far from an inspected pixel, in pixels, evidence lies that has a part in its score or its statistics."""
        return smoothing_reach(self.smoothing) + (smoothing_reach(POSITIONS_SMOOTHING) if self.by_position else 0)

    @property
    def smallest_pixels(self) -> float:
        """`smallest_area` in pixels of the camera's picture."""
        return self.smallest_area / (self.mm_per_pixel or 1.0) ** 2

    def area_mm2(self, pixels: float) -> float | None:
        """An area in pixels of the camera's picture in mm²; None where the scale is not known."""
        return None if self.mm_per_pixel is None else pixels * self.mm_per_pixel**2

    def area_in_words(self, pixels: float) -> str:
        """An area in pixels of the camera's picture in the unit of `smallest_area`."""
        area_mm2 = self.area_mm2(pixels)
        value, unit = (pixels, "pixels") if area_mm2 is None else (area_mm2, "mm²")
        return f"{value:,.0f} {unit}" if value >= 1e4 else f"{value:.4g} {unit}"

    def check(self, size_hw: tuple[int, int]) -> None:
        """Raise `InputError` for the first setting that cannot be used on prepared frames of `size_hw`."""
        if self.mm_per_pixel is not None and not SMALLEST_PIXEL_MM <= self.mm_per_pixel <= LARGEST_PIXEL_MM:
            raise InputError(
                f"mm_per_pixel is {self.mm_per_pixel:g}; expected the side of a pixel in mm, {SMALLEST_PIXEL_MM:g} to "
                f"{LARGEST_PIXEL_MM:g}"
            )
        check_between("smallest_area", self.smallest_area, 0)
        height, width = size_hw
        most = (min(height, width) - 1) // REACH
        if not 0 <= self.smoothing <= most:
            raise InputError(f"smoothing is {self.smoothing:g}; expected 0 to {most} for frames of {height}×{width}")
        found = height * width
        if self.region_of_interest is not None:
            check_interest(self.region_of_interest, size_hw)
            chosen = self.inspected(size_hw)
            assert chosen is not None
            found = chosen.pixels
        pixels = min(found, MOST_SCORE_PIXELS)
        if not 1 <= self.score_pixels <= pixels:
            raise InputError(
                f"score_pixels is {self.score_pixels}; expected 1 to {pixels} (the region's pixels, TensorRT's TopK)"
            )


def smoothing_reach(sigma: float) -> int:
    """How many pixels a Gaussian of `sigma` pixels reaches to each side."""
    return math.ceil(REACH * sigma)
