"""The watch over one detector's verdicts: evidence of drift in scores, light and sharpness of good parts."""

import json
import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from runtime.bounds import check_between
from runtime.drift.martingale import RECENT, Martingale
from runtime.drift.reference import OF_OWN, Reference, of_brightness, of_high_scores, of_own, of_scores
from runtime.errors import InputError
from runtime.health import Measured
from runtime.printable import printable
from runtime.recipe import Recipe
from runtime.sharpness import DIRECTIONS
from runtime.verdict import Decision, Verdict

log = logging.getLogger("proctor.drift")

ALPHA = 0.01  # the chance that a line without drift is ever warned of
# share of ALPHA that the proof is asked to keep; the rest is room for what it does not cover (see README.md)
PROVEN = 0.5
SCHEMA = 1  # of the document that a watch is kept in
SCORE, HIGH_SCORE = "score", "high score"  # trends
SCORE_SHARE = 0.5  # of ALPHA, for the trends of scores; all others have the rest, each in equal parts
MOST_SET_ASIDE = 8  # recipes that were in force before, of which it is kept what was known
ADVICE = (
    "look at light, lens and material; if good parts are to look like this from now on, recalibrate (python -m "
    "calibration.recalibrate)"
)


@dataclass(frozen=True)
class Trend:
    """What one kind of values shows."""

    name: str  # "score", "high score", "brightness", "sharpness from left to right"
    values: int  # that were looked at
    evidence: float  # decades: log₁₀ of its capital times its share; the watch warns at `DriftState.limit`
    rises: bool  # whether the latest values lie above those of calibration, rather than below
    recent: float | None  # running mean of the latest values, about 50; None before the first
    typical: tuple[float, float] | None  # between which values of calibration lie; None while they are being gathered
    own: bool  # whether the line's own first values stand for calibration's


