"""Overlays: what the camera saw beside what the detector made of it, as one picture for a person."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.frames import Frame
from runtime.interest import Inspected
from runtime.printable import printable
from runtime.verdict import Decision, Region, Verdict

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

PANEL_SIDE = 512  # the frame's longer side on the overlay, pixels
NARROWEST = 720  # below, the banner's text does not fit
BANNER, GAP, LEGEND = 64, 8, 96  # height, space, width; pixels
BORDER = 5  # pixels
REASON_SCALES = (0.55, 0.45)  # of the banner's text: the first at which it fits
HEAT_SHARE = 0.75  # of the heat map over the grey frame
HEAT_COLOURS = cv2.COLORMAP_INFERNO  # brightness alone tells its values apart, so colour-blind eyes read it too
FONT = cv2.FONT_HERSHEY_SIMPLEX
BACKGROUND, INK, DIM = (28, 28, 28), (240, 240, 240), (150, 150, 150)
BOX_COLOUR = (233, 180, 86)  # sky blue
INTEREST_COLOUR = (66, 228, 240)  # yellow
OUTSIDE = 0.45  # of the brightness, where nothing is inspected
# Okabe and Ito's colours, told apart by colour-blind eyes: bluish green, vermillion, orange; BGR
DECISION_COLOURS = {Decision.OK: (115, 158, 0), Decision.NG: (0, 94, 213), Decision.NO_DECISION: (0, 159, 230)}


def draw_overlay(frame: Frame, verdict: Verdict) -> Image:
    """Frame and heat map side by side under a banner with the verdict: uint8 [h, w, 3], BGR.

    The colour scale is anchored at the verdict's threshold, which lies in its middle, so that a colour means the same
    on every picture of one detector. Where the map is above the threshold it has an outline: white, and dim around what
    is too small to count. Boxes are the regions that count, with their area where the detector knows the scale. A part
    that the whole frame rejects has a frame around both, in the colour of its decision. Regions of interest have a
    yellow outline, with their names where they have any; what lies outside them is dark on the map.
    """
    left = _fitted(frame.image) if frame.image.size else np.zeros((PANEL_SIDE // 2, PANEL_SIDE, 3), np.uint8)
    inspected = inspected_in_picture(verdict)
    right = _heat_panel(left, verdict, inspected)
    if frame.image.size == 0:
        _draw_centred(left, "no picture")
    else:
        scale = left.shape[0] / frame.image.shape[0], left.shape[1] / frame.image.shape[1]
        if inspected is not None:
            _draw_interest(left, right, inspected)
        for panel in (left, right):
            _draw_boxes(panel, verdict.regions, scale)
        _draw_areas(left, verdict.regions, scale)
        if verdict.rejected_by_frame:
            for panel in (left, right):
                _draw_border(panel)
    height = left.shape[0]
    gap = np.full((height, GAP, 3), BACKGROUND, np.uint8)
    panels = np.hstack([left, gap, right, _legend(height, verdict)])
    missing = max(0, NARROWEST - panels.shape[1])
    panels = cv2.copyMakeBorder(panels, GAP, GAP, GAP, GAP + missing, cv2.BORDER_CONSTANT, value=BACKGROUND)
    return np.asarray(np.vstack([_banner(panels.shape[1], frame, verdict), panels]), np.uint8)


def scale_limits(threshold: float) -> tuple[float, float]:
    """The map values at both ends of the colour scale: 0 and twice the threshold, for a threshold above zero."""
    reach = abs(threshold) or 1.0
    return threshold - reach, threshold + reach


def _fitted(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = PANEL_SIDE / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size_wh, interpolation=interpolation), np.uint8)


def inspected_in_picture(verdict: Verdict) -> Inspected | None:
    """What is inspected, over the picture as it came; None for all of it, and where nobody knows: of an aligned frame
    in which the part was not found."""
    inspected, placed = verdict.inspected, verdict.placed
    if inspected is None or not verdict.aligned:
        return inspected
    if placed is None:
        return None
    masks = None if inspected.masks is None else np.stack([placed.mask_in_picture(each) for each in inspected.masks])
    return replace(inspected, mask=placed.mask_in_picture(inspected.mask), masks=masks)


def _heat_panel(left: Image, verdict: Verdict, inspected: Inspected | None) -> Image:
    grey = cv2.cvtColor(cv2.cvtColor(left, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if verdict.scored_map is None:
        panel = (grey * 0.35).astype(np.uint8)
        _draw_centred(panel, "not scored")
        return panel
    resized = cv2.resize(verdict.scored_map, left.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    values = np.asarray(resized, np.float32)
    heat = cv2.addWeighted(coloured(values, verdict.threshold), HEAT_SHARE, grey, 1 - HEAT_SHARE, 0)
    above, above_in_map = values > verdict.threshold, verdict.scored_map > verdict.threshold
    if inspected is not None:
        inside = _enlarged(inspected.mask, values.shape)
        heat[~inside] = (heat[~inside] * OUTSIDE).astype(np.uint8)
        above, above_in_map = above & inside, above_in_map & inspected.mask
    ignored = _too_small(above, above_in_map, verdict.ignored)
    for where, colour in ((above & ignored, DIM), (above & ~ignored, INK)):
        outlines, _ = cv2.findContours(where.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(heat, outlines, -1, colour, 1, cv2.LINE_AA)
    return np.asarray(heat, np.uint8)


def _too_small(
    above: NDArray[np.bool_], above_in_map: NDArray[np.bool_], ignored: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Of what is `above` on a panel [h, w], the parts that hold regions of the map [H, W] which are ignored, and no
    other."""
    if ignored is None:
        return np.zeros(above.shape, np.bool_)
    _, labels = cv2.connectedComponents(above.astype(np.uint8), connectivity=8)
    small, others = (labels[_enlarged(where, above.shape)] for where in (ignored, above_in_map & ~ignored))
    return np.isin(labels, np.setdiff1d(small, others))


