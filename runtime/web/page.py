"""The stream's side of the live page: takes verdicts without ever waiting, and looks after the page's process.

The pipeline puts what it has into places that hold the newest alone; a thread of its own sends from there, some times a
second, whatever a browser or the page's process does. Encoding and drawing are that process's. One that dies or hangs
is started again, and the inspection does not notice.
"""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from runtime.cameras.base import Source
from runtime.cameras.capture import without_password
from runtime.cli import EXTRAS
from runtime.closing import Closing
from runtime.detector import Detector
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.line.handshake import BUFFER, Refusal
from runtime.line.results import Code, Result
from runtime.location import Location
from runtime.outputs import say
from runtime.pause import Pausable
from runtime.recipe import Recipe
from runtime.recipes.store import RecipeStore
from runtime.records.store import RecordStore
from runtime.reduced import reduced
from runtime.verdict import Decision, Verdict
from runtime.web.collector import Collector
from runtime.web.messages import receive, send
from runtime.web.serving import Serving, as_document
from runtime.web.totals import ONLY, Totals

log = logging.getLogger("proctor.web")

Part = Callable[[], Mapping[str, object] | None]  # a piece of the state, as plain values

ROOT = Path(__file__).resolve().parents[2]
LOOK_S = 0.05  # between two sendings; nobody wakes the thread, since that would cost the pipeline a switch
STATE_S = 0.5
PICTURE_S = 0.2  # between two pictures of a camera that somebody looks at
PICTURE_SIDE, MAP_SIDE, TERMS_SIDE = 960, 512, 256  # longer side of what is sent, pixels
VERDICTS, REJECTS = 256, 4  # that wait at most; older ones are not shown, and counted all the same
STUCK_S = 5.0  # without the process taking anything: it hangs
FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S = 1.0, 60.0, 60.0
CLOSE_S = 2.0


