"""A detector made on the station: good parts are collected and confirmed, and commands make a file of them and try it.

The page's process does none of this itself: the stream keeps the pictures, commands in processes of their own inspect,
recalibrate, train and compare, and what is made is sealed as a recipe before it can be put in force.
"""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runtime.cli import EXTRAS
from runtime.detector_file import read_detector
from runtime.errors import InputError, ProctorError
from runtime.recipe import Recipe
from runtime.refused import refused
from runtime.threshold import explain
from runtime.verdict import Decision
from runtime.web.board import Board
from runtime.web.jobs import Job, Step
from runtime.web.part_sets import FEWEST, GOOD, MADE, MOST, REFUSED, TRIAL, PartSet, begin, newest
from runtime.web.serving import Serving
from runtime.web.training import line_settings, prepare_training

LOOK_S = 0.5
SETTLED_S = 2.0  # without a change, before pictures are inspected again
INSPECTED_EVERY = 20  # pictures that arrive
MOST_TRIED = 500  # parts
INSPECTION = "inspection"
REPORT = "report.png"
# what a make leaves in its set, and where that lies while another make is at work
OF_A_MAKE, EARLIER = ("comparison.json", "sealed.json", MADE), "earlier"
TOLD = ("decision", "score", "reason")
DIFFERING = 60  # pictures that both detectors judge otherwise, that are shown
THRESHOLD, RECALIBRATE, TRAIN = "threshold", "recalibrate", "train"
# what makes a detector, by the extra that brings it
HOW = {THRESHOLD: "recalibrate", RECALIBRATE: "recalibrate", TRAIN: "train"}


@dataclass(frozen=True)
class Running:
    """The detector that inspects a camera's parts, from a file that is still the one that was opened."""

    path: Path  # of the detector.onnx, also where its plan runs
    is_plan: bool
    recipe: Recipe