def _enlarged(where: NDArray[np.bool_], shape_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels [H, W] of the prepared frame as those of a panel."""
    resized = cv2.resize(where.astype(np.uint8), (shape_hw[1], shape_hw[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized > 0)


def _draw_interest(left: Image, right: Image, inspected: Inspected) -> None:
    """The outlines of regions of interest on both panels, and their names on the left one."""
    masks = inspected.mask[None] if inspected.masks is None else inspected.masks
    for index, mask in enumerate(masks):
        where = _enlarged(mask, left.shape).astype(np.uint8)
        outlines, _ = cv2.findContours(where, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        for panel in (left, right):
            cv2.drawContours(panel, outlines, -1, INTEREST_COLOUR, 1)
        if inspected.names and len(outlines):
            x, y, _, _ = cv2.boundingRect(max(outlines, key=cv2.contourArea))
            text = shortened(inspected.names[index], left.shape[1] - x - 8, 0.45)
            draw_text(left, text, (x + 4, y + 16), 0.45, BACKGROUND, 3)  # readable on any picture
            draw_text(left, text, (x + 4, y + 16), 0.45, INTEREST_COLOUR)


def coloured(values: NDArray[np.float32 | np.float64], threshold: float) -> Image:
    """Map values [H, W] in the colours of the overlay, between `scale_limits`: uint8 [H, W, 3], BGR."""
    low, high = scale_limits(threshold)
    shares = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(cv2.applyColorMap(np.rint(shares * 255).astype(np.uint8), HEAT_COLOURS), np.uint8)


def _draw_boxes(panel: Image, regions: tuple[Region, ...], scale_yx: tuple[float, float]) -> None:
    scale_y, scale_x = scale_yx
    for region in regions:
        left, top, width, height = region.box_xywh
        corner = round(left * scale_x) - 2, round(top * scale_y) - 2
        opposite = round((left + width) * scale_x) + 2, round((top + height) * scale_y) + 2
        cv2.rectangle(panel, corner, opposite, BOX_COLOUR, 2, cv2.LINE_AA)


def _draw_border(panel: Image) -> None:
    """A border for what rejects the part and has no place on it."""
    for edge in (panel[:BORDER], panel[-BORDER:], panel[:, :BORDER], panel[:, -BORDER:]):
        edge[:] = DECISION_COLOURS[Decision.NG]


def _draw_areas(panel: Image, regions: tuple[Region, ...], scale_yx: tuple[float, float]) -> None:
    """The area of each region below its box, or above where the panel ends; nothing where the scale is not known."""
    for region in regions:
        if region.area_mm2 is None:
            continue
        text = f"{region.area_mm2:.3g} mm²"
        left, top, _, height = region.box_xywh
        x = max(2, min(round(left * scale_yx[1]) - 2, panel.shape[1] - _text_width(text, 0.45, 1) - 2))
        below = round((top + height) * scale_yx[0]) + 18
        y = below if below < panel.shape[0] else round(top * scale_yx[0]) - 8
        draw_text(panel, text, (x, y), 0.45, BACKGROUND, 3)  # readable on any picture
        draw_text(panel, text, (x, y), 0.45, BOX_COLOUR)


def _legend(height: int, verdict: Verdict) -> Image:
    """The colour scale, with its ends and the threshold marked, and what a dim outline means where there is one."""
    threshold = verdict.threshold
    legend = np.full((height, LEGEND, 3), BACKGROUND, np.uint8)
    low, high = scale_limits(threshold)
    top, bottom = 10, height - 10
    if bottom - top < 40:  # no room to read it beside a very flat frame
        return legend
    values = np.linspace(high, low, bottom - top)[:, None]
    legend[top:bottom, 10:26] = coloured(values, threshold)
    for value, y in ((high, top + 6), (threshold, (top + bottom) // 2), (low, bottom)):
        draw_text(legend, f"{value:.3g}", (38, y + 4), 0.42, INK if value == threshold else DIM)
    middle = (top + bottom) // 2
    cv2.line(legend, (6, middle), (33, middle), INK, 2)
    draw_text(legend, "limit", (38, middle + 20), 0.38, DIM)
    if verdict.ignored is not None and middle + 62 < bottom - 16:
        cv2.rectangle(legend, (36, middle + 42), (46, middle + 50), DIM, 1)
        draw_text(legend, "too", (52, middle + 46), 0.34, DIM)
        draw_text(legend, "small", (52, middle + 58), 0.34, DIM)
    if verdict.rejected_by_frame and middle - 28 > top + 16:
        cv2.rectangle(legend, (36, middle - 34), (46, middle - 26), DECISION_COLOURS[Decision.NG], 2)
        draw_text(legend, "whole", (52, middle - 32), 0.34, DIM)
        draw_text(legend, "frame", (52, middle - 20), 0.34, DIM)
    return legend


def _banner(width: int, frame: Frame, verdict: Verdict) -> Image:
    banner = np.full((BANNER, width, 3), BACKGROUND, np.uint8)
    word = verdict.decision.value.replace("_", " ")
    block = GAP + _text_width(word, 0.9, 2) + 24
    banner[:, :block] = DECISION_COLOURS[verdict.decision]
    draw_text(banner, word, (GAP + 10, 42), 0.9, (255, 255, 255), 2)
    count = len(verdict.regions)
    found = f", {count} region{'s' if count > 1 else ''}" if count else ""
    text, room = verdict.reason + found, width - block - 24
    scale = next((scale for scale in REASON_SCALES if _text_width(text, scale, 1) <= room), REASON_SCALES[-1])
    draw_text(banner, shortened(text, room, scale), (block + 14, 27), scale, INK)
    scores = ", ".join(f"{name} {score:.2f}" for name, score in verdict.evidence_scores.items())
    identity = "  ".join(filter(None, (scores, f"frame {frame.frame_id}", frame.name)))
    draw_text(banner, shortened(identity, room, 0.45), (block + 14, 50), 0.45, DIM)
    return banner


def _draw_centred(panel: Image, text: str) -> None:
    x = (panel.shape[1] - _text_width(text, 0.8, 1)) // 2
    draw_text(panel, text, (max(0, x), panel.shape[0] // 2 + 8), 0.8, INK)


def draw_text(
    image: Image, text: str, origin_xy: tuple[int, int], scale: float, colour: Colour, weight: int = 1
) -> None:
    """Draw one line of text, its lower left corner at `origin_xy`; what the font lacks becomes a question mark."""
    cv2.putText(image, _plain(text), origin_xy, FONT, scale, colour, weight, cv2.LINE_AA)


def shortened(text: str, width: int, scale: float) -> str:
    """The text, cut short to `width` pixels at this scale, with dots for what was cut."""
    while len(text) > 3 and _text_width(text, scale, 1) > width:
        text = text[:-4] + "..."
    return text


def _text_width(text: str, scale: float, weight: int) -> int:
    return int(cv2.getTextSize(_plain(text), FONT, scale, weight)[0][0])


def _plain(text: str) -> str:
    """Hershey fonts have ASCII alone."""
    return printable(text).replace("×", "x").replace("²", "2").encode("ascii", "replace").decode()
