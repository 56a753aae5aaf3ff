"""What is engraved on the flange: a scale of 60 marks on the hub, and the name on the face.

The letters are strokes drawn here: OpenCV's fonts differ between its versions, and a detector trained under one would
see defects under another.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # [N, 2]: x, y in design units, y down

STROKE_WIDTH = 1.1
SUPERSAMPLING = 4  # strokes are drawn this much finer, then averaged down
SUBPIXEL_BITS = 4

MARK_COUNT, MARKS_PER_LONG_ONE = 60, 5
MARK_OUTER, MARK_INNER, LONG_MARK_INNER = 44.0, 40.0, 36.5

NAME, NAME_RADIUS, CAPITAL_HEIGHT = "PROCTOR", 70.5, 6.2
GLYPH_WIDTH, GLYPH_HEIGHT, GLYPH_PITCH = 4, 6, 6.4  # in steps of the glyphs' own grid

# Strokes on a grid 4 wide and 6 high, y up
GLYPHS: dict[str, list[list[tuple[int, int]]]] = {
    "P": [[(0, 0), (0, 6), (3, 6), (4, 5), (4, 4), (3, 3), (0, 3)]],
    "R": [[(0, 0), (0, 6), (3, 6), (4, 5), (4, 4), (3, 3), (0, 3)], [(2, 3), (4, 0)]],
    "O": [[(1, 0), (0, 1), (0, 5), (1, 6), (3, 6), (4, 5), (4, 1), (3, 0), (1, 0)]],
    "C": [[(4, 1), (3, 0), (1, 0), (0, 1), (0, 5), (1, 6), (3, 6), (4, 5)]],
    "T": [[(0, 6), (4, 6)], [(2, 6), (2, 0)]],
}


def depth_of_engraving(side: int, samples_per_unit: float) -> NDArray[np.float32]:
    """Depth 0…1 at each sample of a centred square grid: [side, side]."""
    return draw_strokes([*_scale_marks(), *_name()], STROKE_WIDTH, side, samples_per_unit)


def draw_strokes(strokes: list[Points], width: float, side: int, samples_per_unit: float) -> NDArray[np.float32]:
    """Coverage 0…1 by round-ended strokes `width` units wide, on a centred square grid: [side, side].

    No stroke is drawn thinner than a quarter of a sample.
    """
    fine = np.zeros((side * SUPERSAMPLING,) * 2, np.uint8)
    scale = samples_per_unit * SUPERSAMPLING
    centre = (side * SUPERSAMPLING - 1) / 2
    polylines = [np.round((stroke * scale + centre) * 2**SUBPIXEL_BITS).astype(np.int32) for stroke in strokes]
    thickness = max(1, round(width * scale))
    cv2.polylines(fine, polylines, False, 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    return np.asarray(cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def _scale_marks() -> list[Points]:
    marks = []
    for index in range(MARK_COUNT):
        angle = 2 * np.pi * index / MARK_COUNT
        direction = np.array([np.cos(angle), np.sin(angle)])
        inner = MARK_INNER if index % MARKS_PER_LONG_ONE else LONG_MARK_INNER
        marks.append(np.stack([inner * direction, MARK_OUTER * direction]))
    return marks


def _name() -> list[Points]:
    """The strokes of the name, set upright along the lower arc of the face."""
    scale = CAPITAL_HEIGHT / GLYPH_HEIGHT
    strokes = []
    for index, letter in enumerate(NAME):
        offset = (index - (len(NAME) - 1) / 2) * GLYPH_PITCH
        for stroke in GLYPHS[letter]:
            right, up = np.array(stroke, np.float64).T
            angle = np.pi / 2 - (offset + right - GLYPH_WIDTH / 2) * scale / NAME_RADIUS
            radius = NAME_RADIUS - (up - GLYPH_HEIGHT / 2) * scale
            strokes.append(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))
    return strokes
