"""Which detector inspects a line's parts, and how another one takes its place.

One is closed before the next is opened, since a small device holds one alone. The recipe in force changes only when its
detector is open, warm and has judged its good picture; else the one before is opened again. Parts of another recipe are
then refused, not judged by it.

A file that is opened again, in place of a recipe, is read before the detector at work is closed: there is no other file
to go back to.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from runtime.closing import Closing
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.errors import InputError, ProctorError
from runtime.frames import Frame
from runtime.images import read_image
from runtime.line.handshake import Handshake
from runtime.line.inspection_loop import InspectionLoop
from runtime.line.self_check import SelfCheck
from runtime.location import Location
from runtime.parity import tolerance_of
from runtime.recipes.choice import Choice, check_unchanged, choice_of, in_force, warm_up
from runtime.recipes.store import RecipeStore

log = logging.getLogger("proctor.line")

BY, REASON = "line controller", "the line controller asked for it"

OpenDetector = Callable[[Location], Detector]
MakeLoop = Callable[["Choice", Detector, SelfCheck], InspectionLoop]


class DetectorChanges(Closing):
    """The detector at work, and the next one. For one thread, but for `reload`."""

    def __init__(
        self,
        handshake: Handshake,
        first: Choice,
        open_detector: OpenDetector,
        self_check_s: float,
        store: RecipeStore | None = None,
    ) -> None:
        """Opens `first`. With `store`, others are taken from it. Raises what opening a detector raises."""
        self._handshake, self._open = handshake, open_detector
        self._self_check_s, self._store = self_check_s, store
        self._now = self._next = first
        self._asked: str | None = None
        self._reloads = threading.Event()
        self._earlier_checks = 0
        self._make_loop: MakeLoop | None = None
        self.detector, self._self_check = self._opened(first)
        self._say_what_is_in_force()

    @property
    def checks(self) -> int:
        """Self-checks so far, of all detectors."""
        return self._earlier_checks + self._self_check.checks

    def inspected_by(self, make_loop: MakeLoop) -> InspectionLoop:
        """The loop over the detector at work. Those of the next detectors are made likewise."""
        self._make_loop = make_loop
        return make_loop(self._now, self.detector, self._self_check)

    def close(self) -> None:
        """Close the detector at work."""
        self.detector.close()

    def reload(self) -> None:
        """Have what is in force in the folder of recipes put in force here. From any thread."""
        self._reloads.set()

    def wanted(self, reload: bool) -> str | None:
        """See `Changes`. What cannot be found is refused here, and the detector at work stays."""
        self._asked = self._handshake.asked_recipe
        if reload:
            self._reloads.set()
        try:
            if self._asked is not None:  # a reload that is wanted comes after it
                self._next = self._asked_for(self._asked)
            elif self._reloads.is_set():
                self._reloads.clear()
                self._next = self._again() if self._store is None else in_force(self._store)
            else:
                return None
        except ProctorError as error:
            self._refuse(str(error) if self._asked is not None else f"nothing else was put in force: {error}")
            return None
        if self._next.seal is None or self._next.seal != self._now.seal:
            return self._next.words
        if self._asked is not None:
            try:
                self._note_in_force()
            except ProctorError as error:
                self._refuse(f"{self._now.words} is at work, but would not be after a start: {error}")
                return None
        log.info("%s is in force already", self._now.words)
        self._say_what_is_in_force()
        self._handshake.ready()
        return None

    def make(self) -> InspectionLoop:
        """See `Changes`. Raises what opening the detector before raises, where that has to be; `DetectorError`, too,
        where its file is another one by now."""
        if self._make_loop is None:
            raise RuntimeError("no loop is made; call inspected_by first")
        self.close()
        before = self.detector.recipe.sha256
        try:
            self._take(self._next)
            if self._asked is not None:
                self._note_in_force()
        except ProctorError as error:
            self.close()
            self._take(self._now, before)
            self._refuse(f"{self._next.words} was not put in force: {error}")
            if self._asked is None:
                self._handshake.ready()
            return self._make_loop(self._now, self.detector, self._self_check)
        log.warning("%s is in force in place of %s", self._next.words, self._now.words)
        self._now = self._next
        self._handshake.begin_challenge(f"{self._now.words} was put in force")
        self._say_what_is_in_force()
        self._handshake.ready()
        return self._make_loop(self._now, self.detector, self._self_check)

    def _note_in_force(self) -> None:
        """Have what the controller asked for in force after a start, too. Raises what `activate` raises."""
        store, seal = self._store, self._next.seal
        if store is not None and seal is not None and store.last_in_force() != (seal.name, seal.version):
            store.activate(seal.name, BY, REASON, seal.version)

    def _take(self, choice: Choice, sha256: str | None = None) -> None:
        """Open a detector; with `sha256`, of its recipe, as the one that it was."""
        before = self._self_check
        self.detector, self._self_check = self._opened(choice)
        self._earlier_checks += before.checks
        if sha256 is not None:
            check_unchanged(choice.words, self.detector, sha256)

    def _again(self) -> Choice:
        """The file at work, to be opened again. Raises `DetectorError` where it cannot be read any more, and what
        reading its good picture raises."""
        check_readable(self._now.path)
        if self._now.good is not None:
            read_image(self._now.good)
        return self._now

    def _asked_for(self, asked: str) -> Choice:
        if self._store is None:
            raise InputError(f"the controller asked for the recipe {asked!r}; give recipes with --recipes FOLDER")
        name, mark, version = asked.partition("@")
        if mark and not version.isdecimal():
            raise InputError(f"the controller asked for the recipe {asked!r}; expected a name, or as in bottle@3")
        wanted = int(version) if mark else self._store.released(name)
        return choice_of(self._store, self._store.find(name, wanted))

    def _opened(self, choice: Choice) -> tuple[Detector, SelfCheck]:
        """The detector, warm, and its self-check."""
        good = None if choice.good is None else Frame(read_image(choice.good), 0)
        detector = self._open(choice.path)
        try:
            warm_up(detector)
            self_check = SelfCheck(detector, tolerance_of(detector.recipe), self._self_check_s)
            if good is not None:
                self_check.keep(good)
        except BaseException:
            detector.close()
            raise
        return detector, self_check

    def _refuse(self, reason: str) -> None:
        log.error("%s", reason)
        if self._asked is not None:
            self._handshake.refuse_recipe(self._asked, reason)

    def _say_what_is_in_force(self) -> None:
        name, version = ("", 0) if self._now.seal is None else (self._now.seal.name, self._now.seal.version)
        self._handshake.set_recipe(name, version, self._asked)


def check_readable(location: Location) -> None:
    """Raise `DetectorError` for a detector's file that no engine could open; a server is not asked."""
    if not isinstance(location, Path):
        return
    if location.suffix == ".plan":
        from runtime.tensorrt.plans import read_plan  # a line of another engine needs none of it

        read_plan(location)
    else:
        read_detector(location)
