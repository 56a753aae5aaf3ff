"""What is varied, one thing at a time, and a detector of random weights for each through the real export."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from runtime.errors import InputError

AXES = ("side", "students", "scales", "batch")  # what a panel of the plot shows


@dataclass(frozen=True)
class Configuration:
    """One detector and how it is run."""

    side: int  # of the square frame, pixels
    students: int  # M
    patch_sizes: tuple[int, ...]  # one for each scale
    batch: int  # frames
    stride: int  # of the output
    width: float = 1.0  # share of the paper's channels

    @property
    def graph(self) -> "Configuration":
        """What the exported graph depends on: all but the batch."""
        return replace(self, batch=1)

    def words(self) -> str:
        """For people."""
        fields = " + ".join(f"p={patch_size}" for patch_size in self.patch_sizes)
        return f"{self.side}×{self.side}, M={self.students}, {fields}, batch {self.batch}"


@dataclass(frozen=True)
class Grid:
    """The values that each axis takes while the others keep their first one."""

    sides: tuple[int, ...] = (256, 512, 1024)
    students: tuple[int, ...] = (1, 3, 5)
    patch_sizes: tuple[int, ...] = (65, 33, 17)  # scales are added in this order
    batches: tuple[int, ...] = (1, 2, 4, 8)
    stride: int = 8
    width: float = 1.0

    def __post_init__(self) -> None:
        for name in ("sides", "students", "patch_sizes", "batches"):
            values: Sequence[int] = getattr(self, name)
            if not values or min(values) < 1 or len(set(values)) < len(values):
                raise InputError(f"--{name.replace('_', '-')} is {list(values)}; expected different numbers from 1 on")

    def configurations(self) -> dict[str, list[Configuration]]:
        """By axis, the base first in each."""
        base = Configuration(
            self.sides[0], self.students[0], self.patch_sizes[:1], self.batches[0], self.stride, self.width
        )
        return {
            "side": [replace(base, side=side) for side in self.sides],
            "students": [replace(base, students=students) for students in self.students],
            "scales": [replace(base, patch_sizes=self.patch_sizes[: n + 1]) for n in range(len(self.patch_sizes))],
            "batch": [replace(base, batch=batch) for batch in self.batches],
        }

    def all(self) -> list[Configuration]:
        """Each once, the base first."""
        return list(dict.fromkeys(c for axis in self.configurations().values() for c in axis))


def exported(configuration: Configuration) -> bytes:
    """The ONNX file of a detector with random weights, as ``python -m export.onnx`` would write its graph.

    Raises `InputError` for a patch size or stride that there is none of, or a frame too small for it.
    """
    import torch

    from benchmarks.throughput.untrained import Teacher, untrained, with_biases
    from train.dense import OUTPUT_STRIDES
    from train.networks import PatchNetwork
    from train.options import StudentsConfig

    side, stride = configuration.side, configuration.stride
    if stride not in OUTPUT_STRIDES:
        raise InputError(f"--stride is {stride}; expected one of {', '.join(map(str, OUTPUT_STRIDES))}")
    config = StudentsConfig(students=configuration.students, size_hw=(side, side), output_stride=stride)
    torch.manual_seed(0)
    networks = (with_biases(PatchNetwork(patch_size, configuration.width)) for patch_size in configuration.patch_sizes)
    return untrained(config, [Teacher(network, "0" * 64) for network in networks]).graph()
