"""``python -m export.onnx``: a calibrated run folder becomes one self-contained ``detector.onnx``."""

import argparse
import hashlib
import io
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime import cli
from runtime.errors import ParityError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from calibration.model import TrainedRun
    from calibration.statistics import Statistics
    from export.forms import Exported
    from export.parity import Parity
    from runtime.engines import Engine
    from runtime.recipe import Recipe
    from train.data import Split

PARITY_FRAMES = 16


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.onnx", description=__doc__)
    parser.add_argument("run", type=cli.some_path, help="run folder, after python -m calibration.fit")
    parser.add_argument(
        "--out", type=cli.some_path, default=Path("detector.onnx"), help="file to write (detector.onnx)"
    )
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32", help="of the convolutions (fp32)")
    forms = ("bailer", "atrous", "auto")
    form_help = "of dense extraction; auto: the faster on this machine's CPU, measured once for a run folder (bailer)"
    parser.add_argument("--form", choices=forms, default="bailer", help=form_help)
    parser.add_argument("--weights", choices=("fp32", "fp16"), default="fp32", help="as stored in the file (fp32)")
    parser.add_argument("--explain", action="store_true", help="also output error and variance of each scale")
    arguments = parser.parse_args()
    parity = export(
        arguments.run, arguments.out, arguments.precision, arguments.form, arguments.weights, arguments.explain
    )
    print(parity.describe())
    print(f"{arguments.out} written, {arguments.out.stat().st_size / 1e6:.1f} MB")


def export(
    run: Path,
    out: Path,
    precision: str = "fp32",
    form: str = "bailer",
    weights: str = "fp32",
    explain: bool = False,
) -> "Parity":
    """Export a run folder to `out`, and the frames it was checked on to ``<out stem>.parity.npz`` beside it.

    The threshold is fitted again on the exported file's own scores of the held-out images. With the form ``auto`` the
    faster one is kept (see `export.forms`). Raises `ParityError`, and writes nothing, when the file disagrees with the
    formulas; `InputError` while another process writes `out` or, for ``auto``, works in the run folder.
    """
    from export.destination import check_destination
    from train.lock import only_one_writes
    from train.run_folder import RunFolder

    check_destination(out)
    remembers = form == "auto" and run.is_dir()  # in the run folder
    with only_one_writes(out), RunFolder(run).only_one() if remembers else nullcontext():
        return _export(run, out, precision, form, weights, explain)


def _export(run: Path, out: Path, precision: str, form: str, weights: str, explain: bool) -> "Parity":
    from calibration.model import load_run
    from calibration.statistics import Statistics
    from export.destination import threshold_by_hand
    from export.forms import Exported, faster_form
    from runtime.atomic import write_atomically
    from runtime.onnx_file import with_metadata

    statistics = Statistics.load(run / "statistics.json")
    trained = load_run(run, "cpu")
    frames = parity_frames(trained.split, trained.config.size_hw)
    frames_file = frames_npz(frames)

    def made(which: str) -> Exported:
        return _made(trained, statistics, which, precision, weights, explain, frames, frames_file)

    done = faster_form(trained, precision, weights, explain, made, frames) if form == "auto" else made(form)
    if (by_hand := threshold_by_hand(out)) is not None:
        print(f"{out} had a threshold set by hand, {by_hand:.6g}; the one fitted now replaces it")
    # the frames first: whoever finds a new detector finds its frames beside it
    write_atomically(out.with_suffix(".parity.npz"), frames_file)
    write_atomically(out, with_metadata(done.graph, done.recipe.metadata))
    return done.parity


