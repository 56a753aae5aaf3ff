"""The summary of a run, in bounded memory however long the run is."""

import json
import math
import random
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.drift import DriftState
from runtime.frames import PROBLEMS, Frame
from runtime.printable import printable
from runtime.threshold import Threshold, explain
from runtime.verdict import Decision, Verdict

BINS_PER_OCTAVE = 64  # quantiles are read at the middle of a bin: within ±0.6 % of the true value
SHORTEST_MS, OCTAVES = 0.01, 30  # to about three hours; what lies outside counts in the first or last bin
SAMPLE_SIZE = 4096  # scores kept of good and of defective parts; more are sampled evenly


class LatencyHistogram:
    """Counts of latencies in log-spaced bins: 1,920 numbers, whatever their number."""

    def __init__(self) -> None:
        self._counts = np.zeros(BINS_PER_OCTAVE * OCTAVES, np.int64)
        self.largest_ms = 0.0

    @property
    def count(self) -> int:
        """Latencies so far."""
        return int(self._counts.sum())

    def add(self, latency_ms: float) -> None:
        """Count one latency."""
        octaves = math.log2(max(latency_ms, SHORTEST_MS) / SHORTEST_MS)
        self._counts[min(int(octaves * BINS_PER_OCTAVE), len(self._counts) - 1)] += 1
        self.largest_ms = max(self.largest_ms, latency_ms)

    def quantile_ms(self, probability: float) -> float:
        """The smallest latency that `probability` of all stay within, to ±0.6 %. There must be one."""
        rank = max(1, math.ceil(probability * self.count))
        bin_number = int(np.searchsorted(np.cumsum(self._counts), rank))
        middle_ms = SHORTEST_MS * float(2 ** ((bin_number + 0.5) / BINS_PER_OCTAVE))
        return min(middle_ms, self.largest_ms)


def _quantiles(latencies: LatencyHistogram, *names: str) -> dict[str, float]:
    """Milliseconds by name, ``p50`` and so on and ``max``; none where nothing was counted."""
    if not latencies.count:
        return {}
    values = {name: latencies.quantile_ms(int(name[1:]) / 100) for name in names}
    return {name: round(value, 3) for name, value in (values | {"max": latencies.largest_ms}).items()}


class TriggerTimes:
    """Of triggered frames: what became of those without a verdict, and how long each step took."""

    STEPS = ("trigger to picture", "picture to decision", "decision to output")

    def __init__(self) -> None:
        self.triggers = 0
        self.misses = 0  # outputs after the deadline
        self._problems: Counter[str] = Counter()
        self._total = LatencyHistogram()
        self._steps = {name: LatencyHistogram() for name in self.STEPS}

    def add(self, frame: Frame, verdict: Verdict) -> None:
        """Count a frame, if it was triggered."""
        if frame.triggered_s is None or verdict.output_s is None:
            return
        self.triggers += 1
        self.misses += frame.deadline_s is not None and verdict.output_s >= frame.deadline_s
        kind = verdict.reason.partition(":")[0]
        if verdict.decision is Decision.NO_DECISION and kind in PROBLEMS:
            self._problems[kind] += 1
        self._total.add((verdict.output_s - frame.triggered_s) * 1e3)
        if frame.problem is None:
            moments = (frame.triggered_s, frame.captured_s, verdict.decided_s, verdict.output_s)
            for name, start_s, end_s in zip(self.STEPS, moments, moments[1:], strict=False):
                self._steps[name].add((end_s - start_s) * 1e3)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain numbers; times in milliseconds, of the steps where there was a picture."""
        return {
            "triggers": self.triggers,
            **{kind: self._problems[kind] for kind in PROBLEMS},
            "deadline_misses": self.misses,
            "trigger_to_output_ms": _quantiles(self._total, "p50", "p99"),
            **{f"{name.replace(' ', '_')}_ms": _quantiles(each, "p50", "p99") for name, each in self._steps.items()},
        }

    def lines(self) -> list[str]:
        """The same in words."""
        counts = ", ".join(f"{self._problems[kind]} {kind}" for kind in PROBLEMS)
        lines = [f"{self.triggers} trigger{'' if self.triggers == 1 else 's'}: {counts}"]
        lines.append(f"{_in_words('trigger to output', self._total)}; {self.misses} after the deadline")
        found = [_in_words(name, each) for name, each in self._steps.items() if each.count]
        return [*lines, "; ".join(found)] if found else lines


def _in_words(name: str, latencies: LatencyHistogram) -> str:
    times = ", ".join(f"{quantile} {ms:.1f}" for quantile, ms in _quantiles(latencies, "p50", "p99").items())
    return f"{name} in ms: {times}"


class ScoreSample:
    """At most 4,096 scores of a stream, each as likely to be among them (algorithm R of Vitter, ACM TOMS 1985)."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.seen = 0
        self._random = random.Random(0)

    def add(self, score: float) -> None:
        """Offer the stream's next score."""
        self.seen += 1
        if len(self.values) < SAMPLE_SIZE:
            self.values.append(score)
        elif (place := self._random.randrange(self.seen)) < SAMPLE_SIZE:
            self.values[place] = score


