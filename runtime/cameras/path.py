"""What a path names: a folder of images, an image, or a video file, told apart by content."""

import re
from pathlib import Path

from runtime.cameras import KNOWN
from runtime.cameras.base import Source
from runtime.cameras.capture import without_password
from runtime.cameras.folder import FolderSource
from runtime.errors import SourceError
from runtime.images import is_picture


def open_path(uri: str, max_pixels: int | None = None) -> Source:
    """A folder, image or video file. Raises `SourceError` where there is none, or it cannot be read."""
    path, shown = Path(uri), without_password(uri)
    try:
        if path.is_dir() or is_picture(path):
            return FolderSource(path, max_pixels)
        if path.is_file():
            from runtime.cameras.video import VideoFileSource  # FFmpeg takes time to load

            return VideoFileSource(path)
    except OSError as error:
        reason = f"camera {shown!r} cannot be read: {error.strerror}; check the path and who may read it"
        raise SourceError(reason) from error
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", uri):
        raise SourceError(f"camera {shown!r} has a scheme that is not known; expected {KNOWN}")
    raise SourceError(f"camera {shown!r} is no file or folder; expected {KNOWN}")
