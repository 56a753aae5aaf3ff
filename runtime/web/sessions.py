"""Who is logged in, and how often somebody may try: all in the memory of the page's process."""

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.web.users import User

IDLE_S, LONGEST_S = 30 * 60.0, 12 * 3600.0
MOST_SESSIONS = 1000  # of each kind; the oldest goes
FREE_TRIES = 5  # that fail, of a user and of an address, before the next has to wait
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 300.0  # doubled with each further failure
FORGET_S = 900.0  # after the last failure
MOST_TRIED = 4096  # users and addresses that are remembered


@dataclass
class Session:
    """A browser: logged in, or with no user about to."""

    user: User | None
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    begun_s: float = 0.0
    seen_s: float = 0.0

    def vouches(self, token: str) -> bool:
        """Whether a post comes from a page of this session."""
        return hmac.compare_digest(self.csrf.encode(), token.encode())


class Sessions:
    """Sessions by the secret in a browser's cookie. From any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        # apart, so that nobody who only visits can push out who is logged in
        self._known: dict[bool, OrderedDict[str, Session]] = {True: OrderedDict(), False: OrderedDict()}

    def begin(self, user: User | None = None) -> tuple[str, Session]:
        """A new session, with an id that nobody can have known before."""
        now_s, secret = self._clock(), secrets.token_urlsafe(32)
        session = Session(user, begun_s=now_s, seen_s=now_s)
        with self._lock:
            known = self._known[user is not None]
            known[secret] = session
            while len(known) > MOST_SESSIONS:
                known.popitem(last=False)
        return secret, session

    def find(self, secret: str | None) -> Session | None:
        """The session of a cookie; None for one that is unknown or over."""
        now_s = self._clock()
        with self._lock:
            for known in self._known.values():
                session = known.get(secret or "")
                if session is None:
                    continue
                if now_s - session.seen_s > IDLE_S or now_s - session.begun_s > LONGEST_S:
                    del known[secret or ""]
                    return None
                session.seen_s = now_s
                return session
        return None

    def end(self, secret: str | None) -> None:
        """Forget a session."""
        with self._lock:
            for known in self._known.values():
                known.pop(secret or "", None)


@dataclass
class _Tried:
    failures: int = 0
    last_s: float = 0.0
    until_s: float = 0.0


class Tries:
    """Bounds guesses of passwords, by user and by address. From any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._tried: OrderedDict[str, _Tried] = OrderedDict()

    def wait_s(self, *keys: str) -> float:
        """How long the next try of these has to wait; 0 where it may be made."""
        now_s = self._clock()
        with self._lock:
            return max([0.0, *(self._tried[key].until_s - now_s for key in keys if key in self._tried)])

    def failed(self, *keys: str) -> None:
        """A wrong password."""
        now_s = self._clock()
        with self._lock:
            for key in keys:
                tried = self._tried.setdefault(key, _Tried())
                if now_s - tried.last_s > FORGET_S:
                    tried.failures = 0
                tried.failures, tried.last_s = tried.failures + 1, now_s
                if tried.failures >= FREE_TRIES:
                    wait_s = FIRST_WAIT_S * 2.0 ** min(tried.failures - FREE_TRIES, 20)
                    tried.until_s = now_s + min(wait_s, LONGEST_WAIT_S)
                self._tried.move_to_end(key)
            while len(self._tried) > MOST_TRIED:
                self._tried.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """The right password of a user: others' failures for that name are forgotten."""
        with self._lock:
            self._tried.pop(key, None)
