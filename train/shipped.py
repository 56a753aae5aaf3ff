"""Networks that come with the install: files beside the code, each known by a name."""

from dataclasses import dataclass
from pathlib import Path

from runtime.errors import InputError


@dataclass(frozen=True)
class Shipped:
    """The files ``<prefix><name>.safetensors`` of a folder."""

    kind: str  # what they are, in a word
    folder: Path
    prefix: str
    advice: str  # what to do for another one

    @property
    def names(self) -> list[str]:
        """Of all that come with the install."""
        files = self.folder.glob(f"{self.prefix}*.safetensors")
        return sorted(path.stem.removeprefix(self.prefix) for path in files)

    def path(self, name: str) -> Path:
        """The file of a network: a shipped one by name, or any file. Raises `InputError` for neither."""
        shipped = self.folder / f"{self.prefix}{name}.safetensors"
        if shipped.is_file():
            return shipped
        if Path(name).is_file():
            return Path(name)
        names = ", ".join(self.names)
        raise InputError(f"{self.kind} {name!r} is neither a shipped one ({names}) nor a file; {self.advice}")
