"""MJPEG cameras over HTTP, read without FFmpeg, which would fill a picture that did not arrive whole."""

import ssl
import time
import urllib.error
import urllib.request
from collections import deque
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from runtime.cameras.backlog import Newest, Watch
from runtime.cameras.capture import Picture, as_picture, without_password
from runtime.cameras.multipart import JpegParts
from runtime.errors import SourceError, WrongAddress

TIMEOUT_S = 3.0  # for the connection, and for each time without a single byte
PICTURE_TIMEOUT_S = 10.0  # bytes came, but no picture
CHUNK = 2**16
ADVICE = "check the address and that it plays"
STREAM_ADVICE = "give the address of the camera's MJPEG stream (or rtsp://…)"
_PAGES = ("text/html", "application/xhtml+xml", "application/json")
_SAFE = "/%:=&?~+!$,;'@()*[]"  # what stands in an address for itself


class HttpCapture:
    """A `Capture` of the JPEG pictures in an HTTP answer that does not end.

    Of those that pile up before a slow reader, the `Newest`.
    """

    sent_as = "mjpeg"

    def __init__(self, response: HTTPResponse, boundary: str) -> None:
        """Raises `SourceError` when no picture comes."""
        self._response = response
        self._parts, self._complete = JpegParts(boundary), deque[bytes]()
        self._watch = Watch()
        self._newest = Newest(self._watch, self._next_jpeg)
        if self._newest.first is None:
            self.release()
            raise SourceError(f"no picture came within {TIMEOUT_S:g} s")

    @property
    def drops(self) -> int:
        """See `Capture.drops`."""
        return self._newest.drops

    def read(self) -> Picture | None:
        """See `Capture.read`."""
        jpeg = self._newest.read()
        return None if jpeg is None else as_picture(jpeg)

    def release(self) -> None:
        """See `Capture.release`."""
        self._response.close()

    def _next_jpeg(self) -> bytes | None:
        deadline_s = time.monotonic() + PICTURE_TIMEOUT_S
        while not self._complete:
            try:
                data = self._watch.receive(self._chunk)
                self._complete.extend(self._parts.feed(data))
            except (OSError, HTTPException):
                return None
            except ValueError as error:
                raise SourceError(f"it sent {error}; {STREAM_ADVICE}") from error
            if not data or time.monotonic() > deadline_s:
                return None
        return self._complete.popleft()

    def _chunk(self) -> bytes:
        return self._response.read1(CHUNK)


def open_http(url: str) -> HttpCapture | None:
    """The camera at an ``http://`` or ``https://`` address, or None where it sends no multipart MJPEG but some video.

    Raises `SourceError` when nothing can be had there, `WrongAddress` for a single picture and for a page.
    """
    shown = without_password(url)
    try:
        response = _opener(url).open(_request(url), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(f"{shown} cannot be opened as video ({_refusal(error)})") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        cause = getattr(reason, "strerror", None) or type(reason).__name__
        raise SourceError(f"{shown} cannot be opened as video ({cause}); {ADVICE}") from error
    try:
        return _capture(response, shown)
    except BaseException:
        response.close()
        raise


def _capture(response: HTTPResponse, shown: str) -> HttpCapture | None:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/"):
        raise WrongAddress(f"{shown} sends one picture a request ({kind}) and no stream; {STREAM_ADVICE}")
    if kind in _PAGES:
        raise WrongAddress(f"{shown} sends a page ({kind}), perhaps to log in, and no video; {STREAM_ADVICE}")
    if not kind.startswith("multipart/"):
        response.close()
        return None
    try:
        return HttpCapture(response, response.headers.get_boundary("") or "")
    except SourceError as error:
        raise SourceError(f"{shown} cannot be opened as video ({error}); {ADVICE}") from error


def _request(url: str) -> urllib.request.Request:
    parts = urlsplit(url)
    place = f"{quote(parts.path or '/', _SAFE)}{parts.query and '?' + quote(parts.query, _SAFE)}"
    return urllib.request.Request(f"{_root(url)}{place}")


def _root(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Knows user and password of the address. Asks no proxy and no authority: cameras stand nearby and sign for
    themselves."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the authorities, which take 50 ms to load
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=unverified),
    ]
    user, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    if user:
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, _root(url), unquote(user), unquote(password))
        handlers += [_Digest(passwords), _Basic(passwords)]
    return urllib.request.build_opener(*handlers)


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Closes the answer that asks for a password, which urllib leaves open."""

    def http_error_401(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)


class _Basic(urllib.request.HTTPBasicAuthHandler):
    """As `_Digest`."""

    def http_error_401(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)


def _refusal(error: urllib.error.HTTPError) -> str:
    answer = f"it answers {error.code} {error.reason}"
    if error.code == 401:
        return f"{answer}: give the right user and password, as http://user:password@host/…"
    return f"{answer}: {ADVICE}"
