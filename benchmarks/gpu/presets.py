"""All presets, with random weights, in ONNX Runtime: the time of a frame, and whether the scores are the CPU's."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu.failures import sentence_of
from benchmarks.gpu.job import Found, Job
from benchmarks.gpu.timed import PRECISIONS, file_of, row_of_preset, timed, turns_of
from benchmarks.throughput.random_rows import RandomRow
from benchmarks.throughput.subject import TIMEOUT_S, Subject
from runtime.detector import Detector
from runtime.engines.base import Output
from runtime.recipe import Recipe
from train.data import PreparedImages
from train.datasets import good_images
from train.preset import preset_names

CHEAP_FIRST = ("fast", "edge", "students", "accurate")  # and the others behind them
FRAMES = 2  # whose scores are compared: the CPU takes long for some presets


def measure(job: Job, found: Found) -> None:
    """Time and compare preset by preset; what fails of one is said in its place."""
    found.put(frames=f"{FRAMES} of the category" if job.category else f"{FRAMES} of random noise")
    for preset in in_order(job.presets or tuple(preset_names())):
        try:
            row = row_of_preset(preset, job.small)
            makers = {p: partial(_subject, job, row, preset, p) for p in PRECISIONS}
            result = timed(makers, (), turns_of(job, 200, 4.0), job.threads, limits=False)
            agreement = {row["name"]: _agreement(job, row["name"], preset) for row in result["rows"]}
            found.add("presets", {"preset": preset, **result, "agreement": agreement})
        except Exception as error:  # the other presets are measured
            found.add("presets", {"preset": preset, "failed": sentence_of(error)})


def in_order(presets: tuple[str, ...]) -> list[str]:
    """The presets, those first that take little: time may run out."""
    return [each for each in CHEAP_FIRST if each in presets] + [each for each in presets if each not in CHEAP_FIRST]


def _subject(job: Job, row: RandomRow, preset: str, precision: str) -> Subject:
    path = file_of(job, preset, precision)
    row.write(path, precision == "fp16")
    return row.subject(precision, path, job.engine, job.threads)


def _agreement(job: Job, precision: str, preset: str) -> dict[str, Any]:
    """The largest differences between the provider and the CPU's, of the same file on the same frames.

    Both are in standard deviations of the CPU's map that scores are of, as the parity gate has them.
    """
    path = file_of(job, preset, precision)
    try:
        here, cpu = (outputs(path, provider, job) for provider in (job.device, "cpu"))
    except Exception as error:
        return {"failed": sentence_of(error)}
    deviation = float(np.mean([each.scored_map.std() for each in cpu]))
    pairs = list(zip(here, cpu, strict=True))
    return {
        "provider": job.device,
        "score_in_deviations": max(float(np.abs(a.anomaly_score - b.anomaly_score).max()) for a, b in pairs)
        / deviation,
        "map_in_deviations": max(float(np.abs(a.scored_map - b.scored_map).max()) for a, b in pairs) / deviation,
        "scores": [[float(a.anomaly_score[0]), float(b.anomaly_score[0])] for a, b in pairs],
    }


def outputs(path: Path, provider: str, job: Job) -> list[Output]:
    """What a file computes of each of the frames."""
    with Detector.open(path, engine="onnxruntime", provider=provider, threads=job.threads) as detector:
        engine = detector.engine
        return [engine.result(engine.submit(frame[None]), TIMEOUT_S) for frame in _frames(job, detector.recipe)]


def _frames(job: Job, recipe: Recipe) -> list[NDArray[np.uint8]]:
    """Prepared frames [H, W, 3]."""
    if job.category is None:
        return list(np.random.default_rng(0).integers(0, 256, (FRAMES, *recipe.size_hw, 3), np.uint8))
    images = PreparedImages(good_images(Path(job.category))[:FRAMES], recipe.size_hw, recipe.alignment)
    return [images[index] for index in range(len(images))]
