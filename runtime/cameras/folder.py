"""Image files as a source."""

from pathlib import Path

from runtime.cameras.base import FreeRun
from runtime.errors import ImageError, InputError, SourceError
from runtime.frames import Frame, missing_frame
from runtime.images import list_images, read_image
from runtime.printable import printable


class FolderSource(FreeRun):
    """The image files of a folder in the order of their names, or one image file.

    A file that cannot be read, or has more than `max_pixels` (None: `pixel_limit.max_pixels`), is a frame with a
    `problem` that names it, as `printable`. `read` waits for the disk and never times out.
    """

    live, drops, lost, reconnects = False, 0, 0, 0

    def __init__(self, path: Path, max_pixels: int | None = None) -> None:
        """Raises `SourceError` when `path` is a folder without images, `OSError` when it cannot be read."""
        try:
            self._paths = list_images(path) if path.is_dir() else [path]
        except InputError as error:
            raise SourceError(str(error)) from error
        self._next, self._max_pixels = 0, max_pixels

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`."""
        if self._next >= len(self._paths):
            return None
        path, frame_id = self._paths[self._next], self._next
        self._next += 1
        try:
            return Frame(read_image(path, self._max_pixels), frame_id, name=path.name)
        except ImageError as error:
            return missing_frame(frame_id, printable(str(error)), name=path.name)

    def close(self) -> None:
        """See `Source.close`."""
        self._next = len(self._paths)
