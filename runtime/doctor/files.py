"""What the kernel and the system say of themselves in small files."""

from pathlib import Path


def read_text(path: Path) -> str:
    """A file's text without the zero bytes of a device tree; empty where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""
