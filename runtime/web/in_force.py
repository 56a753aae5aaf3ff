"""Which recipe is in force, which one runs, and how another one is put in force from the page."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from runtime.detector_file import read_detector
from runtime.errors import ProctorError
from runtime.location import Address, as_location
from runtime.recipes.store import RecipeStore, Seal, file_sha256
from runtime.web.desk import Desk, Refused
from runtime.web.once import once_per_change

HISTORY = 20  # of what was done, the last that is shown


def _recipe_sha256(path: Path) -> str:
    return read_detector(path)[1].sha256


class _Hashes(NamedTuple):
    """How files are hashed. Raise `OSError`; `recipe` raises what `read_detector` raises, too."""

    file: Callable[[Path], str]
    recipe: Callable[[Path], str]


FRESH = _Hashes(file_sha256, _recipe_sha256)  # for what is put in force
SEEN = _Hashes(once_per_change(file_sha256), once_per_change(_recipe_sha256))  # for what is shown


def store_of(desk: Desk, hashes: _Hashes = FRESH) -> RecipeStore:
    """The folder of sealed recipes. Raises `Refused` where none was given."""
    found = desk.serving.store(hashes.file)
    if found is None:
        raise Refused(409, "no folder of sealed recipes was given; start with recipes=FOLDER in --serve")
    return found


def running_seal(store: RecipeStore, camera: dict[str, Any], hashes: _Hashes = FRESH) -> tuple[Seal, str]:
    """The sealed version whose detector runs, of several the one in force, and the detector's name in it."""
    path = as_location("the detector", camera["detector"])
    if isinstance(path, Address):
        raise Refused(409, "the detector that runs is on a server, and its threshold with it; set it in the file "
                           "that the model was written from (python -m runtime.adjust), and write it anew")  # fmt: skip
    if path.suffix == ".plan":
        raise Refused(409, "a TensorRT plan runs; set the threshold with python -m runtime.adjust, and seal it")
    try:
        recipe, sha256 = hashes.recipe(path), hashes.file(path)
    except OSError as error:
        raise Refused(409, f"{path} cannot be read ({error.strerror}); start the stream again") from error
    if recipe != camera["recipe"]:
        raise Refused(409, f"{path.name} was changed since the stream opened it; start the stream again")
    found = store.with_file(sha256)
    if found is None:
        raise Refused(409, "the detector that runs is no sealed recipe; seal it first: proctor recipes FOLDER seal "
                           f"NAME {path.name} --by … --reason …")  # fmt: skip
    return found


def put_in_force(desk: Desk, seal: Seal) -> dict[str, Any]:
    """Have the stream run what was activated in the folder of recipes, where it can while it runs; what to say."""
    at_once = bool(desk.board.state.get("reloads"))
    if at_once:
        desk.ask({"reload": True})
    return told(seal) | {"at_once": at_once}


def store_state(desk: Desk, camera: dict[str, Any]) -> dict[str, Any] | None:
    """What is in force, what runs, and what was done last; None without a folder."""
    if desk.serving.recipes is None:
        return None
    try:
        store = store_of(desk, SEEN)
        active, history = store.active(), store.history()[-HISTORY:]
    except ProctorError as error:
        return {"active": None, "running": None, "problem": str(error), "history": []}
    try:
        running, problem = told(running_seal(store, camera, SEEN)[0]), None
    except (Refused, ProctorError) as error:
        running, problem = None, error.reason if isinstance(error, Refused) else str(error)
    return {
        "active": None if active is None else told(active),
        "running": running,
        "problem": problem,
        "history": [{key: value for key, value in asdict(each).items() if key != "before"} for each in history][::-1],
    }


def told(seal: Seal) -> dict[str, Any]:
    """What a page says of a sealed version."""
    return {key: value for key, value in asdict(seal).items() if key != "files"}
