"""Tiles: a frame's evidence computed piece by piece inside the graph, one piece after the other, without seams.

Each tile is a part of the frame that holds its core, a rectangle of its own, and around it all that the networks see
from there: so each core's evidence is what the whole frame would give, and the cores side by side are the whole. Where
a tile ends with the frame, it is padded as the frame is. Tiles start at multiples of the coarsest stride and have the
frame's length modulo that, so that strides and paddings fall on the same pixels.

How far networks see is not taken from a table but from the networks: pixels that are no number make no number of all
that depends on them (`reach`).
"""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from runtime.errors import InputError
from runtime.recipe import MOST_TILES, Tiling
from train.method import TrainedRun

BAND = 3  # steps: what is no number is wider than any stride leaps over
LEAST_ROOM, MOST_ROOM = 64, 2_048  # pixels beside it that the reach is looked for in


def parsed(text: str) -> tuple[int, int]:
    """Rows and columns of tiles, as ``2x3``. Raises `InputError` for anything else."""
    found = re.fullmatch(r"([0-9]{1,3})[x×]([0-9]{1,3})", text)
    rows, columns = (int(each) for each in found.groups()) if found else (0, 0)
    if not (1 <= rows <= MOST_TILES and 1 <= columns <= MOST_TILES):
        raise InputError(f"--tiles is {text!r}; expected rows and columns of 1 to {MOST_TILES}, as in 2x3")
    return rows, columns


