"""Statistics too large for JSON: tensors in a file of their own, which the JSON names by its hash."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from runtime.atomic import write_atomically
from runtime.errors import InputError


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write them; returns the file's SHA-256."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def load_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read them. Raises `InputError` for a file that is missing or not the one of that hash."""
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(f"{path.name} is not the one that was written with it")
        return dict(load(content))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path.name} is missing or damaged") from error
