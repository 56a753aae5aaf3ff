"""The functions that runtime/DETECTOR.md gives to whoever runs a detector without Proctor."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

PAGE = Path(__file__).parents[2] / "runtime" / "DETECTOR.md"


def page_function(name: str) -> Callable[..., Any]:
    """The page's own function of that name."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if f"def {name}(" in block)
    found: dict[str, Any] = {"np": np, "cv2": cv2}
    exec(block, found)
    function: Callable[..., Any] = found[name]
    return function