@dataclass(frozen=True)
class Watched:
    """A camera as the page shows it."""

    uri: str  # without a password
    engine: str
    detector: Location
    recipe: Recipe
    source: Source | None  # None where a controller sends the pictures
    drops: Callable[[], int] | None  # of the pipeline and the source, where there is a pipeline

    @property
    def counts(self) -> dict[str, object]:
        """What the source counts; from any thread."""
        source = self.source
        if source is None:
            return {}
        return {
            "drops": source.drops if self.drops is None else self.drops(),
            "lost": source.lost,
            "reconnects": source.reconnects,
            "waits_for": getattr(source, "waits_for", None),
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the page's process."""
        threshold = self.recipe.threshold
        return {
            "uri": self.uri,
            "engine": self.engine,
            # the page's process has another working folder
            "detector": str(self.detector.resolve() if isinstance(self.detector, Path) else self.detector),
            "recipe": self.recipe.sha256,
            "threshold": threshold.value,
            "score_quantiles": self.recipe.score_quantiles,
            "sample_size": threshold.sample_size,
            "confidence": threshold.confidence,
            "method": threshold.method,
            "vouched": threshold.vouched,
        }


class Page(Closing):
    """A `Sink` that shows verdicts on a page, and a `Listener` of a line's handshake. From any thread.

    It listens at once, so that a port that is taken is told before anything is opened; `start` begins to serve.
    """

    name, essential = "live page", True  # called at once, and never raises or waits

    def __init__(self, serving: Serving) -> None:
        """Raises `InputError` where it cannot listen, and `ModuleNotFoundError` without the extra."""
        for module in EXTRAS["web"]:
            if find_spec(module) is None:
                raise ModuleNotFoundError(f"{module} is missing", name=module)
        self.serving = serving
        self._listening = _listening(serving)
        self._cameras: dict[str, Watched] = {}
        self._pause: Pausable | None = None
        self._reload: Callable[[], None] | None = None
        self._records: RecordStore | None = None
        self._parts: dict[str, Part] = {}
        self._described = 0  # how often a camera was
        self._collector = Collector()
        self._lock = threading.Lock()
        self._totals: dict[str, Totals] = {}
        self._verdicts: deque[dict[str, Any]] = deque(maxlen=VERDICTS)  # without their pictures, which are large
        self._rejects: deque[tuple[str, Frame, Verdict]] = deque(maxlen=REJECTS)
        self._newest: dict[str, tuple[Frame, Verdict]] = {}
        self._inspected: OrderedDict[int, tuple[Frame, Verdict]] = OrderedDict()  # of a line, before their results
        self._is_watched = False
        self._wake, self._closing = threading.Event(), threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._look_after, name="live page", daemon=True)

    @property
    def address(self) -> str:
        """For a browser."""
        return replace(self.serving, port=self._listening.getsockname()[1]).address

    def watch(
        self,
        camera: str | None,
        uri: str,
        location: Location,
        detector: Detector,
        source: Source | None,
        drops: Callable[[], int] | None = None,
    ) -> None:
        """Show a camera, by the name that its verdicts have; before `start`, or again where another detector judges."""
        address, engine = without_password(uri), detector.engine.description
        watched = Watched(address, engine, location, detector.recipe, source, drops)
        self._cameras[camera or ONLY] = watched
        self._totals.setdefault(camera or ONLY, Totals())
        self._described += 1

    @property
    def recipes(self) -> RecipeStore | None:
        """The folder of recipes that the page seals into; None where it has none. Raises `InputError` for a key file
        that cannot be read."""
        return self.serving.store()

    def start(
        self,
        pause: Pausable,
        records: RecordStore | None = None,
        parts: Mapping[str, Part] | None = None,
        reload: Callable[[], None] | None = None,
    ) -> None:
        """Serve. `parts` are further pieces of the state that the page shows, by name: ``controller`` of a line,
        ``drift`` where something watches it; each is asked twice a second, and must neither wait nor raise. `reload`
        puts in force, soon, what is so in the folder of recipes; None: that is done at the next start."""
        self._pause, self._records, self._parts = pause, records, dict(parts or {})
        self._reload = reload
        self._thread.start()
        say(f"live page: {self.address}")

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """See `Sink`."""
        self._take(verdict.camera or ONLY, frame, verdict, None if frame.problem else verdict.latency_ms)

    def inspected(self, acquisition_id: int, frame: Frame, verdict: Verdict) -> None:
        """What a line's detector says of a part, before its result is given."""
        with self._lock:
            self._inspected[acquisition_id] = frame, verdict
            while len(self._inspected) > 2 * BUFFER:
                self._inspected.popitem(last=False)

    def given(self, result: Result) -> None:
        """See `Listener`: what the controller is told is what the page shows."""
        with self._lock:
            frame, verdict = self._inspected.pop(result.acquisition_id, (None, None))
        shown = _of_line(result.part.part_id, result.acquisition_id, result.code, result.reason, verdict, self._limit)
        self._take(ONLY, frame, replace(shown, decided_s=time.monotonic()), result.took_ms)

    def missed(self, refusal: Refusal) -> None:
        """See `Listener`."""
        reason = f"trigger refused, {refusal.cause.name}: {refusal.reason}"
        self._take(ONLY, None, _of_line(refusal.part.part_id, 0, Code.NO_DECISION, reason, None, self._limit), None)

    def close(self) -> None:
        """Serve no more."""
        self._closing.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(2 * CLOSE_S + STUCK_S)
        self._collector.close()
        self._listening.close()

    @property
    def _limit(self) -> float:
        return next((each.recipe.threshold.value for each in self._cameras.values()), 0.0)

    def _take(self, camera: str, frame: Frame | None, verdict: Verdict, latency_ms: float | None) -> None:
        shown = _shown(camera, frame, verdict, latency_ms)
        with self._lock:
            self._totals.setdefault(camera, Totals()).add(verdict, latency_ms)
            self._verdicts.append(shown)
            if frame is None or frame.problem is not None or not frame.image.size:
                return
            if verdict.decision is not Decision.OK:
                self._rejects.append((camera, frame, verdict))
            if self._is_watched:
                self._newest[camera] = frame, verdict
        self._collector.take(camera, frame, verdict)

    def _look_after(self) -> None:
        """Run the page's process, one after the other, until the page is closed."""
        pause_s = FIRST_PAUSE_S
        while not self._closing.is_set():
            began_s = time.monotonic()
            reason = self._serve_once()
            if self._closing.is_set():
                break
            if time.monotonic() - began_s > STEADY_S:
                pause_s = FIRST_PAUSE_S
            say(f"warning: the live page {reason}, and is started again in {pause_s:g} s; inspection goes on")
            self._closing.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _serve_once(self) -> str:
        """One life of the process; how it ended."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(STUCK_S)
            try:
                with theirs:
                    descriptors = theirs.fileno(), self._listening.fileno()
                    process = self._process = subprocess.Popen(
                        [sys.executable, "-m", "runtime.web.process", *map(str, descriptors)],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        cwd=ROOT,  # `-m` looks there first
                        pass_fds=descriptors,
                        start_new_session=True,  # Ctrl-C is for the stream
                    )
            except OSError as error:
                return f"cannot be started ({error})"
            reader = threading.Thread(target=self._listen, args=(ours,), name="live page, asked", daemon=True)
            reader.start()
            try:
                reason = self._send(ours, process)
            except (OSError, ValueError) as error:
                reason = "hangs" if isinstance(error, TimeoutError) else "ended"
            except Exception:  # a fault of ours must not take the page away for good
                log.exception("the live page failed")
                reason = "failed"
            with suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)  # it ends by that
            _ended(process)
            reader.join(CLOSE_S)
            with self._lock:
                self._is_watched = False
                self._newest.clear()
        return f"{reason} with status {process.returncode}" if reason == "ended" else reason

    def _send(self, to: socket.socket, process: "subprocess.Popen[bytes]") -> str:
        described = self._described
        send(to, {"kind": "hello", **self._hello()})
        state_s = -float("inf")
        pictured_s: dict[str, float] = {}
        while not self._closing.is_set():
            if process.poll() is not None:
                return "ended"
            now_s = time.monotonic()
            if now_s - state_s >= STATE_S or self._wake.is_set():
                self._wake.clear()
                state_s = now_s
                send(to, {"kind": "state", **self._state()})
            if described != self._described:
                described = self._described
                send(to, {"kind": "cameras", "cameras": self._hello()["cameras"]})
            self._send_verdicts(to)
            self._send_pictures(to, pictured_s)
            self._wake.wait(LOOK_S)
        return "closed"

    def _send_verdicts(self, to: socket.socket) -> None:
        with self._lock:
            verdicts = list(self._verdicts)
            self._verdicts.clear()
        if verdicts:
            send(to, {"kind": "verdicts", "verdicts": verdicts})

    def _send_pictures(self, to: socket.socket, pictured_s: dict[str, float]) -> None:
        now_s = time.monotonic()
        with self._lock:
            rejects = list(self._rejects)
            self._rejects.clear()
            due = [name for name in self._newest if now_s - pictured_s.get(name, -1.0) >= PICTURE_S]
            newest = [(name, *self._newest.pop(name)) for name in due]
        pictured_s.update(dict.fromkeys(due, now_s))
        for kind, pictures in (("reject", rejects), ("picture", newest)):
            for camera, frame, verdict in pictures:
                document, pixels = pictured(kind, camera, frame, verdict)
                send(to, document, *pixels)

    def _listen(self, of: socket.socket) -> None:
        """What the page's process asks for, until it ends."""
        while True:
            try:
                message = receive(of)
            except TimeoutError:
                continue
            except (OSError, ValueError):
                return
            if message is None:
                return
            document = message[0]
            if "watched" in document:
                with self._lock:
                    self._is_watched = bool(document["watched"])
                    if not self._is_watched:
                        self._newest.clear()
            if "reload" in document and self._reload is not None:
                self._reload()
            if "collect" in document:
                self._collect(document["collect"])
                self._wake.set()
            if "pause" in document and self._pause is not None:
                self._set_pause(document["pause"])
                self._wake.set()

    def _collect(self, wanted: dict[str, Any] | None) -> None:
        if wanted is None:
            self._collector.end()
        else:
            self._collector.begin(wanted["camera"], Path(wanted["folder"]), wanted["wanted"])

    def _set_pause(self, by: object) -> None:
        assert self._pause is not None
        if by is None:
            before = self._pause.paused_by
            self._pause.resume()
            say(f"the pause of {before} is over")
        else:
            self._pause.pause(str(by))
            say(f"paused by {by}: every part is rejected")

    def _hello(self) -> dict[str, Any]:
        return {
            "serving": as_document(self.serving),
            "port": self._listening.getsockname()[1],
            "cameras": {name: camera.as_dict() for name, camera in self._cameras.items()},
            "records": None if self._records is None else str(self._records.folder.resolve()),
            "session": None if self._records is None else self._records.session,
        }

    def _state(self) -> dict[str, Any]:
        now_s = time.monotonic()
        with self._lock:
            totals = {name: (each.as_dict(), each.last_s) for name, each in self._totals.items()}
        cameras = {}
        for name, (counted, last_s) in totals.items():
            age_s = None if last_s is None else round(now_s - last_s, 3)
            counts = self._cameras[name].counts if name in self._cameras else {}
            cameras[name] = {**counted, "last_age_s": age_s, **counts}
        return {
            "cameras": cameras,
            "paused_by": None if self._pause is None else self._pause.paused_by,
            "collecting": self._collector.state,
            "reloads": self._reload is not None,
            **{name: part() for name, part in self._parts.items()},
        }


