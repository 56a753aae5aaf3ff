"""Pictures for a browser: what the camera saw as JPEG, and its heat map as PNG that lies over it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.overlay import coloured, scale_limits

QUALITY, COMPRESSION = 85, 1  # of JPEG; of PNG, 1 is the fastest


def as_jpeg(image: NDArray[np.uint8]) -> bytes:
    """Pixels [H, W, 3], BGR."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def heat_png(values: NDArray[np.float32], threshold: float) -> bytes:
    """Map values [H, W] in the colours of overlays, more opaque the higher, with a white line at the threshold."""
    low, high = scale_limits(threshold)
    opaque = np.clip((values - low) / (high - low) * 2 - 0.5, 0, 1)  # clear below a quarter of the scale
    picture = np.dstack([coloured(values, threshold), np.rint(255 * opaque).astype(np.uint8)])
    outlines, _ = cv2.findContours((values > threshold).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(picture, outlines, -1, (255, 255, 255, 255), 1)
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])[1].tobytes()
