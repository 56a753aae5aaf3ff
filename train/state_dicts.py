"""State dicts of other projects' networks, read without running any code in them."""

import pickle
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from runtime.errors import InputError

# how pickles of the protocols above 2 begin: PyTorch writes none of them, and reads none without running it
FOREIGN_PICKLES = (b"\x80\x03", b"\x80\x04", b"\x80\x05")


def read_state(path: Path, wanted: str) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file, or of a ``.pth`` state dict, which may hold other things beside them.

    `wanted` says what the file should be: "the weights of torchvision's ResNet-18". Raises `InputError` for a file that
    is missing, holds no state dict, or could run code.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file; give {wanted}")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch wonders aloud about foreign pickles before it refuses them
            return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # on damaged files PyTorch's reader raises whatever it stumbles over
        if isinstance(error, pickle.UnpicklingError) and _could_run_code(path, str(error)):
            raise InputError(f"{path} is a pickle that could run code; refused. Convert it to safetensors") from error
        raise InputError(
            f"{path} is neither safetensors nor a plain PyTorch state dict, or it is damaged; give {wanted}"
        ) from error


def _could_run_code(path: Path, refusal: str) -> bool:
    """Whether a file that PyTorch refused is a pickle that names functions: a text is none, whatever its letters mean
    as one."""
    with path.open("rb") as file:
        start = file.read(2)
    if start in FOREIGN_PICKLES:
        return True
    return start in (b"\x80\x02", b"PK") and "GLOBAL " in refusal
