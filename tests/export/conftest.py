"""Detectors that are quick to quantize: real graphs of networks with a dozen channels."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from train.data import Split

NarrowDetector = Callable[..., Path]
GraphOfFile = Callable[[Path], AbstractContextManager[None]]
MadeOnce = Callable[[str, Callable[[Path], object]], Path]
SIZE_HW = (48, 56)


@pytest.fixture(scope="session")
def graph_of_file() -> GraphOfFile:
    """Within it, export takes the graph of a file of the same run and options in place of tracing it again: for tests
    of what export says, refuses and writes."""
    from runtime.detector_file import read_detector
    from runtime.onnx_file import with_metadata

    @contextmanager
    def taken(file: Path) -> Iterator[None]:
        graph = with_metadata(read_detector(file)[0], {})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("export.detector.export_graph", lambda *given: graph)
            yield

    return taken


@pytest.fixture(scope="session")
def part_split(part_images: Path) -> "Split":
    """The rendered parts by use: 10 to train on, 3 for the statistics, 3 for the threshold."""
    from runtime.images import list_images
    from train.data import split_by_content

    return split_by_content(list_images(part_images), 0.375)


@pytest.fixture(scope="session")
def narrow_detector(part_split: "Split", made_once: MadeOnce) -> NarrowDetector:
    """A detector file of random narrow networks whose students almost imitate the teacher; one for each form."""
    import torch
    from runs import run_of

    from calibration.maps import Moments, Positions
    from export.detector import ExportOptions, recipe_of_run
    from export.fused import FusedDetector
    from export.graph import export_graph
    from runtime.onnx_file import with_metadata
    from runtime.scoring import Scoring
    from runtime.threshold import Threshold
    from train.dense import Form
    from train.ensemble import Scale, Standardized
    from train.networks import PatchNetwork

    def narrow(patch_size: int, channels: int, separable: bool = False) -> PatchNetwork:
        network = PatchNetwork(patch_size, separable=separable).eval().requires_grad_(False)
        widths = [3, *([channels] * (len(network.convs) - 1)), 16]
        for index, (c_in, c_out) in enumerate(pairwise(widths)):
            conv = network.conv(index)
            groups = c_in if conv.groups > 1 else 1
            narrower = torch.nn.Conv2d(c_in, c_out, conv.kernel_size[0], groups=groups)  # type: ignore[arg-type]
            network.convs[index] = narrower.requires_grad_(False)
        network._initialize()
        for index in range(len(network.convs)):  # some channels are never positive, as in trained networks
            bias = network.conv(index).bias
            assert bias is not None
            bias.copy_(torch.linspace(-3, 1, len(bias)))
        no_bias = network.conv(1).bias
        assert no_bias is not None
        no_bias.zero_()  # the exporter leaves such a bias out
        return network

    def make(**options: Any) -> Path:
        name = "-".join(["narrow", *(f"{name}={value}" for name, value in sorted(options.items()))])
        return made_once(name, lambda folder: write(folder / "detector.onnx", **options)) / "detector.onnx"

    def write(
        path: Path,
        patch_size: int = 33,
        stride: int = 4,
        form: str = "bailer",
        students: int = 1,
        channels: int = 12,
        smoothing: float = 0.0,
        by_position: bool = False,
        separable: bool = False,
    ) -> None:
        torch.manual_seed(patch_size + students)
        teacher, pupils = narrow(patch_size, channels), []
        for _ in range(students):
            student = narrow(patch_size, channels, separable)
            if not separable:
                for mine, other in zip(student.parameters(), teacher.parameters(), strict=True):
                    mine.copy_(other * (1 + 0.1 * torch.randn_like(other)))
            pupils.append(student)
        scale = Scale(patch_size, Standardized(teacher, torch.zeros(16), torch.ones(16)), "0" * 64, tuple(pupils))
        moments = [Moments(1.0, 0.5), Moments(0.5, 0.2)][: 1 if students == 1 else 2]
        dense: Form = "atrous" if form == "atrous" else "bailer"
        positions = Positions(torch.randn(SIZE_HW), 0.5 + torch.rand(SIZE_HW)) if by_position else None
        scoring = Scoring(smoothing=smoothing, by_position=by_position)
        run = run_of([scale], moments, SIZE_HW, stride, scoring, positions, split=part_split)
        graph = export_graph(FusedDetector(run, form=dense), SIZE_HW)
        recipe = replace(
            recipe_of_run(run, graph, form, ExportOptions(), b"no frames"),
            threshold=Threshold(5.0, 0.2, 0.95, 3, "gumbel", False, 0.63),
            largest_activation=1.0,
        )
        path.write_bytes(with_metadata(graph, recipe.metadata))

    return make


@pytest.fixture(scope="session")
def fp32_file(narrow_detector: NarrowDetector) -> Path:
    """A detector to quantize: p = 33, stride 4, one student."""
    return narrow_detector()


@pytest.fixture(scope="session")
def int8_file(fp32_file: Path, part_split: "Split", made_once: MadeOnce) -> Path:
    """The same in INT8, with its frames beside it."""
    from export.int8_detector import Options, quantize

    options = Options(margin=0.05, threads=1, allow_slower=True)  # too small to gain speed

    def fill(folder: Path) -> None:
        quantize(fp32_file, part_split, folder / "detector.int8.onnx", options)

    return made_once("int8", fill) / "detector.int8.onnx"
