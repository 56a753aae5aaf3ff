"""Regions of interest: which pixels of the prepared frame are inspected, and what these places are called.

A rectangle is top, left, height and width in pixels of the prepared frame, and has no name. Named regions are polygons
or masks in pixels of the camera's picture, which is what a person sees: the upper left corner of that picture is (0, 0)
and its lower right one (width, height), whatever the prepared frame is. A pixel of the prepared frame belongs to a
region whose polygons hold the pixel's centre by the even-odd rule (so a polygon inside another is a hole, and one that
crosses itself has holes where it covers a place twice), or whose mask is white where the centre lies.

A rectangle says where the map's score is taken from, and no more: networks see what lies beside it, and the frame is
judged as a whole whatever it is. Outside named regions nothing is seen at all: a detector is trained and run on frames
that are grey there (`blinded`), so that nothing outside can have a part in a decision, however far a network looks.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

Rectangle = tuple[int, int, int, int]  # top, left, height, width
Polygon = tuple[tuple[float, float], ...]  # corners x, y; the last is joined to the first

MOST_REGIONS = 64
MOST_CORNERS = 10_000  # of a region
MOST_RUNS = 200_000  # of a mask: of one that is larger every second pixel of some rows differs, as no drawing does
MOST_PIXELS = 1 << 28  # of the picture that masks are decoded to
MOST_MASKED = 1 << 29  # pixels of all regions' masks of a prepared frame, bytes: 64 regions of 2896×2896
LONGEST_NAME = 64  # characters
UNSEEN = 128  # the value of all channels outside named regions: what lies there is not looked at


@dataclass(frozen=True)
class NamedRegion:
    """A place that is inspected: polygons, or a mask."""

    name: str
    polygons: tuple[Polygon, ...] = ()  # pixels of the camera's picture
    # the lengths of runs of equal pixels, row after row from the upper left, as numbers with blanks between them; the
    # first run is of pixels that are not inspected, and may be 0
    runs: str = ""

    @property
    def document(self) -> dict[str, object]:
        """What a recipe and a run folder hold."""
        if self.runs:
            return {"name": self.name, "runs": self.runs}
        polygons = [[[float(x), float(y)] for x, y in corners] for corners in self.polygons]
        return {"name": self.name, "polygons": polygons}

    @property
    def words(self) -> str:
        """What it is made of, in words."""
        if self.runs:
            return "a mask"
        corners = " and ".join(str(len(each)) for each in self.polygons[:3])
        if len(self.polygons) > 3:
            return f"{len(self.polygons)} polygons"
        return f"{'a polygon' if len(self.polygons) == 1 else f'{len(self.polygons)} polygons'} of {corners} corners"

    def check(self, picture_hw: tuple[int, int]) -> None:
        """Raise `InputError` unless this is a region of pictures of `picture_hw`."""
        if not self.name.strip() or len(self.name) > LONGEST_NAME or not self.name.isprintable():
            raise InputError(
                f"a region is called {self.name[: LONGEST_NAME + 1]!r}; expected a name of 1 to {LONGEST_NAME} "
                "characters that print"
            )
        if bool(self.polygons) == bool(self.runs):
            raise InputError(
                f"region {self.name} has {'both' if self.runs else 'neither'}; expected polygons or a mask"
            )
        if self.runs:
            decoded(self, picture_hw)
        elif sum(map(len, self.polygons)) > MOST_CORNERS:
            raise InputError(
                f"region {self.name} has more than {MOST_CORNERS:,} corners; draw it with fewer, or a mask"
            )
        height, width = picture_hw
        for corners in self.polygons:
            if len(corners) < 3:
                raise InputError(
                    f"region {self.name} has a polygon of {len(corners)} corners; expected 3 or more, each x, y"
                )
            for x, y in corners:
                if not (0 <= x <= width and 0 <= y <= height):
                    raise InputError(
                        f"region {self.name} has a corner at x {x:g}, y {y:g}, outside the picture of {width}×{height} "
                        "pixels (width × height); move it to the picture's border or inside"
                    )


@dataclass(frozen=True)
class RegionsOfInterest:
    """Named regions; what lies in none of them is not inspected."""

    picture_hw: tuple[int, int]  # of the camera's picture that they are drawn on, pixels
    regions: tuple[NamedRegion, ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Worked out once: with every frame it is asked which pixels are inspected, of thousands of corners."""
        return hash((self.picture_hw, self.regions))

    @property
    def document(self) -> dict[str, object]:
        """What a recipe and a run folder hold, in plain lists."""
        return {"picture_hw": list(self.picture_hw), "regions": [each.document for each in self.regions]}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the regions."""
        return tuple(each.name for each in self.regions)

    def check(self) -> None:
        """Raise `InputError` for the first thing that is wrong, whatever the prepared frame is."""
        height, width = self.picture_hw
        if min(height, width) < 1 or height * width > MOST_PIXELS:
            raise InputError(
                f"regions are drawn on a picture of {width}×{height} pixels; expected 1 to {MOST_PIXELS:,}"
            )
        if not 1 <= len(self.regions) <= MOST_REGIONS:
            raise InputError(f"there are {len(self.regions)} regions; expected 1 to {MOST_REGIONS}")
        for name in self.names:
            if self.names.count(name) > 1:
                raise InputError(f"two regions are called {name}; give each its own name")
        for each in self.regions:
            each.check(self.picture_hw)


Interest = Rectangle | RegionsOfInterest


@dataclass(frozen=True, eq=False)
class Inspected:
    """The pixels of a prepared frame that are inspected. Arrays are shared, and cannot be written."""

    mask: NDArray[np.bool_]  # [H, W]: all of them
    names: tuple[str, ...] = ()  # of R regions; none of a rectangle
    masks: NDArray[np.bool_] | None = None  # [R, H, W], of each region; they may overlap

    @cached_property
    def pixels(self) -> int:
        """How many are inspected."""
        return int(self.mask.sum())

    def names_at(
        self, corner_yx: tuple[int, int], pixels: NDArray[np.bool_], peak_yx: tuple[int, int]
    ) -> tuple[str, ...]:
        """The regions that hold any of `pixels` [h, w], whose upper left lies at `corner_yx` of the frame.

        First those that hold the peak, a place among `pixels`, then in their own order.
        """
        if self.masks is None:
            return ()
        top, left = corner_yx
        here = self.masks[:, top : top + pixels.shape[0], left : left + pixels.shape[1]] & pixels
        found = np.flatnonzero(here.any(axis=(1, 2))).tolist()
        return tuple(self.names[index] for index in sorted(found, key=lambda index: not here[(index, *peak_yx)]))


@lru_cache(maxsize=32)
def inspected(interest: Interest | None, size_hw: tuple[int, int]) -> Inspected | None:
    """The pixels of prepared frames of `size_hw` that are inspected; None for all of them.

    Of settings that passed `Scoring.check`.
    """
    if interest is None:
        return None
    if isinstance(interest, RegionsOfInterest):
        masks = np.empty((len(interest.regions), *size_hw), np.bool_)
        for one, each in zip(masks, interest.regions, strict=True):
            one[:] = _drawn(each, interest.picture_hw, size_hw)
        return Inspected(_fixed(np.asarray(masks.any(axis=0))), interest.names, _fixed(masks))
    top, left, height, width = interest
    mask = np.zeros(size_hw, np.bool_)
    mask[top : top + height, left : left + width] = True
    return Inspected(_fixed(mask))


def blinded(frames: NDArray[np.uint8], chosen: Inspected | None) -> NDArray[np.uint8]:
    """Prepared frames [..., H, W, 3] as a detector of named regions sees them: grey outside; as they are for None."""
    return frames if chosen is None else np.where(chosen.mask[:, :, None], frames, np.uint8(UNSEEN))


def check_interest(interest: Interest, size_hw: tuple[int, int]) -> None:
    """Raise `InputError` unless something of a prepared frame of `size_hw` is inspected, in each region, and all masks
    together are of a size that memory holds."""
    if not isinstance(interest, RegionsOfInterest):
        top, left, rows, columns = interest
        height, width = size_hw
        if min(top, left) < 0 or min(rows, columns) < 1 or top + rows > height or left + columns > width:
            raise InputError(f"region_of_interest {interest} lies outside {height}×{width} pixels")
        return
    interest.check()
    count, (height, width) = len(interest.regions), size_hw
    if count * height * width > MOST_MASKED:
        raise InputError(
            f"{count} regions of a prepared frame of {width}×{height} (width × height) are {count * height * width:,} "
            f"pixels; expected up to {MOST_MASKED:,}: give fewer regions, or smaller frames"
        )
    found = inspected(interest, size_hw)
    assert found is not None
    assert found.masks is not None
    for name, mask in zip(found.names, found.masks, strict=True):
        if not mask.any():
            raise InputError(
                f"region {name} is empty: it holds no pixel of the prepared frame of {width}×{height} (width × "
                "height); draw it larger, or give frames of more pixels"
            )


def decoded(region: NamedRegion, picture_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask of a region that has one, [h, w] of the camera's picture. Raises `InputError` for another size."""
    try:
        runs = np.array([int(each) for each in region.runs.split(" ", MOST_RUNS)], np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"the mask of region {region.name} is no list of up to {MOST_RUNS:,} lengths") from error
    total = picture_hw[0] * picture_hw[1]
    if (runs < 0).any() or (runs[1:] == 0).any() or (runs > total).any() or int(runs.sum()) != total:
        raise InputError(f"the mask of region {region.name} is not of {picture_hw[1]}×{picture_hw[0]} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(picture_hw)


def as_runs(mask: NDArray[np.bool_]) -> str:
    """A mask [h, w] as `NamedRegion.runs`. Raises `InputError` for one that is no drawing."""
    flat = mask.ravel()
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], ends, [len(flat)]]))
    lengths = [0, *runs.tolist()] if flat[0] else runs.tolist()
    if len(lengths) > MOST_RUNS:
        raise InputError(
            f"the mask has {len(lengths):,} changes between black and white; expected up to {MOST_RUNS:,}, of areas "
            "drawn with a firm edge"
        )
    return " ".join(map(str, lengths))


def _drawn(region: NamedRegion, picture_hw: tuple[int, int], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of the prepared frame [H, W] in a region."""
    ys, xs = ((np.arange(n) + 0.5) * of / n for n, of in zip(size_hw, picture_hw, strict=True))  # their centres
    if region.runs:
        return decoded(region, picture_hw)[np.ix_(ys.astype(np.int64), xs.astype(np.int64))]
    turns = np.zeros((size_hw[0], size_hw[1] + 1), np.bool_)  # where a row goes inside or outside
    for corners in region.polygons:
        for (x0, y0), (x1, y1) in pairwise((*corners, corners[0])):
            rows = np.flatnonzero((y0 <= ys) != (y1 <= ys))  # that the edge crosses
            turns[rows, np.searchsorted(xs, x0 + (ys[rows] - y0) * (x1 - x0) / (y1 - y0))] ^= True
    return np.asarray(np.logical_xor.accumulate(turns, axis=1)[:, :-1])


def _fixed(array: NDArray[np.bool_]) -> NDArray[np.bool_]:
    array.setflags(write=False)
    return array
