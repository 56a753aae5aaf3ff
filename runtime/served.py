"""What a server that runs a detector and whoever asks it agree on. Below every engine; needs no library.

A served graph is the detector's own with one output more: the SHA-256 of its recipe, as a constant. So each answer
says which detector computed it, and its scores never meet the threshold of another file, whatever was exchanged on the
server meanwhile. The recipe itself stands in the server's configuration of the model, beside its hash.
"""

import numpy as np
from numpy.typing import NDArray

from runtime.recipe import Recipe

INPUT = "frames"
IDENTITY = "recipe_sha256"  # an output, float32 [n, 32]: a byte of the hash each
IDENTITY_SIZE = 32
MOST_FRAMES = 64  # in a batch: the exported graph takes no more


def identity_of(recipe: Recipe) -> NDArray[np.float32]:
    """The bytes of the recipe's hash as float32 [32]: the type of all other outputs, in which each byte is exact."""
    return np.frombuffer(bytes.fromhex(recipe.sha256), np.uint8).astype(np.float32)


def sha256_of(identity: NDArray[np.float32]) -> str:
    """The hash, in hexadecimal digits, that float32 [32] stand for; "?" for what is no bytes."""
    whole = np.isfinite(identity) & (identity >= 0) & (identity <= 255)
    return identity.astype(np.uint8).tobytes().hex() if whole.all() else "?"


def served_outputs(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """The outputs of a served graph by name, each with its shape behind the number of frames."""
    return recipe.outputs | {IDENTITY: (IDENTITY_SIZE,)}