class Workshop:
    """The sets of pictures in a folder, and the job at work on the newest. From any thread."""

    def __init__(self, serving: Serving, board: Board, ask: Callable[[dict[str, Any]], None]) -> None:
        """Raises `InputError` where no folder for pictures was given."""
        if serving.parts is None:
            raise InputError("no folder for pictures of good parts was given; serve with parts=FOLDER")
        self._folder, self._serving, self._board, self._ask = Path(serving.parts), serving, board, ask
        self._lock = threading.RLock()
        self._job: Job | None = None
        self._inspected: tuple[str, ...] = ()  # the names that the last inspection saw
        self._seen: tuple[tuple[str, ...], float] = ((), 0.0)  # the good pictures at the last look, and since when
        self._tries: tuple[int, str] | None = None  # pictures that a trial waits for, and who asked
        self._held_by: str | None = None
        self._asked = 0, ""  # the number of the stream's collection that was asked for last, and its folder
        self._read: tuple[tuple[str, int], dict[str, Any]] = (("", 0), {})  # of what was made, by path and time
        # the same of what is in force: what a training takes over from it
        self._settings: tuple[tuple[str, str, int], dict[str, Any] | None] = (("", "", 0), None)

    def look_after(self) -> None:
        """Start what is due, for ever."""
        while True:
            time.sleep(LOOK_S)
            with self._lock:
                self.look()

    def look(self) -> None:
        """Start what is due now: an inspection of new pictures, the comparison of a trial."""
        with self._lock:
            current = self._newest()
            if current is None or self._is_busy:
                return
            if self._tries is not None and self._collecting(current, TRIAL) is None:
                count, by = self._tries
                self._tries = None
                if len(current.names(TRIAL)) >= count:
                    self._compare(current, by)
                return
            names = tuple(current.names())
            if names != self._seen[0]:
                self._seen = names, time.monotonic()
            still = time.monotonic() - self._seen[1] >= SETTLED_S
            due = (
                still
                if self._collecting(current, GOOD) is None
                else len(names) - len(self._inspected) >= INSPECTED_EVERY
            )
            if due and names and names != self._inspected and not current.made.exists():
                self._inspected = names
                place = current.folder
                words = (str(place / GOOD), "--json", str(place / "inspection.json"))
                self._start(current, INSPECTION, "the page", [Step(INSPECTION, "train.inspection", words)])

    @property
    def document(self) -> dict[str, Any]:
        """All that the page shows of it."""
        with self._lock:
            current = self._newest()
            found: dict[str, Any] = {
                "set": None if current is None else self._described(current),
                "job": None if self._job is None else self._job.document,
                "can": {how: _has(extra) for how, extra in HOW.items()},
                "training": None if current is None else self._told_of_training(current),
                "fewest": FEWEST,
                "most": MOST,
            }
            return found

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """Every picture of the newest set but a trial's, with what the detector in force said of it when it came, and
        what an inspection says."""
        with self._lock:
            current = self._newest()
            if current is None:
                return []
            told, suspects = current.told(), dict[str, list[str]]()
            for each in (current.read("inspection") or {}).get("suspects", ()):
                suspects.setdefault(Path(each["path"]).name, []).append(each["reason"])
            good, refused = set(current.names()), current.names(REFUSED)
            return [
                {"name": name, "good": name in good, "suspect": suspects.get(name, []), **told.get(name, {})}
                for name in sorted((*good, *refused))
            ]

    @property
    def report(self) -> Path | None:
        """The picture of a recalibration's scores; None where there is none."""
        current = self._newest()
        path = None if current is None else current.made.with_name(REPORT)
        return path if path is not None and path.is_file() else None

    @property
    def current(self) -> PartSet:
        """The newest set. Raises `InputError` where there is none."""
        found = self._newest()
        if found is None:
            raise InputError("no pictures were collected yet; begin a set")
        return found

    def collect(self, camera: str, wanted: int, by: str, is_new: bool) -> None:
        """Collect further pictures of a camera, in a new set or the newest. Raises `InputError`."""
        if not 1 <= wanted <= MOST:
            raise InputError(f"{wanted} pictures are wanted; expected 1 to {MOST:,}")
        with self._lock:
            self._check_idle()
            current = self._newest()
            if is_new or current is None:
                current = begin(self._folder, camera, wanted, by)
                self._inspected = ()
            elif current.made.exists():
                raise InputError("a detector was made of this set; begin another one")
            elif (current.read("set") or {}).get("camera") != camera:
                raise InputError("this set is of another camera; begin another one")
            (current.folder / "confirmed.json").unlink(missing_ok=True)
            self._collect(current, GOOD, camera, wanted)

    def stop(self) -> None:
        """Collect no more."""
        with self._lock:
            self._tries = None
            self._ask({"collect": None})

    def say(self, name: str, is_good: bool) -> None:
        """See `PartSet.say`."""
        with self._lock:
            self._check_idle()
            self.current.say(name, is_good)

    def confirm(self, by: str) -> None:
        """See `PartSet.confirm`. Raises `InputError` while pictures still come, too."""
        with self._lock:
            current = self.current
            if self._collecting(current, GOOD) is not None:
                raise InputError("pictures still come; stop collecting first")
            current.confirm(by)

    def make(self, how: str, by: str) -> None:
        """Make a detector of the confirmed pictures, and compare it with the one in force on all pictures of the set.
        Raises `InputError`, also where a file is not what the stream opened.

        What an earlier make left belongs to its detector: it is put aside, and comes back where no other detector is
        made."""
        with self._lock:
            self._check_idle()
            current = self.current
            if current.read("confirmed") is None:
                raise InputError("nobody confirmed these pictures; look at every one, then confirm them")
            if not _has(HOW[how]):
                raise InputError(f"it is not installed here: pip install 'proctor[{HOW[how]}]'")
            running = self._running(current)
            steps = [*self._making(how, by, current, running), self._comparison(current, running)]
            _put_aside(current)
            self._start(current, how, by, steps)

    def try_out(self, parts: int, by: str) -> None:
        """Let the next parts be collected, and judged by both detectors once they are there. Raises `InputError`."""
        if not 1 <= parts <= MOST_TRIED:
            raise InputError(f"{parts} parts are to be tried; expected 1 to {MOST_TRIED}")
        with self._lock:
            self._check_idle()
            current = self.current
            self._check_made(current)
            self._running(current)
            camera = str((current.read("set") or {}).get("camera"))
            self._tries = len(current.names(TRIAL)) + parts, by
            self._collect(current, TRIAL, camera, parts)

    def cancel(self, by: str) -> None:
        """End the job at work."""
        with self._lock:
            if self._job is not None:
                self._job.cancel(by)

    def close(self) -> None:
        """End the job at work, and wait for its end."""
        self.cancel("the end of the page")
        if self._job is not None:
            self._job.join(LOOK_S)

    def files(self, carried: Sequence[Path], into: Path) -> list[Path]:
        """The files of the recipe that the newest set makes: what was made, a picture that the new detector passes as
        ``good.png``, and of the files `carried` those that are neither. Raises `InputError` where nothing was made, or
        was not compared."""
        with self._lock:
            current = self.current
            self._check_idle()
            self._check_made(current)
            made = [each for each in current.made.parent.iterdir() if each.name.startswith("detector.")]
            good = self._good_picture(current, into)
            names = {each.name for each in (*made, good)}
            kept = [each for each in carried if each.name not in names and each.stem.split(".")[0] != "detector"]
            return [*made, good, *(each for each in kept if each.stem != good.stem)]

    def _newest(self) -> PartSet | None:
        """The newest set, as the last job left it: with what one make made, never with parts of two."""
        with self._lock:
            current = newest(self._folder)
            if current is not None and not self._is_busy:
                _settle(current)
            return current

    @property
    def _is_busy(self) -> bool:
        return self._job is not None and not self._job.is_done

    def _check_idle(self) -> None:
        if self._is_busy and self._job is not None:
            if self._job.kind != INSPECTION:
                raise InputError(
                    f"a job of {self._job.by} is at work: {self._job.kind}; wait for its end, or cancel it"
                )
            self._job.cancel("a change of the pictures")  # it begins again by itself
            self._inspected = ()

    @staticmethod
    def _check_made(current: PartSet) -> None:
        if not current.made.is_file():
            raise InputError("no detector was made of this set yet")

    def _collect(self, current: PartSet, kind: str, camera: str, wanted: int) -> None:
        place = str((current.folder / kind).resolve())
        self._asked = 1 + (self._board.state.get("collecting") or {"number": 0})["number"], place
        self._ask({"collect": {"camera": camera, "folder": place, "wanted": wanted}})

    def _collecting(self, current: PartSet, kind: str) -> dict[str, Any] | None:
        """What the stream says of pictures that still come into a folder of the set, or will as soon as it heard."""
        place = str((current.folder / kind).resolve())
        state = self._board.state.get("collecting") or {"number": 0, "camera": None, "folder": ""}
        if state["number"] < self._asked[0] and place == self._asked[1]:
            return {"kept": 0, "kind": kind}
        if state["camera"] is None or state["folder"] != place:
            return None
        return {"kept": state["kept"], "wanted": state["wanted"], "kind": kind}

    def _start(self, current: PartSet, kind: str, by: str, steps: Sequence[Step]) -> None:
        self._job = Job(kind, by, steps, current.folder / "log.txt", lambda on: self._hold(on, by))

    def _hold(self, on: bool, by: str) -> None:
        """Let no part pass while a step needs the whole machine; a pause of somebody else's stays."""
        if on and self._board.state.get("paused_by") is None:
            self._held_by = f"{by}, while a plan is built"
            self._ask({"pause": self._held_by})
        elif not on and self._held_by is not None:
            if self._board.state.get("paused_by") in (None, self._held_by):
                self._ask({"pause": None})
            self._held_by = None

    def _running(self, current: PartSet) -> Running:
        """Raises `InputError` where no file runs, or another one than was opened."""
        name = str((current.read("set") or {}).get("camera"))
        camera = self._board.hello.cameras.get(name)
        if camera is None:
            raise InputError(f"there is no camera {name} any more; begin another set")
        opened = Path(str(camera["detector"]))
        path = opened.with_suffix(".onnx")
        if not path.is_file():
            raise InputError(f"{path.name} is not on this machine; what a server has is recalibrated there")
        recipe = read_detector(path)[1]
        if recipe.sha256 != camera["recipe"]:
            raise InputError(f"{path.name} was changed since the stream opened it; start the stream again")
        return Running(path, opened.suffix == ".plan", recipe)

    def _making(self, how: str, by: str, current: PartSet, running: Running) -> list[Step]:
        good, made = str(current.folder / GOOD), str(current.made)
        if how == TRAIN:
            words = prepare_training(current, line_settings(running.recipe))
            steps = [Step("training", "train", ("--data", good, "--out", made, *words))]
        else:
            report = ("--report", str(current.made.with_name(REPORT)))
            alone = ("--keep-statistics",) if how == THRESHOLD else ()
            words = (str(running.path), good, "--out", made, "--by", by, *report, *alone)
            steps = [Step("recalibration", "calibration.recalibrate", words)]
        if running.is_plan:
            key = self._serving.recipes_key
            steps.append(Step("plan", "export.engine", (made, *(["--key-file", key] if key else [])), holds=True))
        return steps

    def _told_of_training(self, current: PartSet) -> dict[str, Any] | None:
        """What a training would take over from the detector in force, and what not, in words; read once. None where no
        file is in force that could be trained anew."""
        camera = self._board.hello.cameras.get(str((current.read("set") or {}).get("camera"))) or {}
        try:
            path = Path(str(camera["detector"])).with_suffix(".onnx")
            key = str(path), str(camera["recipe"]), path.stat().st_mtime_ns
        except (OSError, KeyError):
            return None
        if self._settings[0] != key:
            told = None
            with suppress(ProctorError):  # a make says why
                found = line_settings(self._running(current).recipe)
                told = {"kept": list(found.kept), "lost": list(found.lost)}
            self._settings = key, told
        return self._settings[1]

    def _comparison(self, current: PartSet, running: Running) -> Step:
        folders = [str(current.folder / kind) for kind in (GOOD, REFUSED, TRIAL) if current.names(kind)]
        out = str(current.folder / "comparison.json")
        return Step("comparison", "runtime.compare", (str(running.path), str(current.made), *folders, "--json", out))

    def _compare(self, current: PartSet, by: str) -> None:
        try:
            self._start(current, "trial", by, [self._comparison(current, self._running(current))])
        except ProctorError:  # another detector runs by now: what is tried has nothing to stand beside
            return

    def _good_picture(self, current: PartSet, into: Path) -> Path:
        """A copy, as ``good.png``, of the picture that the new detector finds best. Raises `InputError` for none."""
        compared = current.read("comparison") or {}
        if compared and compared["new"]["recipe_sha256"] != read_detector(current.made)[1].sha256:
            raise InputError("the comparison is of another detector than the one that was made; try this one on parts")
        by_kind = {Path(folder).name: pairs for folder, pairs in compared.get("folders", {}).items()}
        passed = [each for each in by_kind.get(GOOD, ()) if each["new"]["decision"] == Decision.OK.value]
        if not passed:
            raise InputError("the new detector was not compared on these pictures, or passes none; make it again")
        best = min(passed, key=lambda each: float(each["new"]["score"]))
        copy = into / "good.png"
        copy.write_bytes(current.path(GOOD, best["name"]).read_bytes())
        return copy

    def _described(self, current: PartSet) -> dict[str, Any]:
        counts = {kind: len(current.names(kind)) for kind in (GOOD, REFUSED, TRIAL)}
        inspection, confirmed = current.read("inspection") or {}, current.read("confirmed")
        problem = (self._board.state.get("collecting") or {}).get("problem")
        made = not self._is_busy and current.made.is_file()
        return {
            "number": current.number,
            "folder": str(current.folder),
            **(current.read("set") or {}),
            "collecting": self._collecting(current, GOOD) or self._collecting(current, TRIAL),
            "problem": problem,
            "counts": counts,
            "inspected": inspection.get("images", 0),
            "notes": inspection.get("notes", []),
            "confirmed": confirmed,
            # changes with all that `pictures` tells, and with whether it may be changed
            "revision": f"{current.number} {counts[GOOD]} {counts[REFUSED]} {_changed(current, 'inspection')} {made}",
            "made": self._made_of(current) if made else None,
            "tries": None if self._tries is None else self._tries[0],
            "comparison": _summary(current),
            "sealed": current.read("sealed"),
        }

    def _made_of(self, current: PartSet) -> dict[str, Any]:
        """What was made, in words; read once."""
        key = str(current.made), current.made.stat().st_mtime_ns
        if self._read[0] != key:
            try:
                recipe = read_detector(current.made)[1]
                told = {"threshold": recipe.threshold.value, "explained": explain(recipe.threshold)}
            except ProctorError as error:
                told = {"problem": str(error)}
            self._read = key, told
        return self._read[1] | {"report": current.made.with_name(REPORT).is_file()}