def _made(
    trained: "TrainedRun",
    statistics: "Statistics",
    form: str,
    precision: str,
    weights: str,
    explain: bool,
    frames: "NDArray[np.uint8]",
    frames_file: bytes,
) -> "Exported":
    """The graph in one form, through the parity gate. Raises `ParityError`."""
    from export.forms import Exported
    from export.fused import fused_of_run
    from export.graph import export_graph, with_halved_weights
    from export.parity import compare
    from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine
    from runtime.parity import TOLERANCE

    fused = fused_of_run(
        trained,
        statistics.moments,
        statistics.positions,
        form="bailer" if form == "bailer" else "atrous",
        half=precision == "fp16",
        explain=explain,
    )
    graph = export_graph(fused, trained.config.size_hw)
    if weights == "fp16":
        graph = with_halved_weights(graph)
    recipe = recipe_of_run(trained, statistics, graph, precision, form, explain, frames_file)
    engine = OnnxRuntimeEngine(graph, recipe)
    try:
        recipe = _recalibrated(recipe, trained, engine)
        tolerance = TOLERANCE["fp16" if "fp16" in (precision, weights) else "fp32"]
        parity = compare(trained, statistics, recipe.threshold.value, engine, fused, frames, tolerance)
    finally:
        engine.close()
    parity.check()
    return Exported(graph, replace(recipe, largest_activation=parity.largest_activation), parity)


def parity_frames(split: "Split", size_hw: tuple[int, int]) -> "NDArray[np.uint8]":
    """Up to 16 prepared good frames that no student was trained on, [n, H, W, 3]."""
    import numpy as np

    from train.data import PreparedImages

    images = PreparedImages([*split.threshold, *split.statistics][:PARITY_FRAMES], size_hw)
    return np.stack([images[index] for index in range(len(images))])


def frames_npz(frames: "NDArray[np.uint8]") -> bytes:
    """The file of parity frames that lies beside a detector."""
    import numpy as np

    file = io.BytesIO()
    np.savez_compressed(file, frames=frames)
    return file.getvalue()


def recipe_of_run(
    trained: "TrainedRun",
    statistics: "Statistics",
    graph: bytes,
    precision: str,
    form: str,
    explain: bool,
    frames_file: bytes,
) -> "Recipe":
    """What a file of `graph` says of itself; its largest activation is 0 until the parity gate has measured it."""
    from export.provenance import provenance
    from runtime.onnx_file import graph_sha256
    from runtime.recipe import Recipe, Scale

    config = trained.config
    scales = tuple(
        Scale(scale.patch_size, scale.teacher_sha256, m.error_mean, m.error_std, m.variance_mean, m.variance_std)
        for scale, m in zip(trained.scales, statistics.moments, strict=True)
    )
    return Recipe(
        size_hw=config.size_hw,
        interpolation="area",
        aspect="stretch",
        region_of_interest=config.region_of_interest,
        students=config.students,
        scales=scales,
        output_stride=config.output_stride,
        relative=config.relative,
        smoothing=config.smoothing,
        by_position=statistics.positions is not None,  # what the graph was made with
        score_pixels=config.score_pixels,
        score_quantiles=statistics.score_quantiles,
        threshold=statistics.threshold,
        health=statistics.health,
        precision=precision,
        form=form,
        explain=explain,
        largest_activation=0.0,  # measured by the parity gate
        parity_sha256=hashlib.sha256(frames_file).hexdigest(),
        graph_sha256=graph_sha256(graph),
        provenance=provenance(trained.split),
    )


def _recalibrated(recipe: "Recipe", trained: "TrainedRun", engine: "Engine") -> "Recipe":
    """The recipe with threshold and quantiles of the exported file's own scores. Raises `ParityError` for a NaN."""
    import numpy as np

    from calibration.fit import quantiles
    from calibration.model import progress
    from calibration.threshold import fit_threshold
    from train.data import PreparedImages

    images = PreparedImages(trained.threshold_images, recipe.size_hw)
    outputs = [engine.result(engine.submit(frame), timeout_s=600) for frame in progress(images, "exported scores")]
    scores = np.array([float(output.anomaly_score[0]) for output in outputs])
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad:
        raise ParityError(
            f"the exported file scores {bad} of {len(scores)} good images NaN or infinite; nothing was written. "
            "Use --precision fp32, or report it with the run folder"
        )
    threshold = fit_threshold(scores, recipe.threshold.budget, recipe.threshold.confidence)
    return replace(recipe, threshold=threshold, score_quantiles=quantiles(scores))


if __name__ == "__main__":
    cli.run(main)
