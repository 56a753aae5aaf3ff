"""An RTSP camera for tests: ``python3 rtsp_camera.py PORT [FILE]`` plays on rtsp://127.0.0.1:PORT/line.

It shows a bouncing ball in MJPEG, or an MP4 file in H.264, or a Matroska file in MJPEG, in small RTP packets. Its port
and ``tcp`` make it one that refuses UDP.

Runs under the system's Python, which alone has GStreamer's bindings.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

# the ball moves by the clock: by frames, a camera that was opened again could show the very picture it was lost with
PLAY = (
    "( videotestsrc is-live=true pattern=ball animation-mode=wall-time"
    " foreground-color=0xff808080 background-color=0xff707070"
    " ! video/x-raw,format=I420,width=96,height=64,framerate=20/1 ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)

PLAY_FILE = "( filesrc location={} ! qtdemux ! rtph264pay name=pay0 pt=96 mtu=300 config-interval=-1 )"
PLAY_JPEGS = "( filesrc location={} ! matroskademux ! image/jpeg ! rtpjpegpay name=pay0 pt=26 mtu=300 )"


def main() -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    shown = sys.argv[2] if len(sys.argv) > 2 else ""
    if shown == "tcp":
        factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
    play = {".mp4": PLAY_FILE, ".mkv": PLAY_JPEGS}.get(shown[-4:], PLAY)
    factory.set_launch(play.format(shown))
    factory.set_shared(True)
    server.get_mount_points().add_factory("/line", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
