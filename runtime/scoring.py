"""How a map becomes a score: the settings that every method shares, carried whole from training to the graph.

One more setting is a field at the end of `Scoring`, a line in `calibration.maps`, where it is written plainly, one in
`export.fused`, where the graph computes it, and one in `runtime.info`, which tells it.
"""

from dataclasses import dataclass, fields

from runtime.errors import InputError
from runtime.typed import option

MOST_SCORE_PIXELS = 3840  # TensorRT's limit for TopK
FIRST = ("region_of_interest", "smoothing", "by_position", "score_pixels")  # the settings of the first recipes
REACH = 3  # deviations of the Gaussian, which is cut off there; the border it reaches over is reflected


@dataclass(frozen=True)
class Scoring:
    """What is done to the anomaly map, and how one number is taken from it; the paper's by default."""

    region_of_interest: tuple[int, int, int, int] | None = option(
        None, "top,left,height,width in the prepared frame that the score is taken from; none for all of it"
    )
    smoothing: float = option(0.0, "σ of a Gaussian over the map, pixels of the prepared frame; 0, the paper's: none")
    by_position: bool = option(
        False, "score and regions in deviations from what the good images show at each position (ours)"
    )
    score_pixels: int = option(1, "the score is the mean of so many highest values of the map")

    @property
    def document(self) -> dict[str, object]:
        """The settings as a recipe holds them. One that is not among the `FIRST` is left out at its default, so that
        recipes, plans and verdicts from before it keep their hashes."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in values.items() if name in FIRST or value != default}

    def check(self, size_hw: tuple[int, int]) -> None:
        """Raise `InputError` for the first setting that cannot be used on prepared frames of `size_hw`."""
        height, width = size_hw
        most = (min(height, width) - 1) // REACH
        if not 0 <= self.smoothing <= most:
            raise InputError(f"smoothing is {self.smoothing:g}; expected 0 to {most} for frames of {height}×{width}")
        if self.region_of_interest is not None:
            check_region(self.region_of_interest, size_hw)
            _, _, height, width = self.region_of_interest
        pixels = min(height * width, MOST_SCORE_PIXELS)
        if not 1 <= self.score_pixels <= pixels:
            raise InputError(
                f"score_pixels is {self.score_pixels}; expected 1 to {pixels} (the region's pixels, TensorRT's TopK)"
            )


def check_region(region: tuple[int, int, int, int], size_hw: tuple[int, int]) -> None:
    """Raise `InputError` unless a region of interest (top, left, height, width) lies within a frame of `size_hw`."""
    top, left, rows, columns = region
    height, width = size_hw
    if min(top, left) < 0 or min(rows, columns) < 1 or top + rows > height or left + columns > width:
        raise InputError(f"region_of_interest {region} lies outside {height}×{width} pixels")
