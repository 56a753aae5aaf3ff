"""Recalibrations of the demo detector to sets of good demo parts, and what their files make of fresh parts."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.recalibration.fresh import Fresh, line_under, seen
from calibration.recalibration import Options, recalibrate
from runtime.atomic import write_atomically
from runtime.default_detector import DEMO_DETECTOR
from runtime.detector_file import read_detector
from runtime.recipe import Recipe
from runtime.summary import auroc
from train.progress import Progress

SET_SEED, SETS_APART = 300_000, 10_000  # of lines that nothing was trained on; the sets of a seed are 10,000 further on
BEFORE, FULL, KEPT = "as it was", "statistics and threshold", "threshold alone"


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    lights: tuple[float, ...]  # shares of the lamp's
    sizes: tuple[int, ...]  # good parts of a set
    seeds: int  # sets of each size
    most_repeated: int  # larger sets are of the first seed alone
    good: int  # fresh parts under each light
    defective: int

    def sets(self) -> Iterator[tuple[int, int]]:
        """(size, seed) of each set, the largest first."""
        for size in sorted(self.sizes, reverse=True):
            for seed in range(self.seeds if size <= self.most_repeated else 1):
                yield size, seed


@dataclass(frozen=True)
class Row:
    """One file, and what it makes of the fresh parts under the light that it was recalibrated to."""

    light: float
    mode: str  # BEFORE, FULL or KEPT
    given: int  # good parts; 0 of the file as it was
    seed: int
    statistics: int  # of them, for statistics
    threshold: float
    proven: bool
    rejected: int  # of the good parts
    good: int
    found: int  # of the defective parts
    defective: int
    image_auroc: float


def measure(plan: Plan, folder: Path, workers: int) -> list[Row]:
    """All rows, by light, mode, size and seed; `folder` takes pictures and files. Each inference has one thread."""
    rows = list[Row]()
    with ThreadPoolExecutor(workers) as pool:
        parts = dict(
            zip(
                plan.lights,
                pool.map(lambda light: seen(DEMO_DETECTOR, light, plan.good, plan.defective), plan.lights),
                strict=True,
            )
        )
        rows += [judged(parts[light], light, BEFORE, DEMO_DETECTOR, 0, 0) for light in plan.lights]
        largest = {seed: size for size, seed in reversed(list(plan.sets()))}
        shots = [(light, seed, size) for light in plan.lights for seed, size in largest.items()]
        list(pool.map(lambda shot: write_parts(folder, *shot), Progress(shots, "pictures", len(shots), unit="set")))
        cells = [
            (size, seed, light, mode) for size, seed in plan.sets() for light in plan.lights for mode in (FULL, KEPT)
        ]
        running = [
            pool.submit(recalibrated, folder, parts[light], light, mode, size, seed)
            for size, seed, light, mode in cells
        ]
        shown = Progress(as_completed(running), "recalibrations", len(running), unit="file", leave=True)
        for done in shown:
            rows.append(done.result())
            shown.write(table(rows[-1:]).splitlines()[-1])
    return sorted(rows, key=lambda row: (row.light, [BEFORE, FULL, KEPT].index(row.mode), row.given, row.seed))


def write_parts(folder: Path, light: float, seed: int, count: int) -> None:
    """The good parts of a seed under a light as PNG files: a set of n has the first n of them."""
    for number in range(count):
        line, index = line_under(light, SET_SEED + SETS_APART * seed + number)
        png = cv2.imencode(".png", line.good(index).image)[1].tobytes()
        write_atomically(_shots(folder, light, seed) / f"{number:04}.png", png)


def recalibrated(folder: Path, fresh: Fresh, light: float, mode: str, given: int, seed: int) -> Row:
    """The demo detector recalibrated to the first `given` parts of a seed, as ``calibration.recalibrate`` does it."""
    cell = folder / f"{light}-{seed}-{given}-{mode.replace(' ', '-')}"
    data, out = cell / "good", cell / "detector.onnx"
    data.mkdir(parents=True)
    for number in range(given):
        (data / f"{number:04}.png").hardlink_to(_shots(folder, light, seed) / f"{number:04}.png")
    recalibrate(DEMO_DETECTOR, data, out, Options("benchmark", keep_statistics=mode == KEPT, threads=1))
    row = judged(fresh, light, mode, out, given, seed)
    out.unlink()  # tens of megabytes each
    return row


def judged(fresh: Fresh, light: float, mode: str, detector: Path, given: int, seed: int) -> Row:
    """What a file makes of the fresh parts."""
    _, recipe = read_detector(detector)
    good, defective = fresh.scores(detector)
    value = recipe.threshold.value
    return Row(
        light,
        mode,
        given,
        seed,
        _for_statistics(recipe),
        value,
        recipe.threshold.supported,
        int(np.count_nonzero(good > value)),
        len(good),
        int(np.count_nonzero(defective > value)),
        len(defective),
        auroc(good, defective),
    )


def table(rows: Sequence[Row]) -> str:
    """A line for each light, mode and size: sums over the seeds, and from the lowest to the highest of these."""
    lines = [
        "| light | fitted | good parts given | of them for statistics | threshold | good parts rejected "
        "| defects found | image AUROC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups = dict[tuple[float, str, int], list[Row]]()
    for row in rows:
        groups.setdefault((row.light, row.mode, row.given), []).append(row)
    for (light, mode, given), alike in groups.items():
        proven = "" if all(row.proven for row in alike) else ", not proven"
        lines.append(
            f"| {100 * light:.0f} % | {mode} | {given or '–'} | {alike[0].statistics or '–'} "
            f"| {_spread([f'{row.threshold:.2f}' for row in alike], float)}{proven} "
            f"| {_rate([row.rejected for row in alike], [row.good for row in alike])} "
            f"| {_rate([row.found for row in alike], [row.defective for row in alike])} "
            f"| {_spread([f'{row.image_auroc:.3f}' for row in alike], float)} |"
        )
    return "\n".join(lines)


def _rate(counts: Sequence[int], totals: Sequence[int]) -> str:
    shares = [100 * count / total for count, total in zip(counts, totals, strict=True)]
    together = f"{100 * sum(counts) / sum(totals):.1f} %"
    return together if len(shares) == 1 else f"{together} ({min(shares):.1f} to {max(shares):.1f})"


def _spread(texts: Sequence[str], key: type) -> str:
    ordered = sorted(texts, key=key)
    return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]} to {ordered[-1]}"


def _for_statistics(recipe: Recipe) -> int:
    made = recipe.recalibration
    return made.images.get("statistics", 0) if made is not None and made.statistics else 0


def _shots(folder: Path, light: float, seed: int) -> Path:
    return folder / f"{light}-{seed}"
