"""GStreamer pipelines as cameras: ``gst:v4l2src ! video/x-raw,width=1280,height=720``, through PyGObject.

OpenCV's own GStreamer is not used where it has one: it tells neither what the pipeline's bus says nor which buffers are
marked as corrupted, and few of its builds have it.
"""

import re
import time
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.cameras.base import Found
from runtime.cameras.capture import Damaged, Picture, Shot, as_picture
from runtime.cameras.live import LiveSource
from runtime.channel import Channel
from runtime.errors import SetupError, SourceError

OPEN_TIMEOUT_S = 5.0  # up to the first picture: a sensor's start-up takes a second or two
STALL_S = 3.0  # without a picture
RELEASE_S = 5.0  # an element that hangs in its driver holds up the end of its pipeline
POLL_S = 0.05  # how soon a failure on the bus is seen
MISSING = (
    "GStreamer's Python binding is not installed ({}); "
    "apt-get install libgirepository1.0-dev libcairo2-dev gcc python3-dev gir1.2-gstreamer-1.0 "
    "gstreamer1.0-plugins-base gstreamer1.0-plugins-good and pip install 'PyGObject<3.52'"
)
# one buffer, the newest: what a line asks for is the part that is there now
SINK = "appsink name=proctor_sink emit-signals=true sync=false max-buffers=1 drop=true"
RAW_TAIL = f"videoconvert name=proctor_convert ! video/x-raw,format=BGR ! {SINK}"


@dataclass(eq=False)
class Arrived:
    """A sample that the pipeline delivered, not yet turned into pixels."""

    number: int  # counted from 1
    sample: Any  # Gst.Sample
    captured_s: float
    captured_at: float
    sent_as: str | None


