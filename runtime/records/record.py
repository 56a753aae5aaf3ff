"""One verdict as it is recorded."""

import json
from dataclasses import dataclass

from runtime.line.results import CODES, Mode, Part
from runtime.verdict import Decision, Verdict


@dataclass(frozen=True)
class Record:
    """What is kept of one part, in the form of the table `verdicts`."""

    frame_id: int
    part_id: str | None
    decided_ns: int
    captured_ns: int
    latency_us: int
    decision: int
    score: float | None
    threshold: float
    reason: str | None
    details: str | None
    recipe: str
    camera: str | None = None
    batch: str | None = None
    serial: str | None = None
    mode: int = Mode.RUN


def record_of(verdict: Verdict, camera: str | None = None, part: Part | None = None, mode: Mode = Mode.RUN) -> Record:
    """The record of a verdict; with `part` what the line's controller said of it."""
    plain = verdict.decision is Decision.OK and not verdict.passed_as_small
    return Record(
        frame_id=verdict.frame_id,
        part_id=verdict.part_id if part is None else str(part.part_id),
        decided_ns=round(verdict.decided_at * 1e9),
        captured_ns=round(verdict.captured_at * 1e9),
        latency_us=round(verdict.latency_ms * 1e3),
        decision=CODES[verdict.decision],
        score=verdict.score,
        threshold=verdict.threshold,
        reason=None if plain else verdict.reason,
        details=details_of(verdict),
        recipe=verdict.recipe_sha256,
        camera=camera,
        batch=part.order or None if part is not None else None,
        serial=part.serial or None if part is not None else None,
        mode=mode,
    )


def storable(text: str) -> str:
    """The text as UTF-8 can hold it: what is no text, as in a file's name in Latin-1, is escaped as ``\\udce9``."""
    return text.encode("utf-8", "backslashreplace").decode()


def details_of(verdict: Verdict) -> str | None:
    """Regions, scores by evidence, terms of the highest score and file name of a verdict as JSON; None without any."""
    found: dict[str, object] = {}
    if verdict.regions:
        found["regions"] = [region.document for region in verdict.regions]
    if verdict.rejected_in:
        found["rejected_in"] = verdict.rejected_in
    if verdict.evidence_scores and verdict.decision is not Decision.OK:
        found["evidence_scores"] = verdict.evidence_scores
        found["rejected_by"] = verdict.rejected_by
    if verdict.explanation is not None and verdict.decision is Decision.NG:
        found["terms"] = verdict.explanation.at_the_highest()
    if verdict.name:
        found["name"] = verdict.name
    return json.dumps(found, separators=(",", ":")) if found else None