class Summary:
    """Adds up verdicts. For one thread at a time."""

    def __init__(self, threshold: Threshold | None = None) -> None:
        """`threshold` is the one that the verdicts are by: what it promises is said along with their counts. Where it
        changes, the last one is said."""
        self.threshold = threshold
        self.decisions: Counter[Decision] = Counter()
        # NG by which evidence, where there is more than the map's
        self.rejected_by: Counter[tuple[str, ...]] = Counter()
        # NG by the named region of interest; one frame may count for several
        self.rejected_in: Counter[str] = Counter()
        self.too_small = 0  # frames that are OK above the threshold: no region of theirs counts
        self.drops = 0  # frames that the camera delivered and nobody took in time
        self.lost = 0  # frames that the camera took and that did not arrive
        self.unpaired: dict[str, int] = {}  # frames that were of no trigger that waited for one, by kind
        self.reconnects = 0  # how often a lost camera was opened again
        self.losses: dict[str, int] = {}  # how many verdicts a sink could not take, by its name
        self.drift: DriftState | None = None  # whether good parts look as they did; None where nobody watches
        self._names: tuple[str, ...] = ()  # of the evidence, where there is more than the map's
        self._regions: tuple[str, ...] = ()  # of the named regions of interest, where there are any
        self._latencies = LatencyHistogram()
        self._triggers = TriggerTimes()
        self._first_captured_s = math.inf
        self._last_decided_s = -math.inf
        self._good, self._defective = ScoreSample(), ScoreSample()
        self._parts: Counter[bool] = Counter()  # by ground truth: defective or not
        self._rejected: Counter[bool] = Counter()

    def add(self, frame: Frame, verdict: Verdict) -> None:
        """Count the verdict on a frame, and compare it with the ground truth where the frame has one."""
        self.decisions[verdict.decision] += 1
        self.too_small += verdict.passed_as_small
        self._names = self._names or tuple(verdict.evidence_scores)
        self._regions = self._regions or (() if verdict.inspected is None else verdict.inspected.names)
        self.rejected_in.update(verdict.rejected_in)
        if verdict.rejected_by:
            self.rejected_by[verdict.rejected_by] += 1
        if frame.problem is None:  # a frame that never came has no latency
            self._latencies.add(verdict.latency_ms)
        self._triggers.add(frame, verdict)
        self._first_captured_s = min(self._first_captured_s, verdict.captured_s)
        self._last_decided_s = max(self._last_decided_s, verdict.decided_s)
        if frame.defective is None:
            return
        self._parts[frame.defective] += 1
        self._rejected[frame.defective] += verdict.decision is not Decision.OK
        if verdict.score is not None:
            (self._defective if frame.defective else self._good).add(verdict.score)

    @property
    def frames(self) -> int:
        """Verdicts so far."""
        return self.decisions.total()

    @property
    def is_triggered(self) -> bool:
        """Whether frames were triggered."""
        return self._triggers.triggers > 0

    @property
    def fps(self) -> float:
        """Verdicts a second, from the first capture to the last decision."""
        duration_s = self._last_decided_s - self._first_captured_s
        return self.frames / duration_s if self.frames and duration_s > 0 else 0.0

    @property
    def image_auroc(self) -> float | None:
        """AUROC of the scores against the ground truth; None unless good and defective parts were scored."""
        good, defective = self._good.values, self._defective.values
        return auroc(good, defective) if good and defective else None

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain numbers: latencies in milliseconds, None for what was not measured."""
        return {
            "frames": self.frames,
            **{decision.value: self.decisions[decision] for decision in Decision},
            "too_small": self.too_small,
            **({"rejected_by": self._rejected_as_dict()} if self._names else {}),
            **({"rejected_in": {name: self.rejected_in[name] for name in self._regions}} if self._regions else {}),
            "fps": round(self.fps, 3),
            "latency_ms": _quantiles(self._latencies, "p50", "p95", "p99") or None,
            **({"triggered": {**self._triggers.as_dict(), "unpaired": self.unpaired}} if self.is_triggered else {}),
            "drops": self.drops,
            "lost": self.lost,
            "reconnects": self.reconnects,
            "not_written": self.losses,
            "threshold": _threshold_as_dict(self.threshold) if self.threshold else None,
            "drift": self.drift.as_dict() if self.drift else None,
            "ground_truth": self._truth_as_dict() if self._parts else None,
        }

    def to_json(self) -> str:
        """`as_dict` as one line."""
        return json.dumps(self.as_dict())

    def lines(self) -> list[str]:
        """The summary in words."""
        facts = self.as_dict()
        counts = ", ".join(f"{facts[decision.value]} {decision.value}" for decision in Decision)
        lines = [f"{self.frames} frame{'' if self.frames == 1 else 's'}: {counts}"]
        if self.rejected_by:
            lines.append(self._rejected_in_words())
        if self.rejected_in:
            counts = ", ".join(f"{self.rejected_in[name]:,} in {name}" for name in self._regions)
            lines.append(printable(f"the NG by region, a part in several counting in each: {counts}"))
        if self.too_small:
            lines.append(f"{self.too_small:,} of the OK scored above the threshold, in regions too small to count")
        if facts["latency_ms"]:
            quantiles = ", ".join(f"{name} {value:.1f}" for name, value in facts["latency_ms"].items())
            lines.append(f"{self.fps:.1f} frames a second; capture to decision in ms: {quantiles}")
        if self.is_triggered:
            lines += self._triggers.lines()
        if any(self.unpaired.values()):
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.unpaired.items() if count)
            lines.append(f"pictures that were of no trigger that waited, and not scored: {kinds}")
        lost = f", {self.lost} lost on the way" if self.lost else ""
        lines.append(f"{self.drops} frames dropped{lost}, {self.reconnects} reconnects")
        lines += [f"{count:,} {name} were NOT written" for name, count in self.losses.items()]
        if self.drift and (self.drift.trends or self.drift.warning):
            lines.append(self.drift.line())
        if self.threshold:
            lines.append(f"threshold {self.threshold.value:.3f}: {explain(self.threshold)}")
        if self._parts:
            lines.append(self._truth_in_words())
        return lines

    def _rejected_as_dict(self) -> dict[str, int]:
        """How many NG each kind of evidence rejects, by its name; one frame may count for several."""
        return {name: sum(n for names, n in self.rejected_by.items() if name in names) for name in self._names}

    def _rejected_in_words(self) -> str:
        """The NG by what rejects them; each counts once."""
        ordered = sorted(self.rejected_by.items(), key=lambda item: (len(item[0]), [*map(self._names.index, item[0])]))
        counts = (
            f"{count:,} by the {' and the '.join(names)}{' alone' if len(names) == 1 else ''}"
            for names, count in ordered
        )
        return f"of the NG, {', '.join(counts)}"

    def _truth_as_dict(self) -> dict[str, Any]:
        return {
            "good": self._parts[False],
            "good_rejected": self._rejected[False],
            "defective": self._parts[True],
            "defective_rejected": self._rejected[True],
            "image_auroc": self.image_auroc,
        }

    def _truth_in_words(self) -> str:
        measured = self.image_auroc
        score = "not measured (it takes good and defective parts)" if measured is None else f"{measured:.4f}"
        return (
            f"image AUROC {score}; rejected {self._rejected[True]} of {self._parts[True]} defective "
            f"and {self._rejected[False]} of {self._parts[False]} good parts"
        )


def _threshold_as_dict(threshold: Threshold) -> dict[str, Any]:
    proven = threshold.supported and threshold.vouched
    return {"value": threshold.value, "proven": proven, "promise": explain(threshold)}


def auroc(good: ArrayLike, defective: ArrayLike) -> float:
    """The chance that a defective part scores above a good one, ties counting half (Mann and Whitney's rank statistic).

    Both are non-empty sequences of scores. The same number as the area under the ROC curve.
    """
    ranked: NDArray[np.float64] = np.sort(np.asarray(good, np.float64))
    scores = np.asarray(defective, np.float64)
    below = np.searchsorted(ranked, scores, side="left")
    not_above = np.searchsorted(ranked, scores, side="right")
    return float((below + not_above).mean() / (2 * len(ranked)))
