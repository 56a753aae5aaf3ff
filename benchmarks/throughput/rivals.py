"""Other detectors as ONNX files, to be timed beside ours: EfficientAD, STFPM, PaDiM and PatchCore of anomalib 2.

::

    python -m benchmarks.throughput.rivals --out FOLDER [--only efficientad-s …] [--size 256,256] [--memory 20480]
    python -m benchmarks.throughput detector.onnx --onnx FOLDER/*.onnx

Weights are random, since speed does not depend on them: nothing is downloaded, and the files detect nothing. They are
written by anomalib's own export: float32 RGB in [0, 1] in, anomaly map and score out, opset 18, with ImageNet's
normalization in the graph; without anomalib's resizing, thresholds, labels and masks, which ours has outside as well.
Backbones are anomalib's defaults. PaDiM holds a Gaussian of 100 dimensions for each of its positions. PatchCore's
memory is a number of vectors: 20,480 by default, its 10 % coreset of 200 images of 256×256; its export takes one frame
a batch, since it searches the memory in pieces whose number depends on the batch.

anomalib brings a good deal along: give it an environment of its own, with ``pip install 'proctor[rivals]'``.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime import cli
from runtime.atomic import write_atomically
from runtime.errors import InputError

OPSET = 18
MEMORY = 20_480  # vectors: 10 % of 200 images of 32×32 positions
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SizeHw = tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.throughput.rivals"), description="Export anomalib's detectors."
    )
    parser.add_argument(
        "--out", type=cli.some_path, required=True, metavar="FOLDER", help="where NAME.onnx are written"
    )
    parser.add_argument("--only", nargs="+", choices=tuple(RIVALS), default=tuple(RIVALS), help="default: all")
    parser.add_argument("--size", type=size_hw, default=(256, 256), metavar="H,W", help="of the frame (256,256)")
    parser.add_argument(
        "--memory", type=cli.positive, default=MEMORY, metavar="N", help=f"vectors of PatchCore's memory ({MEMORY})"
    )
    arguments = parser.parse_args()
    for path in export_rivals(arguments.out, arguments.only, arguments.size, arguments.memory):
        print(f"{path} written, {path.stat().st_size / 1e6:.1f} MB")


def size_hw(text: str) -> SizeHw:
    """An argument type: ``H,W`` in pixels."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected height,width such as 256,256")
    return int(parts[0]), int(parts[1])


def export_rivals(folder: Path, names: Sequence[str], size: SizeHw, memory: int = MEMORY) -> Iterator[Path]:
    """Write ``NAME.onnx`` of each rival and yield its path. Raises `InputError` for a name that is none."""
    unknown = [name for name in names if name not in RIVALS]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no rival; expected some of {', '.join(RIVALS)}")

    import torch

    for name in names:
        torch.manual_seed(0)
        with warnings.catch_warnings(), untrained_backbones():
            warnings.simplefilter("ignore")  # anomalib's and its dependencies' notes to their own authors
            model = RIVALS[name](size, memory).eval()
            yield _exported(model, name, folder, size)


def _exported(model: Any, name: str, folder: Path, size: SizeHw) -> Path:
    """anomalib's export with any number of frames a batch or, where the model fixes their number, with one."""
    import torch

    any_number = {"batch": {0: torch.export.Dim("frames_count", min=1, max=64)}}
    settings = {"opset_version": OPSET, "external_data": False, "verbose": False}
    with tempfile.TemporaryDirectory() as temporary:
        path = model.to_onnx(temporary, name, size, dynamic_shapes=any_number, **settings)
        if not takes_any_number(path.read_bytes()):  # the exporter fixes what it finds fixed, without a word
            print(f"{name} takes a fixed number of frames a batch; exported for one")
            path = model.to_onnx(temporary, name, size, dynamic_shapes=None, dynamic_axes=None, **settings)
        write_atomically(folder / f"{name}.onnx", path.read_bytes())
    return folder / f"{name}.onnx"


def takes_any_number(model: bytes) -> bool:
    """Whether the first length of a model's input is open."""
    import onnx

    shape = onnx.load_model_from_string(model).graph.input[0].type.tensor_type.shape
    return not shape.dim[0].HasField("dim_value")


@contextmanager
def untrained_backbones() -> Iterator[None]:
    """Within it, timm makes networks with random weights whatever is asked for: STFPM has no option to say so."""
    import timm

    original = timm.create_model

    def untrained(*arguments: Any, **options: Any) -> Any:
        return original(*arguments, **{**options, "pretrained": False})

    timm.create_model = untrained
    try:
        yield
    finally:
        timm.create_model = original


def _efficientad(size: str) -> Callable[[SizeHw, int], Any]:
    def make(_: SizeHw, __: int) -> Any:
        import torch
        from anomalib.models import EfficientAd
        from anomalib.models.image.efficient_ad.torch_model import EfficientAdModelSize

        # it normalizes by itself
        made = EfficientAd(model_size=EfficientAdModelSize(size), pre_processor=False, post_processor=False)
        with torch.no_grad():  # as after training: statistics that are zero would be taken for missing
            made.model.mean_std["std"].fill_(1.0)
            for name in ("qb_st", "qb_ae"):
                made.model.quantiles[name].fill_(1.0)
        return made

    return make


def _stfpm(_: SizeHw, __: int) -> Any:
    from anomalib.models import Stfpm

    return Stfpm(pre_processor=_normalization(), post_processor=False)


def _padim(size: SizeHw, _: int) -> Any:
    import torch
    from anomalib.models import Padim

    made = Padim(pre_trained=False, pre_processor=_normalization(), post_processor=False)
    with torch.no_grad():
        features = made.model.feature_extractor(torch.zeros(1, 3, *size))
    height, width = features[made.model.layers[0]].shape[2:]
    channels, positions = made.model.n_features, height * width
    made.model.gaussian.mean = torch.randn(channels, positions) * 0.01
    made.model.gaussian.inv_covariance = torch.eye(channels).repeat(positions, 1, 1)
    return made


def _patchcore(_: SizeHw, memory: int) -> Any:
    import torch
    from anomalib.models import Patchcore

    made = Patchcore(pre_trained=False, pre_processor=_normalization(), post_processor=False)
    made.model.memory_bank = torch.rand(memory, sum(made.model.feature_extractor.out_dims))
    return made


def _normalization() -> Any:
    from anomalib.pre_processing import PreProcessor
    from torchvision.transforms.v2 import Normalize

    return PreProcessor(transform=Normalize(*IMAGENET))


RIVALS: dict[str, Callable[[SizeHw, int], Any]] = {
    "efficientad-s": _efficientad("small"),
    "efficientad-m": _efficientad("medium"),
    "stfpm": _stfpm,
    "padim": _padim,
    "patchcore": _patchcore,
}


if __name__ == "__main__":
    cli.run(main)
