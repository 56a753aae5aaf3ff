"""What somebody tries who should not be let in, and the answer: the table of runtime/web/README.md, row by row."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from waiting import until
from web_samples import PASSWORDS, Alone, Browser, browsing, certificate, server_alone, users_file

from runtime.errors import InputError
from runtime.web import desk, guard, live
from runtime.web.app import ROUTES, static_files
from runtime.web.serving import Serving, parse_serving
from runtime.web.sessions import FREE_TRIES, Sessions, Tries
from runtime.web.users import Role, User

ROOT = Path(__file__).parents[3]
ANSWER_S = 10.0


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


@pytest.mark.parametrize(
    "path",
    [
        "/static/../users.yaml", "/static/%2e%2e/%2e%2e/users.yaml", "/static/..%2f..%2fusers.yaml", "//etc/passwd",
        "/static//etc/passwd", "/static/page.css/../../users.yaml", "/static/%00", "/static/..%5cusers.yaml",
        "/api/records/../../users.yaml", "/api/cameras/..%2f..%2fetc/1.jpg", "/api/records/-1.jpg",
    ],
)  # fmt: skip
def test_no_path_reaches_a_file_that_is_not_the_pages_own(page: Alone, path: str) -> None:
    answer = raw(page.port, request(path))
    assert status_of(answer) in (401, 404)
    assert b"scrypt" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "10.0.0.1", "[::1"]
)
def test_a_name_that_somebody_elses_dns_points_here_is_no_name_of_the_page(page: Alone, host: str) -> None:
    for path in ("/", "/api/session", "/healthz", "/metrics"):
        assert status_of(raw(page.port, request(path, host))) == 421


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


def test_a_body_that_is_too_long_is_not_read(page: Alone) -> None:
    head = "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    assert status_of(raw(page.port, f"{head}Content-Length: {10**9}\r\n\r\n".encode())) == 413
    endless = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert status_of(raw(page.port, endless)) == 411
    answer = raw(page.port, endless, *[b"400\r\n" + b"a" * 1024 + b"\r\n"] * 64)  # cut off while it comes
    assert answer == b"" or status_of(answer) == 411
    assert status_of(raw(page.port, f"{head}Content-Length: -5\r\n\r\n".encode())) == 400


def test_a_head_that_is_too_long_ends_the_connection(page: Alone) -> None:
    answer = raw(page.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 10**6)
    assert answer == b"" or status_of(answer) == 400


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
    assert posted(content=b"a=b", headers={"content-type": "application/x-www-form-urlencoded"}).status_code == 415


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


def test_a_session_that_somebody_planted_is_worth_nothing_after_the_login(page: Alone, browser: Browser) -> None:
    planted = browser.http.cookies["proctor-0"]
    assert browser.log_in("otto").status_code == 200
    fresh = browser.http.cookies["proctor-0"]
    assert fresh != planted
    assert browser.get("/api/session").json()["user"] == "otto"
    with httpx.Client(base_url=page.base, cookies={"proctor-0": planted}, trust_env=False) as attacker:
        assert attacker.get("/api/session").json()["user"] is None
        assert attacker.get("/api/rejects").status_code == 401
    with httpx.Client(base_url=page.base, cookies={"proctor-0": "chosen-by-somebody"}, trust_env=False) as attacker:
        answer = attacker.get("/api/session")
        assert "chosen-by-somebody" not in answer.headers["set-cookie"]


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
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "https://127.0.0.1"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"x-csrf-token": ""},
        {"x-csrf-token": "guessed"},
    ],
)  # fmt: skip
def test_a_post_of_another_sites_page_is_refused(page: Alone, browser: Browser, headers: dict[str, str]) -> None:
    browser.log_in("otto")
    before = list(page.asked)
    assert browser.post("/api/pause", **headers).status_code == 403
    assert page.asked == before
    assert browser.post("/api/pause", **{"sec-fetch-site": "same-origin"}).json() == {"paused_by": "otto"}


def test_the_token_of_another_session_is_worth_nothing(page: Alone, browser: Browser) -> None:
    browser.log_in("otto")
    with browsing(page.base, "erna") as other:
        assert browser.post("/api/pause", **{"x-csrf-token": other.csrf}).status_code == 403


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


def test_a_password_cannot_be_guessed_by_many_tries(page: Alone, browser: Browser) -> None:
    for _ in range(FREE_TRIES):
        assert browser.log_in("otto", "wrong-password").status_code == 401
    answer = browser.log_in("otto")  # the right one
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert browser.log_in("nobody-of-that-name", "wrong-password").status_code == 429  # by the address, too


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


def test_no_user_is_told_from_a_wrong_password(page: Alone, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    monkeypatch.setattr(User, "has", lambda user, password: hashed.append(user.name))
    answers = [browser.log_in(name, "wrong-password") for name in ("otto", "nobody-of-that-name")]
    assert answers[0].json() == answers[1].json()
    assert hashed == ["otto", "nobody"]  # both cost a hash


@pytest.mark.parametrize(
    ("name", "role"), [(None, None), ("vera", Role.VIEW), ("otto", Role.OPERATE), ("erna", Role.ENGINEER)]
)
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


def test_others_reach_the_page_by_tls_and_a_login_alone(tmp_path: Path) -> None:
    made, key = certificate(tmp_path)
    users = users_file(tmp_path)
    for asked in ("0.0.0.0:8443", f"0.0.0.0:8443?certificate={made}&key={key}", f"10.0.0.1:1?users={users}"):
        with pytest.raises(InputError, match="which takes TLS and a login"):
            parse_serving(asked)
    assert parse_serving(f"0.0.0.0:8443?certificate={made}&key={key}&users={users}").is_encrypted
    with pytest.raises(InputError, match="cannot be used"):
        parse_serving(f"0.0.0.0:8443?certificate={users}&key={key}&users={users}")
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


def test_the_table_in_the_readme_names_a_test_for_each_row() -> None:
    text = (ROOT / "runtime" / "web" / "README.md").read_text()
    named = re.findall(r"\| `(test_\w+)` \|$", text, re.MULTILINE)
    assert len(named) >= 12
    for name in named:
        assert name in globals(), name
    assert PASSWORDS
