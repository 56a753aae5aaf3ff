"""Copies: one picture that is there more than once, as a file, saved again, or shot again without a change.

One rule serves the split, the test images that are set apart, every count of images and the warnings. Two files hold
one picture when their *small pictures* (`small_picture`: prepared as the runtime prepares a frame, to 64×64 pixels, in
grey) are equal, or when under a Gaussian of two pixels they differ by at most `LARGEST_DIFFERENCE` grey levels, root
mean square, and by at most `LARGEST_SHARE` of their own contrast, after a difference in brightness and one of contrast
up to `LARGEST_GAIN` are taken away; without the Gaussian they may differ by `LARGEST_DETAIL`. The rule looks at two
pictures alone, so that what else lies in a folder changes nothing. ``python -m benchmarks.pictures.copies`` measures
it; calibration/README.md has the figures.

Small and smooth, because saving again spoils what is fine and two parts differ in what is large. In relation to the
contrast, because two blank plates differ by little. A part that was moved between two shots, and a mirrored or cropped
picture, is no copy here.

A group is the pictures about its first one, its *leader*: each joins the nearest leader within the limit. Two groups
are joined where members of both are copies and their leaders differ by no more than twice the limit. So a long row of
parts, each a little unlike the one before, does not become one picture.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.preparation import scaled

SIDE = 64  # of a small picture, pixels
SMOOTHING = 2.0  # σ of the Gaussian, pixels of a small picture: what another size changes at edges is gone
LARGEST_DIFFERENCE = (
    0.8  # grey levels, root mean square; chosen on pictures with an even hash, see calibration/README.md
)
LARGEST_DETAIL = 6.0  # grey levels before the smoothing
LARGEST_SHARE = 0.15  # of the standard deviation of the flatter one's pixels
LARGEST_GAIN = 1.1  # contrast of one over that of the other
REACH = 2.0  # limits between the leaders of two groups that are joined
FREQUENCIES = 16  # each way, of the cosine transform by which candidates are found
ROUNDING = 0.1  # grey levels that the products of the search may be off
ROWS = 512  # compared at a time


def small_picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What of an image [H, W, 3], BGR, is compared: uint8 [64, 64], grey."""
    return np.asarray(cv2.cvtColor(scaled(image, (SIDE, SIDE)), cv2.COLOR_BGR2GRAY), np.uint8)


def group_copies(pictures: NDArray[np.uint8]) -> list[list[int]]:
    """Small pictures [n, 64, 64] as groups of copies: indices, ascending, the first of each its leader.

    Which of several is the leader depends on their order, so give them in one that means nothing, as by hash.
    """
    if not len(pictures):
        return []
    search = Search(pictures)
    leaders = _joined(search, _by_leader(search))
    groups: dict[int, list[int]] = {}
    for index, leader in enumerate(leaders):
        groups.setdefault(leader, []).append(index)
    return list(groups.values())


