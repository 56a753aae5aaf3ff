"""The drift watch's state in a file, so that a stream that is started again goes on with what it knew."""

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from runtime.atomic import check_writable, write_atomically
from runtime.closing import Closing
from runtime.drift.watch import DriftWatch
from runtime.errors import InputError
from runtime.outputs import say
from runtime.recipe import Recipe

EVERY_S = 60.0
CLOSE_S = 10.0  # for the last state, when the stream has ended
DRIFT_HELP = "keep what the drift watch knows in this file, and go on with it (default: it begins anew)"


def kept_watches(recipes: Mapping[str, Recipe], path: Path | None, opened: ExitStack) -> dict[str, DriftWatch]:
    """A watch for each camera of a line by its name, kept in a file of its own beside `path`, ``drift.NAME.json`` for
    ``drift.json``, until `opened` closes; of a single camera in `path` itself. Raises as `DriftKeeper`."""
    watches = {name: DriftWatch(recipe) for name, recipe in recipes.items()}
    if path is not None:
        for name, watch in watches.items():
            own = path if len(watches) == 1 else path.with_name(f"{path.stem}.{name}{path.suffix}")
            opened.enter_context(DriftKeeper(watch, own))
    return watches


class DriftKeeper(Closing):
    """Keeps a watch's state in a file: now and then, and at the end. A context manager.

    In a thread of its own, so that a disk that is slow, full or hangs costs no part its verdict. A failure is said once
    and tried again.
    """

    def __init__(self, watch: DriftWatch, path: Path, every_s: float = EVERY_S) -> None:
        """Restores what the file holds. Raises `InputError` for a file that is something else or cannot be written."""
        self._watch, self._path, self._every_s = watch, path, every_s
        check_writable(path)
        if path.exists():
            self._restore()
        self._failing = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="drift watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Keep the last state; a disk that hangs is left behind. Closing twice is allowed."""
        self._ending.set()
        self._thread.join(CLOSE_S)

    def _keep(self) -> None:
        while not self._ending.wait(self._every_s):
            self._save()
        self._save()

    def _save(self) -> None:
        try:
            write_atomically(self._path, self._watch.to_json().encode())
            self._failing = False
        except InputError as error:
            if not self._failing:
                say(f"warning: the drift watch's state is not kept ({error}); inspection goes on")
            self._failing = True

    def _restore(self) -> None:
        try:
            text = self._path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self._path} cannot be read ({error}); name another file for the drift watch") from error
        try:
            known = self._watch.restore(text)
        except InputError as error:
            raise InputError(f"{self._path}: {error}") from error
        if not known:
            say(
                f"{self._path} is of another detector or recipe: the drift watch begins anew; what was known stays in "
                "the file, for when that one comes back"
            )
