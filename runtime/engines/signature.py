"""What a graph takes and gives: whether it is that of its recipe, before it runs and with each batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.bounds import shown
from runtime.engines.base import Output
from runtime.errors import DetectorError, EngineError
from runtime.onnx_file import COPY_AGAIN
from runtime.recipe import Recipe
from runtime.served import INPUT

LONGEST = 400  # characters of a list of tensors; names and numbers come from a file


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph."""

    name: str
    dtype: str  # NumPy's word, such as uint8; the library's where NumPy has none
    shape: tuple[int | None, ...]  # the number of frames first; None where the graph leaves a length open

    def __str__(self) -> str:
        behind = [str(length or "?") for length in self.shape[1:]]
        return f"{self.name} {self.dtype} [{', '.join(['N', *behind] if self.shape else [])}]"

    def is_like(self, other: "Tensor") -> bool:
        """Whether this may be the tensor that a recipe has: what a graph leaves open, each batch shows."""
        if (self.name, self.dtype, len(self.shape)) != (other.name, other.dtype, len(other.shape)):
            return False
        return all(one in (None, another) for one, another in zip(self.shape[1:], other.shape[1:], strict=True))


def outputs_of(recipe: Recipe) -> list[Tensor]:
    """The outputs that a graph of `recipe` has."""
    return [Tensor(name, "float32", (None, *shape)) for name, shape in recipe.outputs.items()]


def check_graph(inputs: Sequence[Tensor], outputs: Sequence[Tensor], recipe: Recipe) -> None:
    """Raise `DetectorError` unless a graph has the input and the outputs of `recipe`: names, types and shapes."""
    takes = [Tensor(INPUT, "uint8", (None, *recipe.size_hw, 3))]
    if not _are_alike(inputs, takes):
        raise DetectorError(f"the graph takes {_words(inputs)}, its recipe expects {_words(takes)}; {COPY_AGAIN}")
    gives = outputs_of(recipe)
    if not _are_alike(outputs, gives):
        raise DetectorError(
            f"the graph has the outputs {_words(outputs)}, its recipe says {_words(gives)}; {COPY_AGAIN}"
        )


def output_of(values: Mapping[str, NDArray[np.float32]], frames: int, recipe: Recipe) -> Output:
    """The output of a batch from its arrays by name. Raises `EngineError` for other shapes than those of `recipe`."""
    for name, shape in recipe.outputs.items():
        found, expected = values[name].shape, (frames, *shape)
        if found != expected:
            raise EngineError(
                f"the graph gives {name} as {list(found)}, its recipe says {list(expected)}; {COPY_AGAIN}"
            )
    return Output(**values)


def _are_alike(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    pairs = zip(sorted(found, key=_name), sorted(expected, key=_name), strict=False)
    return len(found) == len(expected) and all(one.is_like(other) for one, other in pairs)


def _name(tensor: Tensor) -> str:
    return tensor.name


def _words(tensors: Sequence[Tensor]) -> str:
    return shown(", ".join(map(str, tensors)), LONGEST)