class GstCapture:
    """A `Capture` of what a GStreamer pipeline delivers at its end.

    Raw pictures of any format are converted to BGR; JPEG goes to the product's own strict decoder. Buffers that
    GStreamer marks as corrupted, or as filling a gap, are damaged pictures. Of those that pile up before a slow reader,
    the newest.
    """

    drops = 0  # of those that arrived before the one that was read last

    def __init__(self, text: str) -> None:
        """Start a pipeline, given without its sink. Raises `SourceError` when it delivers no picture in time,
        `SetupError` where it is none or has a part that conceals damage."""
        self._gst = _gstreamer()
        self._forbidden: str | None = None
        self._failure: str | None = None
        self._arrivals = self._reads = 0
        self._samples: Channel[Arrived] = Channel(1, may_drop=lambda arrived: True)
        self._pipeline = self._parsed(text)
        self._sink = self._pipeline.get_by_name("proctor_sink")
        self._converter = self._pipeline.get_by_name("proctor_convert")  # None where the pipeline ends in JPEG
        self._handlers = [
            (self._sink, self._sink.connect("new-sample", self._take)),
            (self._pipeline, self._pipeline.connect("deep-element-added", self._added)),
        ]
        for element in _elements(self._pipeline):
            self._inspect(element)
        try:
            self._refuse_decoders()
            self._start()
            self._first: Arrived | None = self._next(OPEN_TIMEOUT_S, "it delivers no picture")
        except BaseException:
            self.release()
            raise

    def read(self) -> Shot | None:
        """See `Capture.read`."""
        arrived, self._first = self._first or self._next(STALL_S, "it stalls: no picture came"), None
        if arrived is None:
            return None
        self._reads += 1
        self.drops = arrived.number - self._reads
        buffer = arrived.sample.get_buffer()
        counted = buffer.offset_end == buffer.offset + 1  # frames; others count bytes, or nothing
        return Shot(
            self._picture(arrived.sample, buffer),
            arrived.captured_s,
            arrived.captured_at,
            buffer.offset if counted else None,
            None if buffer.pts == self._gst.CLOCK_TIME_NONE else buffer.pts,
            sent_as=arrived.sent_as,
        )

    def release(self) -> None:
        """See `Capture.release`. What hangs for more than 5 s is left behind."""
        for owner, handler in self._handlers:
            owner.disconnect(handler)
        self._handlers = []
        self._samples.abort()
        ending = Thread(target=self._pipeline.set_state, args=(self._gst.State.NULL,), daemon=True)
        ending.start()
        ending.join(RELEASE_S)

    def _parsed(self, text: str) -> Any:
        gst = self._gst
        text = re.sub(r"!\s*appsink\b[^!]*$", "", text.strip()).strip().removesuffix("!")
        try:
            tail = SINK if _ends_in_jpeg(gst, text) else RAW_TAIL
            pipeline = gst.parse_launch_full(f"{text} ! {tail}", None, gst.ParseFlags.FATAL_ERRORS)
        except _gerror() as error:
            said = error.message.replace("proctor_end", "what follows")
            raise SetupError(f"the pipeline cannot be made ({said}){_parse_advice(said)}") from error
        pipeline.use_clock(gst.SystemClock.obtain())
        return pipeline

    def _start(self) -> None:
        gst = self._gst
        if self._pipeline.set_state(gst.State.PLAYING) == gst.StateChangeReturn.FAILURE:
            raise SourceError(self._bus_failure() or "it does not start, and says no reason")

    def _take(self, sink: Any) -> Any:
        """Called by the pipeline's own thread, with a sample at hand."""
        sample = sink.emit("pull-sample")
        if sample is not None:
            self._arrivals += 1
            self._samples.put(
                Arrived(self._arrivals, sample, time.monotonic(), time.time(), self._upstream_format(sample))
            )
        return self._gst.FlowReturn.OK

    def _upstream_format(self, sample: Any) -> str | None:
        """How the pipeline sends its pictures, before they become BGR."""
        if self._converter is None:
            return "JPEG"
        caps = self._converter.get_static_pad("sink").get_current_caps()
        form: str | None = caps.get_structure(0).get_string("format") if caps else None
        return form

    def _next(self, timeout_s: float, stalled: str) -> Arrived | None:
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            arrived = self._samples.get(min(POLL_S, left_s))
            self._refuse_decoders()
            self._failure = self._failure or self._bus_failure()
            if arrived is not None:
                return arrived
            if self._failure:
                raise SourceError(self._failure)
        raise SourceError(f"{stalled} within {timeout_s:g} s")

    def _bus_failure(self) -> str | None:
        """What the bus says of an error or the end; all else on it is thrown away."""
        gst = self._gst
        message = self._pipeline.get_bus().pop_filtered(gst.MessageType.ERROR | gst.MessageType.EOS)
        if message is None:
            return None
        if message.type == gst.MessageType.EOS:
            return "its stream ended"
        error, detail = message.parse_error()
        reason = (detail or "").strip().splitlines()
        said = error.message.strip().rstrip(".")
        more = f": {reason[-1].strip().rstrip('.')}" if len(reason) > 1 else ""
        return f"{message.src.get_name()} says: {said}{more}{_advice(said + more)}"

    def _added(self, pipeline: Any, folder: Any, element: Any) -> None:
        self._inspect(element)

    def _inspect(self, element: Any) -> None:
        factory = element.get_factory()
        kind = factory.get_metadata("klass") if factory else ""
        if "Decoder" in kind and ("Video" in kind or "Image" in kind):
            self._forbidden = factory.get_name()

    def _refuse_decoders(self) -> None:
        """GStreamer's decoders fill what is missing in a picture, or after one, and few of them mark it."""
        if self._forbidden is not None:
            raise SetupError(
                f"{self._forbidden} in the pipeline fills in what is missing in a picture, and nobody would see it; "
                "end the pipeline at image/jpeg, which is decoded strictly here, or give rtsp://…, http://… or a file "
                "as the camera"
            )

    def _picture(self, sample: Any, buffer: Any) -> Picture:
        flags = self._gst.BufferFlags
        if buffer.has_flags(flags.CORRUPTED):
            return Damaged("GStreamer marks it as corrupted")
        if buffer.has_flags(flags.GAP) or buffer.has_flags(flags.DECODE_ONLY):
            return Damaged("GStreamer put it in for one that is missing")
        data = buffer.extract_dup(0, buffer.get_size())
        if self._converter is None:
            return as_picture(data)
        caps = sample.get_caps().get_structure(0)
        return _bgr(data, caps.get_int("height")[1], caps.get_int("width")[1])