def find_copies(pictures: NDArray[np.uint8]) -> Iterator[tuple[int, int, float]]:
    """Of small pictures [n, 64, 64]: a copy, the leader of its group, and their difference in grey levels, in order."""
    leaders = {index: group[0] for group in group_copies(pictures) for index in group[1:]}
    for index in sorted(leaders):
        yield index, leaders[index], difference(pictures[index], pictures[leaders[index]])


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Root mean square in grey levels of what brightness, and contrast within `LARGEST_GAIN`, do not explain."""
    return float(Search(np.stack([one, other])).exact(0, np.array([1]))[0])


def same_file(one: Path, other: Path) -> bool:
    """Whether two files hold the same bytes."""
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()


class Search:
    """Small pictures [n, 64, 64], smoothed, their limits in grey levels, and the search for those that differ by less.

    Candidates are found by the low frequencies of a cosine transform, as perceptual hashes do, but by their values: of
    parts that lie alike the usual signs all agree. The transform keeps distances, so what it leaves out can only make
    pictures differ more: no copy is missed.
    """

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self.pictures = pictures
        smooth = np.stack([cv2.GaussianBlur(picture.astype(np.float32), (0, 0), SMOOTHING) for picture in pictures])
        self.low = np.stack([_low_frequencies(picture) for picture in smooth])  # [n, F]
        self.smooth = smooth.reshape(len(pictures), -1)
        self.deviation = self.smooth.std(axis=1, dtype=np.float64).astype(np.float32)
        self.limit = np.minimum(LARGEST_DIFFERENCE, LARGEST_SHARE * self.deviation)

    def near(self, start: int, end: int) -> NDArray[np.bool_]:
        """Which of the pictures before `end` may be copies of those from `start` to `end`, [end - start, end]."""
        rows, columns = self.low[start:end], self.low[:end]
        gain = self._gain(self.deviation[start:end, None], self.deviation[:end])
        squares = np.square(rows).sum(axis=1)[:, None] / gain + gain * np.square(columns).sum(axis=1)
        least = np.sqrt(np.maximum(squares - 2 * (rows @ columns.T), 0))
        return np.asarray(least <= np.minimum(self.limit[start:end, None], self.limit[:end]) + ROUNDING)

    def exact(self, index: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        """The differences of one picture and others, smoothed, grey levels."""
        return self._difference(self.smooth, index, others)

    def in_limits(self, index: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        """The differences of one picture and others in limits: up to 1 they are copies."""
        rough = self.pictures.reshape(len(self.pictures), -1)
        limits = np.minimum(self.limit[index], self.limit[others])
        limits = np.where(limits > ROUNDING * LARGEST_SHARE, limits, 1e-9)  # flat ones say nothing of themselves
        smooth, detail = self.exact(index, others) + 1e-6, self._difference(rough, index, others)
        found = np.maximum(smooth / limits, detail / LARGEST_DETAIL)
        return np.where((rough[others] == rough[index]).all(axis=1), 0.0, found)

    def _difference(self, pictures: NDArray[np.generic], index: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        one, rest = pictures[index].astype(np.float64), pictures[others].astype(np.float64)
        root = np.sqrt(self._gain(self.deviation[index], self.deviation[others])).astype(np.float64)[:, None]
        return np.asarray(((one - one.mean()) / root - root * (rest - rest.mean(axis=1, keepdims=True))).std(axis=1))

    def copies(self, index: int, others: NDArray[np.intp], limits: float = 1.0) -> NDArray[np.intp]:
        """Of `others` those within so many limits of one picture, the nearest first."""
        if not len(others):
            return others
        differences = self.in_limits(index, others)
        return others[np.argsort(differences, kind="stable")][: int((differences <= limits).sum())]

    @staticmethod
    def _gain(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.floating]:
        """Contrast of `one` over that of `other`, as far as it is taken away."""
        ratio = np.maximum(one, 1e-6) / np.maximum(other, 1e-6)
        return np.asarray(np.clip(ratio, 1 / LARGEST_GAIN, LARGEST_GAIN))


def _by_leader(search: Search) -> list[int]:
    """The leader of each picture: the nearest within the limit that came before, or itself."""
    leaders: list[int] = []
    leads = np.zeros(len(search.pictures), bool)
    for start, near in _blocks(search):
        for row, earlier in enumerate(near):
            index = start + row
            found = search.copies(index, np.flatnonzero(earlier[:index] & leads[:index]))
            leads[index] = not len(found)
            leaders.append(int(found[0]) if len(found) else index)
    return leaders


def _joined(search: Search, leaders: list[int]) -> list[int]:
    """The leaders after groups were joined that have copies in one another."""
    joined = np.array(leaders)
    for start, near in _blocks(search):
        for row, earlier in enumerate(near):
            index = start + row
            found = search.copies(index, np.flatnonzero(earlier[:index] & (joined[:index] != joined[index])))
            for other in found:
                first, second = sorted((int(joined[index]), int(joined[other])))
                if first != second and len(search.copies(first, np.array([second]), REACH)):
                    joined[joined == second] = first
    return [int(leader) for leader in joined]


def _blocks(search: Search) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    for start in range(0, len(search.pictures), ROWS):
        yield start, search.near(start, min(start + ROWS, len(search.pictures)))


def _low_frequencies(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Low frequencies but for the mean, scaled so that their distance is one in grey levels, root mean square."""
    transform = cv2.dct(picture) / np.sqrt(picture.size)
    return np.asarray(transform[:FREQUENCIES, :FREQUENCIES].ravel()[1:], np.float32)
