"""What somebody tries who should not be let in, and the answer: the table of runtime/web/SECURITY.md, row by row."""

import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest
from tries import tried
from waiting import until
from web_samples import Alone, Browser, browsing, certificate, server_alone, users_file

from runtime.errors import InputError
from runtime.web import desk, guard, live
from runtime.web.app import ROUTES, static_files
from runtime.web.serving import Serving, parse_serving
from runtime.web.sessions import FREE_TRIES, Sessions, Tries
from runtime.web.users import Role, User

ANSWER_S = 10.0
EVIL = "http://evil.example"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """A page with users, on this machine alone."""
    with server_alone(Serving("127.0.0.1", 0, users=str(users_file(tmp_path_factory.mktemp("page"))))) as alone:
        yield alone


@pytest.fixture
def browser(page: Alone) -> Iterator[Browser]:
    page.desk.tries = Tries()
    with browsing(page.base) as made:
        yield made


def raw(port: int, data: bytes, *more: bytes) -> bytes:
    """What comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_S) as connection:
        found = b""
        try:
            connection.sendall(data)
            for each in more:
                connection.sendall(each)
            while piece := connection.recv(65536):
                found += piece
        except ConnectionError:  # cut off, with or without an answer
            pass
        return found


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def request(path: str, host: str = "127.0.0.1", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]).encode()


def cookies_of(browser: Browser) -> str:
    return "; ".join(f"{name}={value}" for name, value in browser.http.cookies.items())


UP = ("..", "%2e%2e", "%252e%252e", "%c0%ae%c0%ae", "....", "..;", "..%00", "%2e%2e%2e")  # of a folder
SLASH = ("/", "%2f", "%252f", "\\", "%5c", "//", "%c0%af")
PLACES = ("static", "api/records", "api/rejects", "api/cameras/camera", "")


@tried(
    "`..` to other files: encoded once, twice or too long, with backslashes, with zeros",
    "404; no path of a request reaches a file system",
)
def test_no_path_reaches_a_file_that_is_not_the_pages_own(page: Alone, browser: Browser) -> None:
    browser.log_in("erna")
    own = ("/static//etc/passwd", "/static/page.css/../../users.yaml", "/api/records/-1.jpg", "file:///etc/passwd")
    with closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=ANSWER_S)) as connection:
        for path in [*own, *(f"/{place}/{slash.join([up] * 8)}{slash}{name}" for place in PLACES for up in UP
                            for slash in SLASH for name in ("etc/passwd", "users.yaml", "1.jpg"))]:  # fmt: skip
            connection.putrequest("GET", path)
            connection.putheader("Cookie", cookies_of(browser))
            connection.endheaders()
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (404, b'{"error":"Not Found"}'), path


@tried("numbers of a path that are too large for SQLite, or for Python", "404")
def test_a_number_too_large_is_not_found(page: Alone, browser: Browser) -> None:
    browser.log_in("erna")
    for digits in (18, 19, 40, 5000):
        for place in ("records", "rejects", "cameras/camera"):
            answer = browser.get(f"/api/{place}/{'9' * digits}.jpg")
            expected = (404, 409) if digits < 19 and place == "records" else (404,)  # here nothing is recorded
            assert answer.status_code in expected, answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "10.0.0.1", "[::1"]
)
@tried("a name that another site's DNS points here (rebinding)", "421, for every path")
def test_a_name_that_somebody_elses_dns_points_here_is_no_name_of_the_page(page: Alone, host: str) -> None:
    for path in ("/", "/api/session", "/healthz", "/metrics"):
        answer = raw(page.port, request(path, host, "X-Forwarded-Host: 127.0.0.1", "Forwarded: host=127.0.0.1"))
        assert status_of(answer) == 421
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].startswith("this page is not reached by that name")


@tried("two hosts, none", "400")
def test_a_request_of_two_hosts_or_none_is_refused(page: Alone) -> None:
    assert status_of(raw(page.port, request("/", "127.0.0.1", "Host: evil.example"))) == 400
    assert status_of(raw(page.port, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")) == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9", "LOCALHOST", "[::1]:8080"])
def test_this_machines_own_names_are_the_pages(page: Alone, host: str) -> None:
    assert status_of(raw(page.port, request("/", host))) == 200


def test_a_page_for_others_knows_addresses_and_the_names_it_was_given() -> None:
    remote = guard.Guard(None, Serving("0.0.0.0", 1, hosts="station-3.plant.example, hmi"))  # type: ignore[arg-type]
    ours = ("10.1.2.3:8443", "[fe80::1]:8443", "station-3.plant.example:8443", "HMI", "localhost")
    assert all(remote._is_ours(host) for host in ours)
    assert not any(remote._is_ours(host) for host in ("evil.example", "plant.example", "hmi.evil.example", ""))


@tried("a body of 1 GB, one without an end", "413, 411, unread; 16 KiB are the most")
def test_a_body_that_is_too_long_is_not_read(page: Alone) -> None:
    head = "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    assert status_of(raw(page.port, f"{head}Content-Length: {10**9}\r\n\r\n".encode())) == 413
    endless = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert status_of(raw(page.port, endless)) == 411
    answer = raw(page.port, endless, *[b"400\r\n" + b"a" * 1024 + b"\r\n"] * 64)  # cut off while it comes
    assert answer == b"" or status_of(answer) == 411
    assert status_of(raw(page.port, f"{head}Content-Length: -5\r\n\r\n".encode())) == 400


@tried("a head of 1 MB, by one header, by many or by the address", "400 or cut off")
def test_a_head_that_is_too_long_ends_the_connection(page: Alone) -> None:
    for head in (b"/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 10**6,
                 b"/ HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: a\r\n" * 2 * 10**5, b"/" + b"a" * 10**6):  # fmt: skip
        answer = raw(page.port, b"GET " + head)
        assert answer == b"" or status_of(answer) == 400


@tried("a length that is said twice, and one beside chunks (smuggling)", "400, 411, and the connection ends")
def test_one_connection_holds_no_second_request_that_is_hidden(page: Alone) -> None:
    head = "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    hidden = "0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for lengths, expected in (
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        (f"Content-Length: {len(hidden)}\r\nTransfer-Encoding: chunked\r\n", 411),
        ("Transfer-Encoding: chunked, identity\r\n", 400),
    ):
        answer = raw(page.port, f"{head}{lengths}\r\n{hidden}".encode())
        assert status_of(answer) == expected
        assert answer.count(b"HTTP/1.1 ") == 1


@tried("`OPTIONS` of another site, `TRACE`, `PUT`, `DELETE`", "405, and no other site is let in")
def test_no_other_method_is_served(page: Alone, browser: Browser) -> None:
    browser.log_in("erna")
    for method in ("OPTIONS", "TRACE", "PUT", "DELETE", "PATCH"):
        for path, allowed in (("/api/pause", {"POST"}), ("/api/rejects", {"GET", "HEAD"}), ("/", {"GET", "HEAD"})):
            answer = browser.http.request(method, path, headers={"origin": EVIL})
            assert answer.status_code == 405
            assert set(answer.headers["allow"].split(", ")) == allowed
            assert not [name for name in answer.headers if name.startswith("access-control")]


@tried(
    "JSON that is none, nested 16,000 deep, with other fields, other types or half characters", "400 with a sentence"
)
def test_what_is_no_json_of_the_fields_gets_a_sentence(browser: Browser) -> None:
    def posted(**options: object) -> httpx.Response:
        headers = {"x-csrf-token": browser.csrf, "content-type": "application/json"}
        return browser.http.post("/api/login", headers=headers | options.pop("headers", {}), **options)  # type: ignore

    assert posted(content=b"{").json() == {"error": "the body is no JSON"}
    assert posted(content=b"[" * 16_000).status_code == 400
    assert posted(content=b"[]").json() == {"error": "the body is no JSON object"}
    assert posted(json={"name": "vera"}).json() == {"error": "password is missing: of the user"}
    assert posted(json={"name": ["vera"], "password": "x"}).status_code == 400
    assert posted(json={"name": "vera", "password": "x" * 300}).status_code == 400
    assert "admin is not known here" in posted(json={"name": "v", "password": "x", "admin": 1}).json()["error"]
    half = posted(content=b'{"\\ud800": 1}')  # of a character: it cannot be sent back
    assert (half.status_code, "is not known here" in half.json()["error"]) == (400, True)
    for odd in (5, True, None, {}, 1.5):
        assert posted(json={"name": odd, "password": "x"}).json() == {"error": "name is none: of the user"}
    browser.log_in("otto")
    for odd in (1.5, "1", True, 1e400):
        answer = browser.http.post("/api/marks", content=json.dumps({"record": odd, "mark": "missed"}), headers={
            "x-csrf-token": browser.csrf, "content-type": "application/json"
        })  # fmt: skip
        assert (answer.status_code, answer.json()) == (400, {"error": "record is none: number of the record"})
    assert posted(content=b"a=b", headers={"content-type": "application/x-www-form-urlencoded"}).status_code == 415


@tried("a head byte by byte (slowloris), on a kept connection, too", "cut off after 10 s")
def test_a_head_that_comes_too_slowly_is_cut_off(page: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REQUEST_S", 0.3)
    assert raw(page.port, b"GET / HTTP/1.1\r\nHos") == b""
    assert raw(page.port, b"") == b""
    with socket.create_connection(
        ("127.0.0.1", page.port), ANSWER_S
    ) as kept:  # also the second request of a connection
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200 OK" in kept.recv(65536)
        kept.sendall(b"GET /healthz HT")
        assert until(lambda: kept.recv(65536) == b"")


@tried(
    "300 connections that send half a head, or half a body",
    "the oldest make room: whoever sends a request whole is answered",
)
def test_connections_that_wait_keep_nobody_out(page: Alone, browser: Browser) -> None:
    post = (
        f"POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
        f"Cookie: {cookies_of(browser)}\r\nX-CSRF-Token: {browser.csrf}\r\n\r\n{{"
    )
    with ExitStack() as opened:
        slow = []
        for number in range(300):
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", page.port), ANSWER_S))
            connection.sendall(post.encode() if number % 2 else b"GET / HTTP/1.1\r\nHos")
            slow.append(connection)
        for _ in range(5):
            assert httpx.get(f"{page.base}/healthz", trust_env=False, timeout=ANSWER_S).status_code == 200
        waiting = [each for each in guard.CONNECTIONS.values() if each.is_waiting]
        assert len(waiting) <= guard.MOST_WAITING
        assert {each.client for each in waiting} >= {each.getsockname() for each in slow[-20:]}  # the newest


@tried("a body byte by byte", "408 after 5 s")
def test_a_body_that_comes_too_slowly_is_cut_off(
    page: Alone, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "BODY_S", 0.3)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.http.cookies.items())
    head = (
        f"POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nCookie: {cookie}\r\n"
        f"X-CSRF-Token: {browser.csrf}\r\nContent-Length: 100\r\n\r\n{{"
    )
    assert status_of(raw(page.port, head.encode())) == 408


@tried("a viewer that takes nothing", "cut off after 5 s")
def test_a_viewer_that_takes_nothing_is_dropped_and_makes_room(
    page: Alone, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.log_in("vera")
    monkeypatch.setattr(guard, "TAKE_S", 0.3)
    monkeypatch.setattr(live, "state_of", lambda desk: {"padding": "x" * 10**6})
    cookie = "; ".join(f"{name}={value}" for name, value in browser.http.cookies.items())
    stopped = threading.Event()

    def change() -> None:
        while not stopped.wait(0.05):
            page.desk.board.take({"kind": "state", "cameras": {}, "paused_by": None}, b"")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with socket.create_connection(("127.0.0.1", page.port), ANSWER_S) as viewer:
            viewer.sendall(f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
            until(lambda: page.desk.viewers == 1)
            until(lambda: page.desk.viewers == 0)
            until(lambda: not [each for each in guard.CONNECTIONS if each == viewer.getsockname()])
    finally:
        stopped.set()
        thread.join()
    assert {"watched": True} in page.asked
    assert page.asked[-1] == {"watched": False}


@tried("more viewers than there may be", "503 with a sentence")
def test_a_viewer_beyond_the_number_gets_a_clear_answer(tmp_path: Path) -> None:
    serving = Serving("127.0.0.1", 0, viewers=2)
    with server_alone(serving) as alone, httpx.Client(base_url=alone.base, trust_env=False) as client:
        with client.stream("GET", "/api/events") as one, client.stream("GET", "/api/events") as two:
            watching = [each.iter_lines() for each in (one, two)]  # kept: a stream that nobody reads is closed
            assert all('"state"' in next(each) for each in watching)
            third = client.get("/api/events")
            assert third.status_code == 503
            assert third.json() == {"error": "2 viewers watch already, and no more can; close another page"}
        until(lambda: alone.desk.viewers == 0)
        assert alone.asked == [{"watched": True}, {"watched": False}]


@tried("a session planted before the login (fixation)", "the login gives a new one, the planted one is worth nothing")
def test_a_session_that_somebody_planted_is_worth_nothing_after_the_login(page: Alone, browser: Browser) -> None:
    planted = browser.http.cookies["proctor-0"]
    assert browser.log_in("otto").status_code == 200
    fresh = browser.http.cookies["proctor-0"]
    assert fresh != planted
    assert browser.get("/api/session").json()["user"] == "otto"
    with httpx.Client(base_url=page.base, cookies={"proctor-0": planted}, trust_env=False) as attacker:
        answer = attacker.get("/api/session")
        assert answer.json()["user"] is None
        assert "set-cookie" in answer.headers  # a new one: the planted one is known no more
        assert attacker.get("/api/rejects").status_code == 401
    with httpx.Client(base_url=page.base, cookies={"proctor-0": "chosen-by-somebody"}, trust_env=False) as attacker:
        answer = attacker.get("/api/session")
        assert "chosen-by-somebody" not in answer.headers["set-cookie"]


@tried("the cookie of a session that was logged out", "401")
def test_a_logged_out_session_is_over(page: Alone, browser: Browser) -> None:
    browser.log_in("otto")
    kept = browser.http.cookies["proctor-0"]
    assert browser.post("/api/logout").status_code == 200
    with httpx.Client(base_url=page.base, cookies={"proctor-0": kept}, trust_env=False) as attacker:
        assert attacker.get("/api/rejects").status_code == 401


def test_a_session_ends_when_nobody_uses_it_and_at_the_latest_after_a_shift() -> None:
    now_s = [0.0]
    sessions = Sessions(lambda: now_s[0])
    user = User("otto", Role.OPERATE, "")
    idle, _ = sessions.begin(user)
    busy, _ = sessions.begin(user)
    for _ in range(12 * 4):
        now_s[0] += 900.0
        assert (sessions.find(busy) is not None) == (now_s[0] <= 12 * 3600)
    assert sessions.find(idle) is None
    now_s[0] += 1.0
    assert sessions.find(busy) is None


@tried("flooding with new sessions", "who is logged in stays")
def test_who_only_visits_pushes_nobody_out() -> None:
    sessions = Sessions()
    secret, _ = sessions.begin(User("otto", Role.OPERATE, ""))
    for _ in range(5000):
        sessions.begin()
    assert sessions.find(secret) is not None
    assert len(sessions._known[False]) == 1000


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL}, {"origin": "null"}, {"origin": "https://127.0.0.1"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"x-csrf-token": ""},
        {"x-csrf-token": "guessed"},
    ],
)  # fmt: skip
@tried("a post by another site's page", "403, by origin, fetch metadata and the session's token, each alone")
def test_a_post_of_another_sites_page_is_refused(page: Alone, browser: Browser, headers: dict[str, str]) -> None:
    browser.log_in("otto")
    before = list(page.asked)
    assert browser.post("/api/pause", **headers).status_code == 403
    assert page.asked == before
    assert browser.post("/api/pause", **{"sec-fetch-site": "same-origin"}).json() == {"paused_by": "otto"}


@tried(
    "pictures, numbers or the stream of events, asked by another site's page",
    "403, by origin and fetch metadata; no viewer's place is taken",
)
@pytest.mark.parametrize(
    "headers",
    [{"origin": EVIL}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}],
)
def test_another_sites_page_is_told_nothing(headers: dict[str, str]) -> None:
    with server_alone(Serving("127.0.0.1", 0)) as alone, browsing(alone.base) as browser:
        for path in (guard.EVENTS, "/api/rejects", "/api/session", "/metrics"):
            with browser.http.stream("GET", path, headers=headers) as answer:
                assert answer.status_code == 403
        assert (alone.desk.viewers, alone.asked) == (0, [])
        assert browser.get("/api/rejects", headers={"sec-fetch-site": "none"}).status_code == 200  # typed
        assert browser.get("/", headers=headers).status_code == 200  # a link to the page


@tried("a WebSocket, from another origin, too", "there is none: an ordinary answer, never 101")
def test_there_is_no_websocket(page: Alone) -> None:
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    for path, origin, expected in (
        ("/", EVIL, 200), ("/ws", EVIL, 404), (guard.EVENTS, EVIL, 403), (guard.EVENTS, page.base, 401),
    ):  # fmt: skip
        head = "\r\n".join([f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{page.port}", f"Origin: {origin}",
                            "Connection: Upgrade, close", *upgrade, "", ""])  # fmt: skip
        assert status_of(raw(page.port, head.encode())) == expected


@tried("the token of another session", "403")
def test_the_token_of_another_session_is_worth_nothing(page: Alone, browser: Browser) -> None:
    browser.log_in("otto")
    with browsing(page.base, "erna") as other:
        assert browser.post("/api/pause", **{"x-csrf-token": other.csrf}).status_code == 403


@tried(
    "the session's cookie, read by a script or sent to another site", "HttpOnly, SameSite=Strict, for this host alone"
)
def test_the_cookie_is_for_this_site_alone_and_no_script_sees_it(page: Alone) -> None:
    (cookie,) = httpx.get(f"{page.base}/api/session", trust_env=False).headers.get_list("set-cookie")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_over_tls_the_cookie_is_for_tls_and_for_this_host_alone(tmp_path: Path) -> None:
    made, key = certificate(tmp_path)
    users = str(users_file(tmp_path))
    serving = Serving("127.0.0.1", 0, certificate=str(made), key=str(key), users=users)
    context = ssl.create_default_context(cafile=str(made))
    with server_alone(serving) as alone, browsing(alone.base, "otto", verify=context) as browser:
        answer = browser.get("/api/session")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert browser.http.cookies["__Host-proctor-0"]
        with httpx.Client(base_url=alone.base, verify=context, trust_env=False) as fresh:
            assert "Secure" in fresh.get("/api/session").headers["set-cookie"].split("; ")
        assert browser.post("/api/pause").json() == {"paused_by": "otto"}
        answered = raw(alone.port, request("/"))  # without TLS
        assert b"200" not in answered


@tried(
    "guessing passwords, also under other forwarded addresses",
    "after five failures 429, for 2 s, doubled up to 300 s, by user and by address",
)
def test_a_password_cannot_be_guessed_by_many_tries(page: Alone, browser: Browser) -> None:
    for number in range(FREE_TRIES):
        browser.http.headers["x-forwarded-for"] = f"10.0.0.{number}"
        assert browser.log_in("otto", "wrong-password").status_code == 401
    answer = browser.log_in("otto")  # the right one
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert browser.log_in("nobody-of-that-name", "wrong-password").status_code == 429  # by the address, too


@tried("24 guesses at once", "five are looked at")
def test_tries_that_come_together_pass_no_more_often(page: Alone, browser: Browser) -> None:
    def tried(_: int) -> int:
        return browser.log_in("otto", "wrong-password").status_code

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(tried, range(24)))
    assert answers.count(401) == FREE_TRIES
    assert answers.count(429) == 24 - FREE_TRIES


def test_each_failure_doubles_the_wait_and_time_forgets_it() -> None:
    now_s = [0.0]
    tries = Tries(lambda: now_s[0])
    waits = []
    for _ in range(FREE_TRIES + 9):
        tries.failed("user otto")
        waits.append(tries.wait_s("user otto"))
        now_s[0] += waits[-1]
    assert waits[: FREE_TRIES - 1] == [0.0] * (FREE_TRIES - 1)
    assert waits[FREE_TRIES - 1 :] == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]
    now_s[0] += 901.0
    tries.failed("user otto")
    assert tries.wait_s("user otto") == 0.0


@tried("telling which users exist by time or text", "the same answer at the cost of the same hash")
def test_no_user_is_told_from_a_wrong_password(page: Alone, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    monkeypatch.setattr(User, "has", lambda user, password: hashed.append(user.name))
    answers = [browser.log_in(name, "wrong-password") for name in ("otto", "nobody-of-that-name")]
    assert answers[0].json() == answers[1].json()
    assert hashed == ["otto", "nobody"]  # both cost a hash


@pytest.mark.parametrize(
    ("name", "role"), [(None, None), ("vera", Role.VIEW), ("otto", Role.OPERATE), ("erna", Role.ENGINEER)]
)
@tried("a viewer who posts, an operator who sets thresholds", "403, for every route")
def test_each_role_may_do_what_it_may_and_no_more(
    page: Alone, browser: Browser, name: str | None, role: Role | None
) -> None:
    if name:
        assert browser.log_in(name).status_code == 200
    asked = 0
    for route in ROUTES:
        if route.role is None or route.path == guard.EVENTS:
            continue
        path = re.sub(r"\{\w+(:int)?\}", "1", route.path)
        body = {"camera": "camera", "value": 1, "reason": "a test", "record": 1, "mark": "missed"}
        answer = browser.get(path) if route.method == "GET" else browser.post(path, {
            key: value for key, value in body.items() if key in route.takes
        })  # fmt: skip
        refused = answer.status_code in (401, 403)
        assert refused == (role is None or role < route.role), f"{route.method} {route.path}: {answer.status_code}"
        asked += 1
    assert asked >= 12


def test_without_users_everyone_here_may_look_and_nobody_may_change_anything() -> None:
    with server_alone(Serving("127.0.0.1", 0)) as alone, browsing(alone.base) as browser:
        assert browser.get("/api/rejects").status_code == 200
        for path in ("/api/pause", "/api/resume", "/api/marks", "/api/threshold"):
            answer = browser.post(path)
            assert answer.status_code == 403
            assert "nobody is known here" in answer.json()["error"] or path == "/api/marks"
        assert alone.asked == []


@tried("`/metrics` without its token, and its token for something else", "401")
def test_metrics_take_a_token_where_there_are_users(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-for-prometheus\n")
    serving = Serving("127.0.0.1", 0, users=str(users_file(tmp_path)), token=str(token))
    with server_alone(serving) as alone, httpx.Client(base_url=alone.base, trust_env=False) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 401
        right = {"authorization": "Bearer a-token-for-prometheus"}
        assert "proctor_up" in client.get("/metrics", headers=right).text
        assert client.get("/api/rejects", headers=right).status_code == 401  # for nothing else
        assert client.get("/healthz").json() == {"status": "ok"}


@tried("the page in a frame, its answers taken for code or kept", "headers forbid it, on every answer, refusals too")
def test_every_answer_has_the_headers_that_browsers_obey(page: Alone, browser: Browser) -> None:
    answers = [
        browser.get(path)
        for path in ("/", "/static/main.js", "/static/page.css", "/api/session", "/api/rejects", "/none", "/healthz")
    ]
    answers.append(browser.post("/api/pause", **{"x-csrf-token": ""}))
    answers.append(httpx.get(page.base, headers={"host": "evil.example"}, trust_env=False))
    for answer in answers:
        for name, value in guard.HEADERS.items():
            assert answer.headers[name] == value, answer.url
        assert "server" not in answer.headers
    assert "unsafe" not in guard.CONTENT_POLICY
    assert answers[1].headers["content-type"].startswith("text/javascript")


def test_the_page_asks_nothing_of_anybody_else_and_holds_no_code_that_its_policy_forbids() -> None:
    files = static_files()
    assert {"index.html", "page.css", "main.js"} <= set(files)
    for name, (_, data) in files.items():
        text = data.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(", text), name
        for forbidden in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "document.write",
            " style=",
            'onclick="',
        ):
            assert forbidden not in text, f"{name}: {forbidden}"


@tried("requests that are none, a thousand of them", "400; the log stays as it was")
def test_nobody_fills_the_log(page: Alone, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(1000):
        assert status_of(raw(page.port, b"no request\r\n\r\n")) == 400
    assert caplog.records == []


@tried("serving to others without TLS or login", "refused at the start")
def test_others_reach_the_page_by_tls_and_a_login_alone(tmp_path: Path) -> None:
    made, key = certificate(tmp_path)
    users = users_file(tmp_path)
    for asked in ("0.0.0.0:8443", f"0.0.0.0:8443?certificate={made}&key={key}", f"10.0.0.1:1?users={users}"):
        with pytest.raises(InputError, match="which takes TLS and a login"):
            parse_serving(asked)
    assert parse_serving(f"0.0.0.0:8443?certificate={made}&key={key}&users={users}").is_encrypted
    with pytest.raises(InputError, match="cannot be used"):
        parse_serving(f"0.0.0.0:8443?certificate={users}&key={key}&users={users}")
    locked = tmp_path / "locked.pem"
    command = ["openssl", "ec", "-in", str(key), "-aes256", "-passout", "pass:a-password", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with pytest.raises(InputError, match=r"locked.pem cannot be used .*the key without a password$"):
        parse_serving(f"0.0.0.0:8443?certificate={made}&key={locked}&users={users}")
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    with pytest.raises(InputError, match="names no users"):
        parse_serving(f"8080?users={empty}")


@pytest.mark.parametrize(
    "asked", ["", "here", "8080?", "8080?colour=red", "127.0.0.1:99999", "8080?viewers=0", "8080?viewers=x"]
)
def test_what_serve_cannot_take_is_one_sentence(asked: str) -> None:
    with pytest.raises(InputError, match=r"^(--serve|viewers)[^\n]*$"):
        parse_serving(asked)