def _bgr(data: bytes, height: int, width: int) -> Picture:
    """Rows begin at multiples of four bytes: GStreamer's own layout, which the sink's elements keep to."""
    stride = -(-3 * width // 4) * 4
    if len(data) != stride * height:
        return Damaged(f"{len(data):,} bytes arrived; {width}×{height} pixels have {stride * height:,}")
    rows: NDArray[np.uint8] = np.frombuffer(data, np.uint8).reshape(height, stride)
    return np.ascontiguousarray(rows[:, : 3 * width]).reshape(height, width, 3)


def _gstreamer() -> Any:
    """The binding, started. Raises `SetupError` with how to get it: waiting brings none."""
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError) as error:
        raise SetupError(MISSING.format(error)) from error
    Gst.init(None)
    return Gst


def has_element(name: str) -> bool:
    """Whether this machine's GStreamer has an element of that name; False without GStreamer."""
    try:
        return _gstreamer().ElementFactory.find(name) is not None
    except SetupError:
        return False


def _gerror() -> Any:
    from gi.repository import GLib

    return GLib.Error


def _ends_in_jpeg(gst: Any, text: str) -> bool:
    """Whether the pipeline delivers JPEG and nothing else."""
    trial = gst.parse_bin_from_description(f"{text} ! identity name=proctor_end", False)
    caps = trial.get_by_name("proctor_end").get_static_pad("sink").peer_query_caps(None)
    if caps.is_any():  # what comes before has no pad yet, or says nothing
        return False
    return {caps.get_structure(at).get_name() for at in range(caps.get_size())} == {"image/jpeg"}


def _elements(pipeline: Any) -> list[Any]:
    found, iterator = [], pipeline.iterate_recurse()
    while (item := iterator.next())[0] == 1:  # Gst.IteratorResult.OK
        found.append(item[1])
    return found


def _parse_advice(said: str) -> str:
    if found := re.search(r'no element "([^"]*)"', said):
        return (
            f"; find what brings it: gst-inspect-1.0 {found[1]}, or apt-get install gstreamer1.0-plugins-good "
            "gstreamer1.0-plugins-bad"
        )
    return "; try it with gst-launch-1.0, ending in ! fakesink"


_REMEDIES = (  # words of GStreamer's elements, and what to do
    ("permission denied", "add the user to the group 'video'"),
    ("busy", "close the other program that uses it"),
    ("no such file", "check its path, and that it is plugged in"),
    ("cannot identify device", "check its path, and that it is plugged in"),
    ("not-negotiated", "it cannot deliver the size, rate or format that the pipeline asks for"),
)


def _advice(said: str) -> str:
    return next((f"; {advice}" for words, advice in _REMEDIES if words in said.lower()), "")


def list_gst() -> list[Found]:
    """Whether this machine has GStreamer. Raises `SetupError` where it does not."""
    return [Found(None, f"gst:PIPELINE: {_gstreamer().version_string()} is here; try 'gst:videotestsrc is-live=true'")]


def open_gst(
    uri: str, reconnect_limit: int | None = None, wait: bool = False, accept_size_change: bool = False
) -> LiveSource:
    """``gst:PIPELINE``, as for gst-launch-1.0 and without a sink. Raises `SourceError` when it cannot be opened."""
    text = uri.partition(":")[2].strip()
    name = f"gst:{text.split()[0] if text else ''}"
    opener = partial(capture_of, text, name)
    return LiveSource(name, opener, reconnect_limit, wait=wait, accept_size_change=accept_size_change)


def capture_of(text: str, name: str) -> GstCapture:
    """A pipeline that delivers. Raises `SourceError` that names it."""
    try:
        return GstCapture(text)
    except SourceError as error:
        raise type(error)(f"{name} cannot be opened: {error}") from error
