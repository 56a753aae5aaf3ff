"""The detector at work in a stream, and in its place, while the stream runs, the one of the recipe in force."""

import os
from collections.abc import Callable

from runtime.closing import Closing
from runtime.detector import Detector
from runtime.errors import InputError, ProctorError
from runtime.frames import Frame
from runtime.images import read_image
from runtime.location import Location
from runtime.outputs import say
from runtime.recipes.choice import Choice, check_unchanged, in_force, warm_up
from runtime.recipes.store import RecipeStore
from runtime.verdict import Decision

Open = Callable[[Location], Detector]


class AtWork(Closing):
    """One detector is closed before the next is opened, since a small device holds one alone. For one thread."""

    def __init__(self, location: Location, opened: Open, sealed: Open) -> None:
        """Opens `location` by `opened`; recipes are opened by `sealed`. Raises what these raise."""
        self.location, self._open, self._sealed = location, opened, sealed
        self.detector = opened(location)

    def take(self, store: RecipeStore) -> Detector:
        """Let the recipe in force take over. What cannot be put in force is said, and the detector before is opened
        again. Raises what opening that one raises, and `DetectorError` where its file is another one by now."""
        try:
            choice = in_force(store)
        except ProctorError as error:
            say(f"error: no other recipe was put in force: {error}")
            return self.detector
        if os.path.realpath(str(choice.path)) == os.path.realpath(str(self.location)):
            say(f"{choice.words} is in force already")
            return self.detector
        before = self.detector.recipe.sha256
        self.detector.close()
        try:
            self.detector = self._opened(choice)
        except ProctorError as error:
            say(f"error: {choice.words} was not put in force: {error}")
            self.detector = self._open(self.location)
            check_unchanged(str(self.location), self.detector, before)
            warm_up(self.detector)
            return self.detector
        say(f"{choice.words} is in force in place of {self.location}")
        self.location, self._open = choice.path, self._sealed
        return self.detector

    def close(self) -> None:
        """Close the detector at work."""
        self.detector.close()

    def _opened(self, choice: Choice) -> Detector:
        """A recipe's detector, warm, which has judged its good picture."""
        detector = self._sealed(choice.path)
        try:
            warm_up(detector)
            if choice.good is not None:
                verdict = detector.inspect(Frame(read_image(choice.good), 0))
                if verdict.decision is not Decision.OK:
                    raise InputError(f"its good picture is {verdict.decision.value}: {verdict.reason}")
        except BaseException:
            detector.close()
            raise
        return detector
