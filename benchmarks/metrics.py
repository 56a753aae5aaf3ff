"""Are the pixel metrics exact, small and fast enough?

::

    python -m benchmarks.metrics [--json FILE]

*Exact*: image AUROC, pixel AUROC and AU-PRO of random sets with many ties are compared with a computation by
definition, below, that shares no code with `calibration.metrics`: a loop over every distinct score. *Small* and
*fast*: each set is ranked in a process of its own, so that its peak of resident memory is its alone. Scores there are
in random order and no two are equal, which is the longest case: a curve has corners for each distinct score of a
defective pixel. A good pixel takes 4 bytes and a defective one 8, so the peak rises with the share of the latter.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.environment import describe_environment, one_line
from runtime import cli
from runtime.errors import ProctorError

TOLERANCE = 1e-6
MEMORY_TARGET_MIB = 2048  # for 100 maps of 1024×1024, the maps and masks among it
TIME_TARGET_S = 10.0  # for 100 maps of 256×256
LIMITS = (0.05, 0.3, 1.0)
LEVELS = (2, 5, 20, 1000)  # distinct scores of a random set; few make many ties
SEEDS = range(5)

Maps = list[NDArray[np.float32]]
Masks = list[NDArray[np.bool_]]


@dataclass(frozen=True)
class Cost:
    """What ranking `maps` maps of `side`×`side` pixels took, and all three pixel metrics read from the ranking."""

    maps: int
    side: int
    defective: float  # share of the pixels
    seconds: float
    peak_mib: float  # resident, of the whole process: Python, maps and masks included
    given_mib: float  # of which maps and masks


def naive_curve(maps: Maps, masks: Masks) -> tuple[list[float], list[float]]:
    """FPR and PRO by definition: every distinct score a threshold, every region counted by itself."""
    from scipy import ndimage

    regions = []
    for scores, mask in zip(maps, masks, strict=True):
        labels, found = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [scores[labels == number] for number in range(1, found + 1)]
    good = np.concatenate([scores[~mask] for scores, mask in zip(maps, masks, strict=True)])
    fpr, pro = [0.0], [0.0]
    for threshold in sorted({float(score) for scores in maps for score in scores.flat}, reverse=True):
        fpr.append(float(np.mean(good >= threshold)))
        pro.append(float(np.mean([np.mean(region >= threshold) for region in regions])))
    return fpr, pro


def naive_area(fpr: list[float], value: list[float], limit: float) -> float:
    """Area under the polyline from 0 to `limit`, divided by `limit`."""
    area = 0.0
    for left, right, low, high in zip(fpr, fpr[1:], value, value[1:], strict=False):
        end = min(right, limit)
        if end > left:
            at_end = low + (high - low) * (end - left) / (right - left)
            area += (end - left) * (low + at_end) / 2
    return area / limit


def naive_auroc(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> float:
    """Share of pairs in which the defective one scores higher, ties counted half. All [n]."""
    defective, good = scores[labels][:, None], scores[~labels][None]
    return float(np.mean(defective > good) + np.mean(defective == good) / 2)


def random_set(seed: int, levels: int) -> tuple[Maps, Masks]:
    """Six images of differing sizes, two of them good, scores on `levels` values so that ties abound."""
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for index in range(6):
        size = tuple(rng.integers(8, 20, 2))
        mask = rng.random(size) < (0.0 if index < 2 else 0.15)
        noise = rng.random(size) + 0.3 * mask
        maps.append((np.round(noise * levels) / levels).astype(np.float32))
        masks.append(mask)
    return maps, masks


def largest_deviation() -> float:
    """Largest difference between a metric and its computation by definition, over sets of every tie and seed."""
    from calibration.metrics import au_pro, auroc, pixel_auroc

    deviations = []
    for levels in LEVELS:
        for seed in SEEDS:
            maps, masks = random_set(seed, levels)
            scores, labels = np.concatenate([m.ravel() for m in maps]), np.concatenate([m.ravel() for m in masks])
            expected, curve = naive_auroc(scores, labels), naive_curve(maps, masks)
            deviations += [pixel_auroc(maps, masks) - expected, auroc(scores, labels) - expected]
            deviations += [au_pro(maps, masks, limit) - naive_area(*curve, limit) for limit in LIMITS]
    return float(np.abs(deviations).max())


def cost(maps: int, side: int, defective: float) -> Cost:
    """Measure in a process of its own. Raises `ProctorError` when that fails."""
    program = f"from benchmarks.metrics import measure; measure({maps}, {side}, {defective})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message, out of memory perhaps"])[-1]
        raise ProctorError(f"ranking {maps} maps of {side}×{side} failed ({last}); free memory and try again")
    return Cost(maps, side, defective, **json.loads(done.stdout))


def measure(maps: int, side: int, defective: float) -> None:
    """Rank random maps in this process and print time and peak memory as JSON; what `cost` starts."""
    import resource
    import time

    from calibration.metrics import rank_pixels

    rng = np.random.default_rng(0)
    scores = distinct_maps(maps, side, rng)
    masks = [_square_mask(side, defective) for _ in range(maps)]
    given = sum(array.nbytes for array in (*scores, *masks))
    start = time.perf_counter()
    ranking = rank_pixels(scores, masks)
    pro = ranking.pro_curve()
    areas = [pro.area(0.3), pro.area(0.05)]
    del pro
    areas.append(ranking.roc_curve().area())
    seconds = time.perf_counter() - start
    assert all(0 < area < 1 for area in areas)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"seconds": seconds, "peak_mib": peak / 2**20, "given_mib": given / 2**20}))


def distinct_maps(maps: int, side: int, rng: np.random.Generator) -> Maps:
    """Maps of `side`×`side` scores in (0, 1], in random order, no two of them equal; they share one array.

    A draw of so many 32-bit numbers would repeat itself: these are the numbers from 1 down, each the next below.
    """
    bits = np.arange(maps * side * side, dtype=np.int32)
    rng.shuffle(bits)
    np.subtract(np.float32(1).view(np.int32), bits, out=bits)
    return list(bits.view(np.float32).reshape(maps, side, side))


def _square_mask(side: int, share: float) -> NDArray[np.bool_]:
    mask, edge = np.zeros((side, side), np.bool_), max(1, round(side * share**0.5))
    mask[:edge, :edge] = True
    return mask


def report(deviation: float, fast: Cost, large: Sequence[Cost]) -> str:
    """The figures as text."""
    lines = [f"exact    largest deviation {deviation:.1e}, {_within(deviation, TOLERANCE)} the tolerance {TOLERANCE:g}"]
    lines.append(f"fast     {_described(fast)}: {_within(fast.seconds, TIME_TARGET_S)} {TIME_TARGET_S:g} s")
    lines += [
        f"small    {_described(c)}: {_within(c.peak_mib, MEMORY_TARGET_MIB)} {MEMORY_TARGET_MIB} MiB" for c in large
    ]
    return "\n".join(lines)


def _described(measured: Cost) -> str:
    return (
        f"{measured.maps} maps of {measured.side}×{measured.side}, {100 * measured.defective:g} % defective pixels, in"
        f" {measured.seconds:.2f} s, peak {measured.peak_mib:.0f} MiB ({measured.given_mib:.0f} of them given)"
    )


def _within(value: float, target: float) -> str:
    return "within" if value <= target else "NOT within"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Raises `ProctorError` when the metrics are not exact."""
    from runtime.atomic import write_atomically

    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description="Measure the pixel metrics.")
    parser.add_argument("--json", type=cli.some_path, metavar="FILE", help="write the figures and the machine there")
    options = parser.parse_args(arguments)
    deviation, fast = largest_deviation(), cost(100, 256, 0.05)
    large = [cost(100, 1024, share) for share in (0.05, 0.2, 0.5)]
    environment = describe_environment()
    print(report(deviation, fast, large))
    print(one_line(environment))
    if options.json:
        document = {
            "largest_deviation": deviation,
            "costs": [asdict(each) for each in (fast, *large)],
            "targets": {"deviation": TOLERANCE, "seconds": TIME_TARGET_S, "peak_mib": MEMORY_TARGET_MIB},
            "environment": environment,
        }
        write_atomically(options.json, json.dumps(document, indent=1).encode())
    if deviation > TOLERANCE:
        raise ProctorError(f"a metric deviates by {deviation:.1e} from its definition; expected {TOLERANCE:g} at most")


if __name__ == "__main__":
    cli.run(main)
