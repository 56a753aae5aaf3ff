"""OpenCV: what it can read cameras, streams and files with."""

from dataclasses import dataclass

from runtime.doctor.findings import Finding, Status
from runtime.doctor.packages import is_importable
from runtime.doctor.probe import ask

AREA = "OpenCV"
_OWN_ON_A_JETSON = (
    "use JetPack's own: a virtual environment made with --system-site-packages, proctor installed with --no-deps, "
    "and no opencv-python of pip's"
)


@dataclass(frozen=True)
class OpenCV:
    """The OpenCV of this machine."""

    version: str | None
    camera_backends: tuple[str, ...]
    stream_backends: tuple[str, ...]
    gstreamer: bool
    ffmpeg: bool
    findings: tuple[Finding, ...]


def examine_opencv(is_jetson: bool) -> OpenCV:
    """Import OpenCV in a process of its own and ask what it was built with."""
    if not is_importable("cv2"):
        return _unusable(Status.ABSENT, "not installed", is_jetson)
    answer = ask("runtime.doctor.vendor", "opencv")
    if answer.problem is not None:
        return _unusable(Status.BROKEN, f"importing it {answer.problem}", is_jetson)
    found = answer.values
    opencv = OpenCV(
        found["version"],
        tuple(found["camera_backends"]),
        tuple(found["stream_backends"]),
        found["gstreamer"],
        found["ffmpeg"],
        (),
    )
    findings = (_about(opencv), *_lacks(opencv, is_jetson))
    return OpenCV(
        opencv.version, opencv.camera_backends, opencv.stream_backends, opencv.gstreamer, opencv.ffmpeg, findings
    )


def _about(opencv: OpenCV) -> Finding:
    text = f"{opencv.version}, cameras through {', '.join(opencv.camera_backends) or 'nothing'}"
    streams = ", ".join(opencv.stream_backends) or "nothing"
    return Finding(AREA, Status.OK, f"{text}; streams and files through {streams}", needed=True)


def _lacks(opencv: OpenCV, is_jetson: bool) -> list[Finding]:
    findings = []
    if not opencv.gstreamer:
        remedy = _OWN_ON_A_JETSON if is_jetson else "only for GStreamer pipelines: the distribution's python3-opencv"
        findings.append(Finding(AREA, Status.ABSENT, "built without GStreamer", remedy))
    if not opencv.ffmpeg:
        remedy = "pip install opencv-python-headless, whose wheel has it"
        if is_jetson:  # JetPack's OpenCV plays streams and files through GStreamer
            remedy = "only for rtsp:// and http:// cameras and video files"
        findings.append(Finding(AREA, Status.ABSENT, "built without FFmpeg", remedy))
    return findings


def _unusable(status: Status, text: str, is_jetson: bool) -> OpenCV:
    remedy = _OWN_ON_A_JETSON if is_jetson else "pip install --force-reinstall opencv-python-headless"
    if "numpy" in text:  # JetPack's and Ubuntu 22.04's OpenCV are built for NumPy 1, and pip brings a later one
        remedy = f"pip install 'numpy<2', or: {remedy}"
    return OpenCV(None, (), (), False, False, (Finding(AREA, status, text, remedy, needed=True),))
