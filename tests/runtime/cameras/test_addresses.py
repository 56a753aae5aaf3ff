"""What answers at a camera's address: streams behind a password or a redirection, and what is none."""

import base64
import hashlib
import http.server
import re

import pytest
from http_camera import Handle, answering, jpeg, part, playing, serving
from video_samples import number_of, numbered_picture

from runtime.cameras import open_source
from runtime.cameras.capture import without_password
from runtime.cameras.rtsp_udp import UdpTransport
from runtime.errors import SetupError, SourceError, WrongAddress

PICTURE = jpeg(numbered_picture(5))


def stream() -> Handle:
    return playing([part(PICTURE)] * 20, period_s=0.01)


def asking(challenge: str, accepts: "re.Pattern[str]") -> Handle:
    """A camera that streams to who answers its challenge."""

    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        if accepts.search(request.headers.get("Authorization", "")):
            stream()(request)
        else:
            answering(401, "text/html", b"who are you?", WWW_Authenticate=challenge)(request)

    return handle


def digest(user: str, password: str, uri: str) -> str:
    """RFC 2617 without a quality of protection."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    return md5(f"{md5(f'{user}:camera:{password}')}:n0nce:{md5(f'GET:{uri}')}")


BASIC = re.escape("Basic " + base64.b64encode(b"line:p@ss/word").decode())
DIGEST = f'response="{digest("line", "p@ss/word", "/video")}"'


def first_number(url: str) -> int:
    with open_source(url) as source:
        frame = source.read()
    assert frame is not None
    assert frame.problem is None
    return number_of(frame.image)


@pytest.mark.parametrize(
    ("challenge", "accepts"),
    [('Basic realm="camera"', BASIC), ('Digest realm="camera", nonce="n0nce"', DIGEST)],
)
def test_user_and_password_of_the_address_are_given_when_they_are_asked_for(challenge: str, accepts: str) -> None:
    with serving(asking(challenge, re.compile(accepts))) as url:
        assert first_number(url.replace("http://", "http://line:p%40ss%2Fword@")) == 5
        for credentials in ("", "line:s3cret@"):
            with pytest.raises(SourceError, match=r"it answers 401 .*: give the right user and password") as refused:
                open_source(url.replace("http://", f"http://{credentials}"))
            assert "s3cret" not in str(refused.value)


def test_a_redirection_is_followed() -> None:
    with serving(stream()) as url, serving(answering(302, "text/html", b"", Location=url)) as elsewhere:
        assert first_number(elsewhere) == 5


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        (answering(200, "image/jpeg", PICTURE), r"sends one picture a request \(image/jpeg\) and no stream; give the"),
        (answering(200, "text/html; charset=utf-8", b"<html>"), r"sends a page \(text/html\), perhaps to log in, and"),
    ],
)
@pytest.mark.parametrize("wait", [False, True])
def test_what_is_no_stream_is_said_at_once_and_not_waited_for(handle: Handle, message: str, wait: bool) -> None:
    with serving(handle) as url, pytest.raises(WrongAddress, match=re.escape(url) + " " + message):
        open_source(url, wait=wait)


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        (answering(404, "text/html", b"nothing"), r"it answers 404 Not Found: check the address and that it plays"),
        (answering(503, "text/html", b"busy"), r"it answers 503 Service Unavailable: check the address"),
        (playing([], "multipart/x-mixed-replace; boundary=x"), r"no picture came within 3 s"),
        (
            playing([b"junk" * 100], "video/mp4"),
            r"cannot be opened as video \(.*\); check the address and that it plays",
        ),
    ],
)
def test_other_answers_than_a_stream_are_one_sentence(handle: Handle, message: str) -> None:
    with serving(handle) as url, pytest.raises(SourceError, match=message):
        open_source(url)


def test_a_video_that_is_no_multipart_is_left_to_ffmpeg() -> None:
    with serving(playing([PICTURE] * 400, "video/x-motion-jpeg", 0.01)) as url:
        assert first_number(url) == 5


NO_PLACES = ["127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:x", "a..b", f"{'a' * 64}.local", "[::1", "u:s3cret/@b"]


@pytest.mark.parametrize("place", NO_PLACES)
@pytest.mark.parametrize(
    ("scheme", "transport"), [("rtsp", "tcp"), ("rtsp", "udp"), ("rtsps", "tcp"), ("http", None), ("https", None)]
)
@pytest.mark.parametrize("wait", [False, True])
def test_what_is_no_address_is_one_sentence_and_not_waited_for(
    scheme: str, transport: str | None, place: str, wait: bool
) -> None:
    url = f"{scheme}://{place}/x"
    message = f"{without_password(url)} is no address of a camera; expected a host's name or number and a port from 1 "
    with pytest.raises(SetupError, match=re.escape(message)) as error:
        open_source(url, rtsp_transport=transport, wait=wait)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "place", ["u:p[s@127.0.0.1:9", "127.0.0.1:9", "[::1]:9", "my_camera.invalid", "kamera.invalid."]
)
@pytest.mark.parametrize("url", ["rtsp://{}/x", "http://{}/x", "rtsp://{}?x=:99999", "rtsp://{}"])
def test_what_may_be_an_address_is_tried(url: str, place: str) -> None:
    with pytest.raises(SourceError, match="cannot be opened as video") as error:
        open_source(url.format(place))
    assert not isinstance(error.value, SetupError)


@pytest.mark.parametrize("url", ["rtsp://127.0.0.1:99999/x", "rtsp://a..b/x", "rtsp://u:s3cret[@127.0.0.1:9/x"])
def test_over_udp_what_is_no_address_is_one_sentence(url: str) -> None:
    with pytest.raises(SourceError, match=r"is no address that can be read|cannot be opened as video") as error:
        UdpTransport(url)
    assert "s3cret" not in str(error.value)
