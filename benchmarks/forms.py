"""Both forms of dense extraction in both precisions: how exact is each, and which is faster here?

::

    python -m benchmarks.forms RUN [--repeats 20] [--threads N] [--json FILE]

Each variant is exported from the run folder as ``python -m export.onnx`` does, parity gate included, then timed on one
prepared frame through the engine. The variants take turns within each repeat, so that a busy moment meets them all;
times are ratios to FP32 in Bailer's form, since absolute ones say more of the machine than of the code.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.environment import describe_environment, one_line
from runtime import cli
from runtime.errors import InputError

if TYPE_CHECKING:
    from runtime.engines import Engine

WARM_UP = 2


@dataclass(frozen=True)
class Variant:
    """One exported file. Deviations are the largest, of the map's standard deviation; times are ratios."""

    precision: str
    form: str
    map_deviation: float
    score_deviation: float
    largest_activation: float
    megabytes: float
    time_p50: float = float("nan")
    time_p95: float = float("nan")

    def line(self) -> str:
        """One row of the table."""
        return (
            f"{self.precision}  {self.form:<7} {self.map_deviation:10.2e} {self.score_deviation:10.2e} "
            f"{self.largest_activation:10.1f} {self.megabytes:7.1f} {self.time_p50:7.2f} {self.time_p95:7.2f}"
        )


def measure(run: Path, folder: Path, repeats: int, threads: int | None) -> list[Variant]:
    """Export and time all variants; the files go into `folder`. Raises what `export.onnx.export` raises."""
    from export.onnx import export
    from runtime.detector import Detector

    if repeats < 1:
        raise InputError(f"--repeats is {repeats}; expected 1 or more")
    variants, detectors = [], []
    for precision in ("fp32", "fp16"):
        for form in ("bailer", "atrous"):
            path = folder / f"{precision}-{form}.onnx"
            parity = export(run, path, precision, form)
            size = path.stat().st_size / 1e6
            found = parity.agreement
            deviations = (found.map_deviation, found.score_deviation, parity.largest_activation)
            variants.append(Variant(precision, form, *deviations, size))
            detectors.append(Detector.open(path, threads=threads))
    height, width = detectors[0].recipe.size_hw
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    seconds = np.array([[_seconds(d.engine, frame) for d in detectors] for _ in range(WARM_UP + repeats)])[WARM_UP:]
    for detector in detectors:
        detector.close()
    middle = float(np.median(seconds[:, 0]))
    p50, p95 = np.quantile(seconds, (0.5, 0.95), axis=0) / middle
    timed = zip(variants, p50, p95, strict=True)
    return [Variant(**{**asdict(v), "time_p50": float(a), "time_p95": float(b)}) for v, a, b in timed]


def _seconds(engine: "Engine", frame: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> float:
    start = time.perf_counter()
    engine.result(engine.submit(frame), timeout_s=600)
    return time.perf_counter() - start


def main() -> None:
    import tempfile

    from runtime.atomic import write_atomically

    parser = argparse.ArgumentParser(prog="python -m benchmarks.forms", description="Compare forms and precisions.")
    parser.add_argument("run", type=cli.some_path, help="calibrated run folder")
    parser.add_argument("--repeats", type=int, default=20, help="frames per variant (20)")
    parser.add_argument("--threads", type=cli.positive, help="CPU threads of one inference (default: all cores)")
    parser.add_argument("--json", type=cli.some_path, metavar="FILE", help="write figures and machine there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        variants = measure(options.run, Path(folder), options.repeats, options.threads)
    environment = describe_environment()
    print("precision form     maps     scores  activation      MB    p50     p95   (time, of fp32 bailer's p50)")
    print("\n".join(variant.line() for variant in variants))
    print(one_line(environment))
    if options.json:
        document = {"variants": [asdict(variant) for variant in variants], "environment": environment}
        write_atomically(options.json, json.dumps(document, indent=1).encode())


if __name__ == "__main__":
    cli.run(main)