def _listening(serving: Serving) -> socket.socket:
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((serving.host, serving.port))
        found.listen(64)
    except OSError as error:
        found.close()
        raise InputError(
            f"--serve cannot listen on {serving.host}:{serving.port} ({error.strerror}); another program may have the "
            "port: choose another one"
        ) from error
    return found


def _ended(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the process; one that hangs is killed."""
    try:
        process.wait(CLOSE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def pictured(kind: str, camera: str, frame: Frame, verdict: Verdict) -> tuple[dict[str, Any], list[memoryview]]:
    """The message of a picture, with its heat map and those of its terms where the file explains itself."""
    image, values, terms = reduced(frame.image, PICTURE_SIDE), np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
    if verdict.scored_map is not None:
        values = reduced(np.asarray(verdict.scored_map, np.float32), MAP_SIDE)
    document: dict[str, Any] = {"kind": kind, "size_hw": image.shape[:2], "map_hw": values.shape, "terms_hw": (0, 0)}
    document |= _shown(camera, frame, verdict, verdict.latency_ms)
    document |= {"scores": verdict.evidence_scores, "kinds": (), "terms": {}}
    if verdict.explanation is not None:
        terms = np.ascontiguousarray(verdict.explanation.terms(TERMS_SIDE))
        document |= {"terms_hw": terms.shape[1:], "kinds": verdict.explanation.kinds}
        document["terms"] = verdict.explanation.at_the_highest()
    return document, [image.data, values.data, terms.data]


def _shown(camera: str, frame: Frame | None, verdict: Verdict, latency_ms: float | None) -> dict[str, Any]:
    """A verdict as the page has it."""
    return {
        "camera": camera,
        "frame_id": verdict.frame_id,
        "part_id": verdict.part_id,
        "at": verdict.decided_at,
        "decision": verdict.decision.value,
        "reason": verdict.reason,
        "score": verdict.score,
        "threshold": verdict.threshold,
        "recipe": verdict.recipe_sha256,
        "latency_ms": None if latency_ms is None else round(latency_ms, 2),
        "frame_hw": None if frame is None else frame.image.shape[:2],
        "regions": [{"box_xywh": each.box_xywh, "score": each.peak_score} for each in verdict.regions[:16]],
    }


def _of_line(part_id: int, number: int, code: Code, reason: str, verdict: Verdict | None, threshold: float) -> Verdict:
    """What a controller is told of a part, as a verdict."""
    decision = Decision[code.name]
    if verdict is not None:
        return replace(verdict, decision=decision, reason=reason, part_id=str(part_id), frame_id=number)
    now_s, now = time.monotonic(), time.time()
    return Verdict(decision, reason, number, str(part_id), now_s, now_s, now, now, None, threshold, (), "")