@dataclass(frozen=True)
class Axis:
    """How one side of the frame is cut: tiles of one length, and the cores that are kept of them, in pixels."""

    length: int  # of the frame
    tile: int  # of each tile
    starts: tuple[int, ...]  # of the tiles
    borders: tuple[int, ...]  # of the cores, one more than there are tiles: 0 … length

    def core(self, index: int, stride: int) -> slice:
        """The core of a tile in its own map of every `stride`-th position."""
        first, last = (-(-(border - self.starts[index]) // stride) for border in self.borders[index : index + 2])
        return slice(first, last)


@dataclass(frozen=True)
class Tiles:
    """A frame in rows and columns of tiles."""

    rows: Axis
    columns: Axis

    @property
    def tiling(self) -> Tiling:
        """What a recipe says of them."""
        return Tiling(len(self.rows.starts), len(self.columns.starts), (self.rows.tile, self.columns.tile))

    def cut(self, pixels: Tensor) -> list[Tensor]:
        """The tiles [N, 3, h, w] of frames [N, 3, H, W], row by row."""
        return [
            pixels[:, :, top : top + self.rows.tile, left : left + self.columns.tile]
            for top in self.rows.starts
            for left in self.columns.starts
        ]

    def stitched(self, maps: Sequence[Tensor], stride: int) -> Tensor:
        """The maps [N, C, h, w] of all tiles at every `stride`-th position as one of the frame."""
        columns = len(self.columns.starts)
        rows = []
        for row in range(len(self.rows.starts)):
            across = [
                maps[row * columns + column][:, :, self.rows.core(row, stride), self.columns.core(column, stride)]
                for column in range(columns)
            ]
            rows.append(torch.cat(across, dim=3))
        return torch.cat(rows, dim=2)


def cut_axis(length: int, count: int, step: int, before: int, behind: int) -> Axis:
    """Cut a side of `length` pixels into `count` tiles that see `before` and `behind` pixels beyond their cores.

    `step` is the coarsest stride. Raises `InputError` where a tile would be no smaller than the frame.
    """
    cells = -(-length // step)
    if count > cells:
        raise InputError(
            f"{count} tiles along {length} pixels are less than {step} pixels each, a network's step; use fewer"
        )
    borders = [*(step * round(index * cells / count) for index in range(count)), length]
    starts = [max(0, border - before) // step * step for border in borders[:-1]]
    starts[0] = 0
    needed = max(min(length, last + behind) - start for start, last in zip(starts, borders[1:], strict=True))
    tile = needed + (length - needed) % step
    if count > 1 and tile >= length:
        raise InputError(
            f"{count} tiles along {length} pixels would each be the whole frame: a core of {-(-length // count)} "
            f"pixels needs {before} pixels before it and {behind} behind, which is how far the networks see; use fewer "
            "tiles, larger frames, or leave out --tiles"
        )
    return Axis(length, tile, tuple(min(start, length - tile) for start in starts), tuple(borders))


def tiles_of(trained: TrainedRun, evidence: Any, count_rc: tuple[int, int]) -> Tiles | None:
    """The tiles of a run's frames in rows and columns, for its graph's `evidence`; None for one tile.

    Raises `InputError` for tiles that the networks see beyond, or that are too small.
    """
    if count_rc == (1, 1):
        return None
    found: dict[int, tuple[int, int]] = {}  # by what of the reach differs between the sides
    axes = []
    for length, count in zip(trained.size_hw, count_rc, strict=True):
        rest = length % evidence.step
        if count > 1 and rest not in found:
            found[rest] = reach(evidence, trained.stride, rest)
        axes.append(cut_axis(length, count, evidence.step, *(found[rest] if count > 1 else (0, 0))))
    return Tiles(*axes)


@torch.no_grad()
def reach(evidence: Any, stride: int, rest: int) -> tuple[int, int]:
    """How many pixels before and behind a part of the frame its evidence, and what is pooled of it, depend on.

    Found on the network itself (`export.graphs.EvidenceGraph`): what depends on a pixel that is no number is none,
    through any convolution, maximum or interpolation. In float64, where no fast algorithm mixes neighbours. Of parts
    that start at multiples of its `step`, in frames that are `rest` longer than one. Raises `InputError` for networks
    that see all of a frame.
    """
    probe, step = copy.deepcopy(evidence).double(), evidence.step
    room = max(LEAST_ROOM, 20 * step)  # on either side
    while room <= MOST_ROOM:
        start, stop = room + rest, room + BAND * step
        before, behind = _beyond(probe, stride, (start, stop), stop + room // step * step + rest)
        if max(before, behind) < room - step:
            return before, behind
        room *= 2
    raise InputError(
        f"the networks see {MOST_ROOM:,} pixels to each side or more, so that tiles would be whole frames; leave out "
        "--tiles"
    )


def _beyond(probe: Any, stride: int, nothing: tuple[int, int], width: int) -> tuple[int, int]:
    """How far behind columns that are no number, `nothing` from … to, and how far before them, maps are none."""
    pixels = torch.full((1, 3, probe.narrow, width), 128.0, dtype=torch.float64)
    pixels[..., slice(*nothing)] = torch.nan
    evidence, pooled = probe(pixels)
    strides = (stride, *(() if probe.pooling is None else probe.pooling.strides))
    before, behind = 0, 0
    for each, of in zip((evidence, *pooled), strides, strict=True):
        columns = torch.nonzero(each.isnan().any(dim=1)[0].any(dim=0))[:, 0]
        before = max(before, (int(columns.max()) + 1) * of - nothing[1])
        behind = max(behind, nothing[0] - int(columns.min()) * of)
    return before, behind


def in_tiles(evidence: Any, tiles: Tiles | None, stride: int, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
    """What `evidence` (`export.graphs.EvidenceGraph`) gives of raw pixels, tile by tile; at once for None.

    One tile after the other, not all in one batch: an engine that reuses its memory then holds the activations of one.
    """
    if tiles is None:
        found: tuple[Tensor, list[Tensor]] = evidence(pixels)
        return found
    each = [evidence(tile) for tile in tiles.cut(pixels)]
    strides = () if evidence.pooling is None else evidence.pooling.strides
    pooled = [tiles.stitched([maps[index] for _, maps in each], of) for index, of in enumerate(strides)]
    return tiles.stitched([one for one, _ in each], stride), pooled