@dataclass(frozen=True)
class DriftState:
    """What is known of drift at one moment."""

    parts: int  # that were OK, since the watch began
    level: float  # the strongest evidence, decades
    limit: float  # of the level, at which it warns
    warning: str | None  # in words, from the first warning on
    since: float | None  # about when the change began, wall clock, seconds since 1970 UTC; None without a warning
    since_part: int | None  # with which part that was OK, from 1 on
    trends: tuple[Trend, ...]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain numbers and texts."""
        return asdict(self)

    def figures(self) -> dict[str, object]:
        """What a display shows: ``state`` and ``text`` in words, and numbers by name."""
        found = "drifting" if self.warning else "steady" if self.trends else "not watched"
        return {"state": found, "text": self.line(), "evidence": self.level, "limit": self.limit, "parts": self.parts}

    def line(self) -> str:
        """The state in one line."""
        if self.warning is not None:
            return printable(self.warning)
        if not self.trends:
            return "drift: not watched, since the file keeps nothing of the scores of good parts"
        found = f"evidence {self.level:.1f}, warned of at {self.limit:.1f}"
        return f"drift: none found in {self.parts:,} parts that were OK ({found})"


class DriftWatch:
    """Looks at the verdicts of a detector, in order. From any thread; it never raises, and changes no verdict.

    Only parts that are OK are looked at: what is rejected may be defective, and says nothing of good parts. `add` takes
    some microseconds a trend.
    """

    def __init__(self, recipe: Recipe, alpha: float = ALPHA) -> None:
        """`alpha` bounds the chance that it ever warns where nothing changes. Raises `InputError` outside 0 to 0.5."""
        check_between("alpha of the drift watch", alpha, 1e-9, 0.5)
        self.recipe_sha256, self._alpha = recipe.sha256, alpha
        self._lock = threading.Lock()
        self._broken = False
        self._set_aside: dict[str, Any] = {}  # documents by recipe, the latest last
        self._begin(recipe)

    def follow(self, recipe: Recipe) -> None:
        """Watch another recipe from now on: anew, or on from where it was when it was in force before.

        The same one is watched on.
        """
        with self._lock:
            if recipe.sha256 == self.recipe_sha256:
                return
            if self._parts:
                self._set_aside[self.recipe_sha256] = self._document
            self.recipe_sha256 = recipe.sha256
            self._begin(recipe)
            document = self._set_aside.pop(recipe.sha256, None)
            if document is not None and document.get("alpha") == self._alpha:
                try:
                    self._go_on(document)
                except InputError as error:
                    log.warning("%s", error)
            self._forget_the_oldest()

    def _begin(self, recipe: Recipe) -> None:
        self._parts = 0
        self._warning: str | None = None
        self._since: tuple[float, int] | None = None
        self._channels = _channels(recipe)

    def add(self, verdict: Verdict) -> None:
        """Look at one verdict."""
        if verdict.decision is Decision.OK and verdict.score is not None:
            self.look(verdict.score, verdict.measured, verdict.captured_at)

    def look(self, score: float, measured: Measured | None, captured_at: float) -> None:
        """Look at one part that is OK, captured at a time in seconds since 1970 UTC."""
        if self._broken:
            return
        try:
            with self._lock:
                self._look(score, measured, captured_at)
        except Exception:  # no fault of ours in here may cost a part its verdict
            self._broken = True
            log.exception("the drift watch ended by a fault of its own; inspection goes on")

    @property
    def warned(self) -> bool:
        """Whether it has warned."""
        return self._warning is not None

    @property
    def state(self) -> DriftState:
        """What is known now."""
        with self._lock:
            trends = tuple(channel.trend() for channel in self._channels)
            since, part = self._since or (None, None)
            level = max((trend.evidence for trend in trends), default=0.0)
            return DriftState(self._parts, level, self._limit, self._warning, since, part, trends)

    def to_json(self) -> str:
        """All that has to be kept to go on later."""
        with self._lock:
            return json.dumps({**self._document, "set_aside": list(self._set_aside.values())})

    @property
    def _document(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "recipe_sha256": self.recipe_sha256,
            "alpha": self._alpha,
            "parts": self._parts,
            "warning": self._warning,
            "since": self._since,
            "channels": {channel.name: channel.document for channel in self._channels},
        }

    def restore(self, text: str) -> bool:
        """Go on where `to_json` was taken; whether something was known there of this recipe and alpha.

        What was known of other recipes is set aside, and kept. Raises `InputError` for a text that is none of its own.
        """
        with self._lock:
            mine, others = self._sorted(text)
            if mine is not None:
                self._go_on(mine)
            self._set_aside = others
            self._forget_the_oldest()
        return mine is not None

    def _sorted(self, text: str) -> tuple[Any, dict[str, Any]]:
        """The document of this recipe and alpha in a text, None without one, and those of other recipes."""
        with _damage_told():
            newest = json.loads(text)
            found = [*newest.get("set_aside", ()), {name: newest[name] for name in newest if name != "set_aside"}]
            for each in found:
                if each["schema"] != SCHEMA:
                    raise InputError(f"schema is {each['schema']!r}; expected {SCHEMA}")
            mine = [each for each in found if (each["recipe_sha256"], each["alpha"]) == self._what_for]
            others = {str(each["recipe_sha256"]): each for each in found}
            others.pop(self.recipe_sha256, None)
            return mine[-1] if mine else None, others

    @property
    def _what_for(self) -> tuple[str, float]:
        return self.recipe_sha256, self._alpha

    def _go_on(self, document: Any) -> None:
        """Go on where the document of this recipe was taken. Raises `InputError` for one that is damaged."""
        with _damage_told():
            names, kept = {channel.name for channel in self._channels}, document["channels"].keys()
            if not kept <= names <= kept | {HIGH_SCORE}:  # which older files lack
                raise InputError(f"it has the trends {', '.join(kept)}")
            restored = [
                channel.restored(document["channels"][channel.name]) if channel.name in kept else channel
                for channel in self._channels
            ]
            parts, warning, since = int(document["parts"]), document["warning"], document["since"]
            if not isinstance(warning, str | None) or parts < 0:
                raise InputError("parts or warning are none")
            told = None if since is None else (float(since[0]), int(since[1]))
        self._channels, self._parts, self._warning, self._since = restored, parts, warning, told

    def _forget_the_oldest(self) -> None:
        while len(self._set_aside) > MOST_SET_ASIDE:
            del self._set_aside[next(iter(self._set_aside))]

    @property
    def _limit(self) -> float:
        return -math.log10(PROVEN * self._alpha)

    def _look(self, score: float, measured: Measured | None, captured_at: float) -> None:
        self._parts += 1
        for channel in self._channels:
            value = channel.of(score, measured)
            if value is not None:
                channel.add(value, captured_at, self._parts)
        if self._warning is None and any(channel.evidence >= self._limit for channel in self._channels):
            self._warn()

    def _warn(self) -> None:
        found = sorted(self._channels, key=lambda channel: -channel.evidence)
        told = [channel.words() for channel in found if channel.evidence >= self._limit]
        strongest = found[0]
        self._since = strongest.since
        self._warning = f"drift: {'; '.join(told)}; {ADVICE}"
        log.warning("%s", self._warning)


@contextmanager
def _damage_told() -> Iterator[None]:
    """Whatever is wrong with a document is one `InputError`."""
    try:
        yield
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        OverflowError,
        InputError,
    ) as error:
        raise InputError(
            f"the drift watch's state is damaged ({error}); remove it, and the watch begins anew"
        ) from error


class _Channel:
    """One kind of values: its martingale, and what people are told."""

    def __init__(
        self,
        name: str,
        words: tuple[str, str],
        of: Callable[[float, Measured | None], float | None],
        reference: Reference | None,
    ) -> None:
        """`words` say that it has risen and fallen; without a `reference` the first values become one."""
        self.name, self._words, self.of, self.share = name, words, of, 0.0
        self._own = reference is None
        self._first: list[float] = []
        self._martingale = None if reference is None else Martingale(reference)
        self._recent: float | None = None
        self.since = (0.0, 0)  # wall clock and part of the change at hand

    @property
    def evidence(self) -> float:
        """Decades, with its share of alpha; 0 where there is less than none."""
        return 0.0 if self._martingale is None else max(0.0, math.log10(self._martingale.evidence * self.share))

    def add(self, value: float, captured_at: float, part: int) -> None:
        """Look at one value."""
        if not math.isfinite(value):
            return
        self._recent = value if self._recent is None else self._recent + RECENT * (value - self._recent)
        if self._martingale is None:
            self._gather(value)
            return
        self._martingale.add(value)
        if self._martingale.since > self._martingale.count or not self.since[1]:  # no change at hand, or the first
            self.since = captured_at, part

    def _gather(self, value: float) -> None:
        self._first.append(value)
        if len(self._first) == OF_OWN:
            reference = of_own(self._first)
            self._martingale = None if reference is None else Martingale(reference)
            if reference is None:  # equal values: perhaps a picture that is shown again and again
                self._first = []

    def trend(self) -> Trend:
        """What it shows."""
        found = self._martingale
        typical = None if found is None else found.reference.typical
        values = len(self._first) if found is None else found.count
        rises = found is not None and found.rise > 0
        return Trend(self.name, values, self.evidence, rises, self._recent, typical, self._own)

    def words(self) -> str:
        """What has changed."""
        assert self._martingale is not None
        low, high = self._martingale.reference.typical
        rises = self._martingale.rise > 0
        whose = "this line's first parts" if self._own else "the good images'"
        return (
            f"{self._words[0 if rises else 1]} since about part {self.since[1]:,}: lately {self._recent:.3g}, {whose} "
            f"were mostly {low:.3g} to {high:.3g}"
        )

    @property
    def document(self) -> dict[str, Any]:
        """All that has to be kept."""
        found = self._martingale
        return {
            "first": list(self._first) if self._own else [],
            "recent": self._recent,
            "since": list(self.since),
            "martingale": None if found is None else found.document,
        }

    def restored(self, document: dict[str, Any]) -> "_Channel":
        """The same kind of values as it was when `document` was taken. Raises as `Martingale.restore`, and `InputError`
        for values that are none."""
        found = _Channel(self.name, self._words, self.of, None)
        found.share, found._own = self.share, self._own
        found._first = [float(value) for value in document["first"]]
        recent = document["recent"]
        found._recent = None if recent is None else float(recent)
        if not all(map(math.isfinite, found._first)) or len(found._first) > OF_OWN:
            raise InputError(f"the first values of {self.name} are none")
        reference = None if self._martingale is None or self._own else self._martingale.reference
        if self._own and len(found._first) == OF_OWN:
            reference = of_own(found._first)
        if (reference is None) != (document["martingale"] is None):
            raise InputError(f"the martingale of {self.name} is missing, or has no values to be of")
        if reference is not None:
            found._martingale = Martingale(reference)
            found._martingale.restore(document["martingale"])
        found.since = float(document["since"][0]), int(document["since"][1])
        return found


def _channels(recipe: Recipe) -> list[_Channel]:
    """What can be watched by what the file keeps, each with its share of alpha."""
    found = []
    scores, high, brightness = of_scores(recipe), of_high_scores(recipe), of_brightness(recipe)
    if scores is not None:
        words = "the scores of good parts have risen", "the scores of good parts have fallen"
        found.append(_Channel(SCORE, words, _score, scores))
    if high is not None:
        words = (f"more parts pass with scores above {high.edges[0]:.3g}, as hardly any good image has",) * 2
        found.append(_Channel(HIGH_SCORE, words, _score, high))
    if brightness is not None:
        words = "pictures have become brighter", "pictures have become darker"
        found.append(_Channel("brightness", words, _brightness, brightness))
    if any(recipe.health.sharpness_low):  # else nobody measures it
        for index, direction in enumerate(DIRECTIONS):
            words = f"pictures have become sharper {direction}", f"pictures have become less sharp {direction}"
            found.append(_Channel(f"sharpness {direction}", words, _Sharpness(index), None))
    _share_out(found)
    return found


def _share_out(channels: list[_Channel]) -> None:
    """Give each channel its share of alpha."""
    of_scores = [channel for channel in channels if channel.of is _score]
    others = [channel for channel in channels if channel.of is not _score]
    for group, share in ((of_scores, SCORE_SHARE), (others, 1 - SCORE_SHARE)):
        for channel in group:
            channel.share = (share if of_scores and others else 1.0) / len(group)


def _score(score: float, measured: Measured | None) -> float:
    return score


def _brightness(score: float, measured: Measured | None) -> float | None:
    return None if measured is None else measured.brightness


class _Sharpness:
    """The sharpness in one direction."""

    def __init__(self, index: int) -> None:
        self._index = index

    def __call__(self, score: float, measured: Measured | None) -> float | None:
        return None if measured is None or measured.sharpness is None else measured.sharpness[self._index]
