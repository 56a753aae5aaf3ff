"""State dicts of other projects' networks, read without running any code in them."""

import pickle
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from runtime.errors import InputError


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
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} is a pickle that could run code; refused. Convert it to safetensors") from error
    except (SafetensorError, RuntimeError, ValueError, TypeError, EOFError, OSError) as error:
        raise InputError(f"{path} is neither safetensors nor a plain PyTorch state dict") from error
