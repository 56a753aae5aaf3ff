"""From subjects to rows: latency, throughput and the share of what the machine can do, all in turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.throughput.limits import Probe, probes
from benchmarks.throughput.subject import BURST, Frames, Subject
from benchmarks.throughput.timing import LEAST_TURNS, Percentiles, Seconds, Turns, in_turns, ratios, seconds_of
from runtime.errors import EngineError, InputError

Call = Callable[[], object]
SINGLE, PROBE = 0, ""  # in keys of calls: no batch size, no row's name


@dataclass(frozen=True)
class Limit:
    """What the machine reached in one probe: operations a second, or for the kind ``copy`` bytes a second."""

    kind: str
    device: str
    how: str
    per_s: float  # at the median time
    best_per_s: float  # at the shortest
    samples: int


@dataclass(frozen=True)
class Throughput:
    """At one batch size; times are those of a batch, milliseconds."""

    batch: int
    frames_per_s: float  # at the median time
    batch_ms: Percentiles


@dataclass(frozen=True)
class Row:
    """All that was measured of one subject. Ratios are to the median of the reference row."""

    name: str
    engine: str
    device: str
    precision: str
    size_hw: tuple[int, int]
    latency_ms: Percentiles  # of one frame, host to host
    latency_ratio: Percentiles
    throughput: tuple[Throughput, ...]
    best_batch: int
    best_frames_per_s: float
    frames_per_s_ratio: float
    multiply_adds: int | None  # a frame, batch of one
    moved_bytes: int | None
    intensity: float | None  # operations per byte
    operations_per_s: float | None  # at the median latency
    best_operations_per_s: float | None  # at the best batch
    limit: str  # kind of the limit that bounds it
    limit_operations_per_s: float | None  # the fastest probe of that kind, at its median
    share: float | None  # of the limit, at the median latency
    best_share: float | None  # of the limit, at the best batch
    random: str | None  # PRESET[:OPTION=VALUE…] whose graph it is, with random weights; None for a file


@dataclass(frozen=True)
class Result:
    """Rows in the order of the subjects, limits, and what was left out and why."""

    reference: str
    rows: tuple[Row, ...]
    limits: tuple[Limit, ...]
    notes: tuple[str, ...]


def measure(
    subjects: Sequence[Subject], reference: str | None, batches: Sequence[int], turns: Turns, threads: int
) -> Result:
    """Time all subjects; `reference` is the name of the row that the others are compared to (None: the first).

    Single frames, batches and the machine's limits all take turns in the same rounds. Raises `InputError` for no
    subjects, two of one name, or a reference that is none of them, `EngineError` when one cannot infer a single frame.
    """
    base = _reference(subjects, reference)
    tools = probes({(s.device, s.limit) for s in subjects if s.arithmetic}, threads)
    calls: dict[tuple[str, int], Call] = {(s.name, SINGLE): partial(s.infer, _frames(s, 1)) for s in subjects}
    bursts, notes = _bursts(subjects, batches, turns)
    calls |= {key: burst.call for key, burst in bursts.items()}
    calls |= {(PROBE, index): probe.call for index, probe in enumerate(tools)}
    taken = in_turns(calls, turns)
    limits = tuple(_limit(probe, taken[PROBE, index]) for index, probe in enumerate(tools))
    seconds = {s.name: taken[s.name, SINGLE] * s.factor for s in subjects}
    throughput = {s.name: _throughput(s, seconds[s.name], batches, bursts, taken) for s in subjects}
    rates = {s.name: _best(throughput[s.name], seconds[s.name]) for s in subjects}
    rows = tuple(
        _row(s, seconds[s.name], seconds[base], throughput[s.name], rates[s.name], rates[base][1], limits)
        for s in subjects
    )
    notes += [subject.note for subject in subjects if subject.note] + _missing(rows)
    if len({subject.size_hw for subject in subjects}) > 1:
        notes.append("the rows differ in the size of the frame: their ratios compare different work")
    return Result(base, rows, limits, tuple(notes))


def _reference(subjects: Sequence[Subject], reference: str | None) -> str:
    names = [subject.name for subject in subjects]
    if not names or len(set(names)) < len(names):
        raise InputError(f"the rows are named {', '.join(names) or 'nothing'}; expected each to have a name of its own")
    base = names[0] if reference is None else reference
    if base not in names:
        raise InputError(f"--reference is {base!r}; expected one of {', '.join(names)}")
    return base


@dataclass(frozen=True)
class _Burst:
    call: Call
    batches: int  # that one call works off


def _bursts(
    subjects: Sequence[Subject], batches: Sequence[int], turns: Turns
) -> tuple[dict[tuple[str, int], _Burst], list[str]]:
    """The calls of each row and batch size, each tried once: a batch too large for memory or time is left out."""
    found: dict[tuple[str, int], _Burst] = {}
    notes = []
    for subject in subjects:
        wanted = [batch for batch in batches if batch <= subject.max_batch and not _is_single(subject, batch)]
        slow = _too_slow(subject, wanted, turns)
        if slow:
            shown = ", ".join(map(str, slow))
            notes.append(f"{subject.name}: {LEAST_TURNS} turns of a batch of {shown} outlast --seconds; left out")
        for batch in wanted:
            if batch in slow:
                continue
            frames = _frames(subject, batch)
            try:
                found[subject.name, batch] = _Burst(partial(subject.burst, frames), subject.burst(frames))
            except EngineError:
                notes.append(f"{subject.name}: failed on a batch of {batch}, which is left out")
    return found, notes


def _too_slow(subject: Subject, batches: Sequence[int], turns: Turns) -> list[int]:
    """Those whose least turns would outlast `turns.seconds`, if each of their frames took as long as one alone.

    One that the first call condemns has a second: engines tune themselves in their first.
    """
    slow, call = list(batches), partial(subject.infer, _frames(subject, 1))
    least = LEAST_TURNS * (1 if subject.device == "cpu" else BURST)
    for _ in range(2):
        if slow:
            seconds = seconds_of(call)
            slow = [batch for batch in slow if least * batch * seconds > turns.seconds]
    return slow


def _is_single(subject: Subject, batch: int) -> bool:
    """Whether a burst is the very call that the latency is measured by."""
    return batch == 1 and subject.device == "cpu"


def _throughput(
    subject: Subject,
    single: Seconds,
    batches: Sequence[int],
    bursts: Mapping[tuple[str, int], _Burst],
    taken: Mapping[tuple[str, int], Seconds],
) -> list[Throughput]:
    found = []
    for batch in batches:
        key = (subject.name, batch)
        if _is_single(subject, batch):
            each = Percentiles.of(single, 1e3)
        elif key in bursts:
            each = Percentiles.of(taken[key] / bursts[key].batches, 1e3)
        else:
            continue
        found.append(Throughput(batch, batch / (each.p50 / 1e3), each))
    return found


def _best(found: Sequence[Throughput], seconds: Seconds) -> tuple[int, float]:
    """The best batch and its frames a second; one by one where no batch was measured."""
    if not found:
        return 1, 1 / float(np.median(seconds))
    best = max(found, key=lambda one: one.frames_per_s)
    return best.batch, best.frames_per_s


def _row(
    subject: Subject,
    seconds: Seconds,
    reference: Seconds,
    found: Sequence[Throughput],
    best: tuple[int, float],
    reference_rate: float,
    limits: Sequence[Limit],
) -> Row:
    counted, (best_batch, rate) = subject.arithmetic, best
    alike = [x.per_s for x in limits if (x.device, x.kind) == (subject.device, subject.limit)]
    limit = max(alike) if alike else None
    reached = counted.operations / float(np.median(seconds)) if counted else None
    at_best = counted.operations * rate if counted else None
    return Row(
        name=subject.name,
        engine=subject.describe(),
        device=subject.device,
        precision=subject.precision,
        size_hw=subject.size_hw,
        latency_ms=Percentiles.of(seconds, 1e3),
        latency_ratio=ratios(seconds, reference),
        throughput=tuple(found),
        best_batch=best_batch,
        best_frames_per_s=rate,
        frames_per_s_ratio=rate / reference_rate,
        multiply_adds=counted.multiply_adds if counted else None,
        moved_bytes=counted.moved_bytes if counted else None,
        intensity=counted.intensity if counted else None,
        operations_per_s=reached,
        best_operations_per_s=at_best,
        limit=subject.limit,
        limit_operations_per_s=limit,
        share=reached / limit if reached and limit else None,
        best_share=at_best / limit if at_best and limit else None,
        random=subject.random,
    )


def _limit(probe: Probe, seconds: Seconds) -> Limit:
    middle, shortest = float(np.median(seconds)), float(seconds.min())
    return Limit(probe.kind, probe.device, probe.how, probe.work / middle, probe.work / shortest, len(seconds))


def _missing(rows: Sequence[Row]) -> list[str]:
    kinds = sorted(
        {f"{row.limit} on {row.device}" for row in rows if row.multiply_adds and not row.limit_operations_per_s}
    )
    return [f"no limit of {kind} could be measured; on a GPU that takes PyTorch with CUDA" for kind in kinds]


def _frames(subject: Subject, batch: int) -> Frames:
    return np.random.default_rng(0).integers(0, 256, (batch, *subject.size_hw, 3), dtype=np.uint8)
