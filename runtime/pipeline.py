"""The pipeline: capture, inference and output side by side, from a source to verdicts in the order of the frames."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread

from runtime.cameras.base import Source
from runtime.channel import Channel
from runtime.detector import Detector, Pending
from runtime.drift import DriftWatch
from runtime.errors import SourceError, SourceTimeout
from runtime.frames import Frame
from runtime.pause import Pause
from runtime.summary import Summary
from runtime.threads import run_to_the_end
from runtime.verdict import Decision, Verdict

Sink = Callable[[Frame, Verdict], None]

POLL_S = 0.2  # how soon a stop is seen while no frame comes
HAND_OVER_S = 0.01  # a file's next frame takes so long to read and hand over, and meanwhile the engine has work
RESULT_TIMEOUT_S = 30.0  # after which a frame at the engine is given up as NO_DECISION
VERDICT_QUEUE = 4


class Pipeline:
    """Runs a source through a detector into `sink`, once. Source and detector stay the caller's, to be closed after.

    A live source is never held up: one frame waits for the engine, the newest, and older ones are dropped and counted.
    Frames with a `problem` are not dropped. Any other source is read at the pace of the engine, without drops.

    Of a triggered source no frame is dropped, since each is a part's. Those that the engine cannot take in time wait in
    the source, which refuses further triggers for them. A verdict that comes after its frame's deadline is NO_DECISION;
    the deadline is looked at right before `sink` is called, which is the moment that counts as the output.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector,
        sink: Sink,
        max_frames: int | None = None,
        result_timeout_s: float = RESULT_TIMEOUT_S,
        *,
        drift: DriftWatch | None = None,
        pause: Pause | None = None,
    ) -> None:
        """`sink` is called from one thread, with each frame and its verdict. `max_frames` (1 or more) ends the run.
        `drift` is a watch that knows something already; None: a new one. While somebody has `pause` on, every verdict
        is NO_DECISION."""
        self._source, self._detector, self._sink = source, detector, sink
        self._pause = pause or Pause()
        self._max_frames, self._result_timeout_s = max_frames, result_timeout_s
        # With work under way: of a camera only a frame that is there already, since waiting would delay the one before
        self._patience_s = 0.0 if source.live else HAND_OVER_S
        may_drop = _has_picture if source.live and source.pairs_by is None else None
        self._frames: Channel[Frame] = Channel(1, may_drop)
        self._verdicts: Channel[tuple[Frame, Verdict, Detector]] = Channel(VERDICT_QUEUE)
        self._changes: deque[Callable[[], Detector]] = deque()
        self._stopping = Event()
        self._errors: list[BaseException] = []
        self._summary = Summary(detector.recipe.threshold)
        self.drift = DriftWatch(detector.recipe) if drift is None else drift

    def run(self) -> Summary:
        """Work until the stream ends, `max_frames` are done or `stop` is called, and return the summary.

        Raises what the source or the sink raised, a `SourceError` after the verdicts on what came before; all threads
        have ended when this returns. In the main thread, a KeyboardInterrupt gives up what is under way; a thread that
        hangs in a driver is then left behind.
        """
        works = {"capture": self._capture, "inference": self._infer, "output": self._deliver}
        threads = [Thread(target=self._guarded, args=(work,), name=name, daemon=True) for name, work in works.items()]
        run_to_the_end(threads, self._abort)  # by an impatient second Ctrl-C what is under way is given up
        if self._errors:
            raise self._errors[0]
        return self.summary

    @property
    def drops(self) -> int:
        """Frames that nobody took in time, so far. From any thread."""
        return self._frames.drops + self._source.drops

    @property
    def summary(self) -> Summary:
        """What was delivered so far: to be asked once `run` has ended, also where it raised."""
        self._summary.drops = self.drops
        self._summary.lost, self._summary.unpaired = self._source.lost, dict(self._source.unpaired)
        self._summary.reconnects = self._source.reconnects
        self._summary.drift = self.drift.state
        return self._summary

    def change(self, make: Callable[[], Detector]) -> None:
        """Let another detector judge what comes. `make` closes the one at work and returns its successor, which is the
        caller's to be closed; it is called when what is under way has its verdicts, in a thread of the pipeline's.
        Meanwhile a live camera's frames are dropped, and triggers miss their deadlines. What `make` raises ends the
        run. From any thread.
        """
        self._changes.append(make)

    def stop(self) -> None:
        """Capture no more and let `run` return once the frames and triggers under way have their verdicts. From any
        thread or signal handler."""
        self._stopping.set()

    def give_up(self) -> None:
        """Let `run` return at once, without what is under way; a thread that hangs in a driver is left behind. From any
        thread."""
        self._abort()

    def _capture(self) -> None:
        try:
            while not self._stopping.is_set() and self._frames.wait_for_room():
                try:
                    frame = self._source.read(POLL_S)
                except SourceTimeout:
                    continue  # a live source reports its own losses
                if frame is None or not self._frames.put(frame):
                    return
            self._finish()
        except SourceError as error:
            self._errors.append(error)  # nothing is given up: what was captured before gets its verdict
        finally:
            self._frames.close()

    def _finish(self) -> None:
        """Read the frames of the triggers that are under way; in free run there are none."""
        if self._source.pairs_by is None:
            return
        self._source.finish()
        while self._frames.wait_for_room():
            try:
                frame = self._source.read(POLL_S)
            except SourceTimeout:
                continue
            if frame is None or not self._frames.put(frame):
                return

    def _infer(self) -> None:
        """Keep the engine's slots filled, and pass verdicts on in order."""
        pending: deque[Pending] = deque()
        taken = 0
        try:
            while True:
                if self._changes and not pending:
                    self._detector = self._changes.popleft()()
                detector = self._detector
                while not self._changes and len(pending) < detector.room and taken != self._max_frames:
                    frame = self._frames.get(timeout_s=self._patience_s if pending else POLL_S)
                    if frame is None:
                        break
                    taken += 1
                    pending.append(detector.submit(frame))
                if not pending:
                    if taken == self._max_frames or self._frames.finished:
                        return
                    continue
                oldest = pending.popleft()
                verdict = detector.result(oldest, self._patience_for(oldest.frame))
                if not self._verdicts.put((oldest.frame, verdict, detector)):
                    return
        finally:
            self._frames.abort()
            self._verdicts.close()

    def _deliver(self) -> None:
        judging: Detector | None = None
        while (item := self._verdicts.get()) is not None:
            frame, verdict, detector = item
            if detector is not judging:
                judging = detector
                self._summary.threshold = detector.recipe.threshold
                self.drift.follow(detector.recipe)
            verdict = self._unless_paused(frame, self._in_time(frame, verdict, detector), detector)
            self._summary.add(frame, verdict)
            self.drift.add(verdict)
            self._sink(frame, verdict)

    def _patience_for(self, frame: Frame) -> float:
        """How long the engine is waited for: after its deadline a frame has no use, and those behind it have."""
        if frame.deadline_s is None:
            return self._result_timeout_s
        return min(self._result_timeout_s, max(0.0, frame.deadline_s - time.monotonic()))

    def _in_time(self, frame: Frame, verdict: Verdict, detector: Detector) -> Verdict:
        """The verdict with the time of its output, or NO_DECISION in its place where that is after the deadline."""
        if frame.deadline_s is None or frame.triggered_s is None:
            return verdict
        now_s = time.monotonic()
        if now_s >= frame.deadline_s and frame.problem is None:
            took_ms, deadline_ms = (1e3 * (end_s - frame.triggered_s) for end_s in (now_s, frame.deadline_s))
            reason = f"late: {took_ms:.0f} ms after its trigger, the deadline was {deadline_ms:g} ms"
            if verdict.decision is Decision.NO_DECISION:
                reason += f"; {verdict.reason}"
            late = detector.no_decision(frame, reason)
            # the time of the decision stays, to tell what took so long
            verdict = replace(late, decided_s=verdict.decided_s, decided_at=verdict.decided_at)
        return replace(verdict, output_s=now_s)

    def _unless_paused(self, frame: Frame, verdict: Verdict, detector: Detector) -> Verdict:
        reason = self._pause.reason
        if reason is None:
            return verdict
        held = detector.no_decision(frame, reason)
        return replace(held, decided_s=verdict.decided_s, decided_at=verdict.decided_at, output_s=verdict.output_s)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run one thread's work; whatever it raises ends the others and is raised by `run`."""
        try:
            work()
        except BaseException as error:
            self._errors.append(error)
            self._abort()

    def _abort(self) -> None:
        self._stopping.set()
        self._frames.abort()
        self._verdicts.abort()


def _has_picture(frame: Frame) -> bool:
    return frame.problem is None