def _put_aside(current: PartSet) -> None:
    """Let a make begin with nothing of the one before. The detector goes first, and comes back last: without one in its
    place, `_settle` brings back all, whatever ended this. Raises `InputError`."""
    aside = current.folder / EARLIER
    try:
        aside.mkdir()
        for name in reversed(OF_A_MAKE):
            with suppress(FileNotFoundError):
                (current.folder / name).rename(aside / name)
        current.made.parent.mkdir()
    except OSError as error:
        raise InputError(refused(error.filename or aside, "written", error, "check the path")) from error


def _settle(current: PartSet) -> None:
    """After a make: what was put aside is removed where another detector was made, and else is put back. What the disk
    does not allow is tried again at the next look."""
    aside = current.folder / EARLIER
    if not aside.exists():
        return
    with suppress(OSError):
        if not current.made.is_file():
            for name in OF_A_MAKE:
                if (aside / name).exists():
                    if name == MADE:  # what a command that failed left
                        shutil.rmtree(current.folder / name, ignore_errors=True)
                    (aside / name).rename(current.folder / name)
        shutil.rmtree(aside)


def _changed(current: PartSet, name: str) -> int:
    path = current.folder / f"{name}.json"
    return path.stat().st_mtime_ns if path.exists() else 0


def _summary(current: PartSet) -> dict[str, Any] | None:
    """What both detectors said of each kind of picture: counts, and those that they judge otherwise."""
    found = current.read("comparison")
    if found is None:
        return None
    kinds = []
    for folder, pairs in found["folders"].items():
        rejects = {side: sum(each[side]["decision"] != "OK" for each in pairs) for side in ("old", "new")}
        differing = [each for each in pairs if (each["old"]["decision"] == "OK") != (each["new"]["decision"] == "OK")]
        shown = [
            {"name": each["name"], **{side: {key: each[side][key] for key in TOLD} for side in ("old", "new")}}
            for each in differing[:DIFFERING]
        ]
        kinds.append({"kind": Path(folder).name, "pictures": len(pairs), **rejects, "differing": len(differing),
                      "shown": shown})  # fmt: skip
    return {"old": found["old"]["threshold"], "new": found["new"]["threshold"], "kinds": kinds}


def _has(extra: str) -> bool:
    return all(find_spec(module) is not None for module in EXTRAS[extra])
