"""A contact sheet: many images on one picture, each with a caption."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.overlay import BACKGROUND, DIM, GAP, INK, Image, draw_text, shortened

TILE_WH = (240, 200)  # of a picture, pixels
LINE, LINES = 16, 6  # height of a caption's line, pixels, and their number
SCALE = 0.4  # of the font
COLUMNS = 5
MARK_COLOUR = (0, 94, 213)  # BGR; Okabe and Ito's vermillion
MARK_RADIUS = 0.07  # of the picture's longer side
CHARACTERS = 34  # that fit a caption's line at SCALE


@dataclass(frozen=True)
class Tile:
    """Images side by side, or none, uint8 [H, W, 3], BGR, under one caption: a title, and a text that is wrapped.

    A ring is drawn around `mark_xy`, in shares of the first image's width and height.
    """

    images: Sequence[NDArray[np.uint8]]
    title: str
    text: str
    mark_xy: tuple[float, float] | None = None


def draw_sheet(heading: str, tiles: Sequence[Tile]) -> Image:
    """All tiles below a heading, row by row: uint8 [h, w, 3], BGR."""
    columns = min(COLUMNS, max(2, len(tiles)))
    width = columns * (TILE_WH[0] + GAP) + GAP
    head = np.full((40, width, 3), BACKGROUND, np.uint8)
    draw_text(head, shortened(heading, width - 2 * GAP, 0.55), (GAP, 26), 0.55, INK)
    rows: list[NDArray[np.generic]] = [head]
    for start in range(0, len(tiles), columns):
        row = [_drawn(tile) for tile in tiles[start : start + columns]]
        row += [np.full_like(row[0], BACKGROUND)] * (columns - len(row))
        rows.append(cv2.copyMakeBorder(np.hstack(row), 0, 0, GAP, 0, cv2.BORDER_CONSTANT, value=BACKGROUND))
    return np.asarray(np.vstack(rows), np.uint8)


def _drawn(tile: Tile) -> Image:
    width, height = TILE_WH
    drawn = np.full((height + LINE * (LINES + 1), width + GAP, 3), BACKGROUND, np.uint8)
    if not tile.images:
        draw_text(drawn, "no picture", (2, height // 2), SCALE, DIM)
    share = width // max(1, len(tile.images))
    for place, image in enumerate(tile.images):
        fitted = _fitted(image, share - 2, height)
        if place == 0 and tile.mark_xy:
            _ring(fitted, tile.mark_xy)
        top, left = (height - fitted.shape[0]) // 2, place * share + (share - fitted.shape[1]) // 2
        drawn[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    draw_text(drawn, shortened(tile.title, width, SCALE), (2, height + LINE), SCALE, INK)
    for number, line in enumerate(textwrap.wrap(tile.text, CHARACTERS)[: LINES - 1]):
        draw_text(drawn, line, (2, height + LINE * (number + 2)), SCALE, DIM)
    return drawn


def _fitted(image: NDArray[np.uint8], width: int, height: int) -> Image:
    scale = min(width / image.shape[1], height / image.shape[0])
    size_wh = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.array(cv2.resize(image, size_wh, interpolation=interpolation), np.uint8)


def _ring(image: Image, point_xy: tuple[float, float]) -> None:
    height, width = image.shape[:2]
    centre = round(point_xy[0] * width), round(point_xy[1] * height)
    cv2.circle(image, centre, max(4, round(MARK_RADIUS * max(height, width))), MARK_COLOUR, 2, cv2.LINE_AA)
