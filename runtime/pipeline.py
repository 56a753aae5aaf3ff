"""The pipeline: capture, inference and output side by side, from a source to verdicts in the order of the frames."""

from collections import deque
from collections.abc import Callable
from threading import Event, Thread

from runtime.cameras.base import Source
from runtime.channel import Channel
from runtime.detector import Detector, Pending
from runtime.errors import SourceError, SourceTimeout
from runtime.frames import Frame
from runtime.summary import Summary
from runtime.verdict import Verdict

Sink = Callable[[Frame, Verdict], None]

POLL_S = 0.2  # how soon a stop is seen while no frame comes
HAND_OVER_S = 0.01  # a file's next frame takes so long to read and hand over, and meanwhile the engine has work
RESULT_TIMEOUT_S = 30.0  # after which a frame at the engine is given up as NO_DECISION
VERDICT_QUEUE = 4
ABORT_S = 1.0  # for each thread to end once its work is given up


class Pipeline:
    """Runs a source through a detector into `sink`, once. Source and detector stay the caller's, to be closed after.

    A live source is never held up: one frame waits for the engine, the newest, and older ones are dropped and counted.
    Frames with a `problem` are not dropped. Any other source is read at the pace of the engine, without drops.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector,
        sink: Sink,
        max_frames: int | None = None,
        result_timeout_s: float = RESULT_TIMEOUT_S,
    ) -> None:
        """`sink` is called from one thread, with each frame and its verdict. `max_frames` (1 or more) ends the run."""
        self._source, self._detector, self._sink = source, detector, sink
        self._max_frames, self._result_timeout_s = max_frames, result_timeout_s
        # With work under way: of a camera only a frame that is there already, since waiting would delay the one before
        self._patience_s = 0.0 if source.live else HAND_OVER_S
        self._frames: Channel[Frame] = Channel(1, may_drop=_has_picture if source.live else None)
        self._verdicts: Channel[tuple[Frame, Verdict]] = Channel(VERDICT_QUEUE)
        self._stopping = Event()
        self._errors: list[BaseException] = []
        self._summary = Summary(detector.recipe.threshold)

    def run(self) -> Summary:
        """Work until the stream ends, `max_frames` are done or `stop` is called, and return the summary.

        Raises what the source or the sink raised, a `SourceError` after the verdicts on what came before; all threads
        have ended when this returns. In the main thread, a KeyboardInterrupt gives up what is under way; a thread that
        hangs in a driver is then left behind.
        """
        works = {"capture": self._capture, "inference": self._infer, "output": self._deliver}
        threads = [Thread(target=self._guarded, args=(work,), name=name, daemon=True) for name, work in works.items()]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:  # an impatient second Ctrl-C: what is under way is given up
            self._abort()
            for thread in threads:
                thread.join(ABORT_S)
            raise
        if self._errors:
            raise self._errors[0]
        return self.summary

    @property
    def summary(self) -> Summary:
        """What was delivered so far: to be asked once `run` has ended, also where it raised."""
        self._summary.drops = self._frames.drops + self._source.drops
        self._summary.reconnects = self._source.reconnects
        return self._summary

    def stop(self) -> None:
        """Capture no more and let `run` return once the frames under way have their verdicts. From any thread or signal
        handler."""
        self._stopping.set()

    def _capture(self) -> None:
        try:
            while not self._stopping.is_set() and self._frames.wait_for_room():
                try:
                    frame = self._source.read(POLL_S)
                except SourceTimeout:
                    continue  # a live source reports its own losses
                if frame is None or not self._frames.put(frame):
                    return
        except SourceError as error:
            self._errors.append(error)  # nothing is given up: what was captured before gets its verdict
        finally:
            self._frames.close()

    def _infer(self) -> None:
        """Keep the engine's slots filled, and pass verdicts on in order."""
        pending: deque[Pending] = deque()
        taken = 0
        try:
            while True:
                while len(pending) < self._detector.engine.slots and taken != self._max_frames:
                    frame = self._frames.get(timeout_s=self._patience_s if pending else None)
                    if frame is None:
                        break
                    taken += 1
                    pending.append(self._detector.submit(frame))
                if not pending:
                    return
                oldest = pending.popleft()
                verdict = self._detector.result(oldest, self._result_timeout_s)
                if not self._verdicts.put((oldest.frame, verdict)):
                    return
        finally:
            self._frames.abort()
            self._verdicts.close()

    def _deliver(self) -> None:
        while (item := self._verdicts.get()) is not None:
            self._summary.add(*item)
            self._sink(*item)

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
