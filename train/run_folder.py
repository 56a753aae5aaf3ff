"""A run folder: the resolved configuration, the log and the checkpoint of one run."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.lock import LOCK, only_one
from train.config import as_mapping, as_yaml, configured, options_of
from train.yaml_file import read_yaml

T = TypeVar("T")

SCORES = "calibration_scores.npy"  # the exported file's own scores of the images held out for the threshold
LONGEST = 200  # characters of an option's value in a sentence
FIRST_METHOD = "students"  # of run folders from before there was another


def run_beside(detector: Path) -> Path:
    """Where the run folder of a detector file lies unless another place was named."""
    return detector.with_name(f"{detector.stem}-run")


class RunFolder:
    """The files of a run. Opening it again with the same configuration goes on where it stopped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "config.yaml"
        self.log_path = path / "log.jsonl"
        self.split_path = path / "split.json"

    def only_one(self) -> AbstractContextManager[None]:
        """Keep other processes from working in the folder at the same time; see `runtime.lock.only_one`."""
        return only_one(self.path / LOCK, self.path)

    def check(self, config: Any) -> None:
        """Raise `InputError` when the folder holds anything but a run of this very `config`."""
        if not self.config_path.exists():
            if self.path.is_dir() and not all(self._is_left_behind(path) for path in self.path.iterdir()):
                raise InputError(
                    f"{self.path} holds other files; a run folder is new, empty or a run: name another one"
                )
            return
        # a run from before an option existed ran with its default
        stored = {"method": FIRST_METHOD, **_defaults(type(config)), **self._stored()}
        if hasattr(config, "METHOD"):
            self._check_not_of_a_teacher()
        given = _document(config)
        changed = [name for name in given if _differ(name, stored.get(name), given[name])]
        if changed:
            name = changed[0]
            raise InputError(
                f"{self.path} holds a run with {name} = {_short(stored.get(name))}, this one has "
                f"{_short(given[name])}; use the same options to go on; to begin anew, name another run "
                "folder or delete it"
            )

    def _is_left_behind(self, path: Path) -> bool:
        """Whether it is what a kill leaves: a lock that locks nothing, or a configuration half written."""
        return path.name == LOCK or path.name.startswith(f".{self.config_path.name}.")

    def claim(self, config: Any) -> None:
        """Store `config` if none is stored; `check` it first."""
        if not self.config_path.exists():
            write_atomically(self.config_path, as_yaml(_document(config)).encode())

    @property
    def method(self) -> str:
        """The method that was trained. Raises `InputError` when this is not a run folder, or a teacher's."""
        self._check_not_of_a_teacher()
        return str(self._stored().get("method", FIRST_METHOD))

    def config(self, of: type[T]) -> T:
        """The stored configuration. Raises `InputError` when this is no run folder, or its options cannot be used."""
        if hasattr(of, "METHOD"):
            self._check_not_of_a_teacher()
        options = {name: value for name, value in self._stored().items() if name != "method"}
        try:
            return configured(of, options)
        except InputError as error:
            raise InputError(f"{self.config_path} was changed since training: {error}") from error

    def _stored(self) -> dict[str, object]:
        if not self.config_path.exists():
            raise InputError(f"{self.path} is no run folder (no config.yaml); make one with python -m train")
        return read_yaml(self.config_path)

    def _check_not_of_a_teacher(self) -> None:
        """Raise `InputError` where a teacher was trained, whose run has no method, in place of a detector."""
        stored = self._stored()
        if "patch_size" in stored and "method" not in stored:
            raise InputError(
                f"{self.path} holds the run of a teacher (python -m train.teacher), and no detector's; name another "
                "run folder"
            )

    def log(self, **entry: object) -> None:
        """Append one line to ``log.jsonl``."""
        with self.log_path.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def _document(config: Any) -> dict[str, object]:
    """What ``config.yaml`` holds: the method, where the configuration is of one, and the options."""
    method = getattr(config, "METHOD", None)
    return ({} if method is None else {"method": method}) | as_mapping(config)


def _short(value: object) -> str:
    """An option's value in a sentence; regions of interest may be long."""
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _differ(name: str, one: object, other: object) -> bool:
    if name == "data" and one and other:  # a folder has many names
        return Path(str(one)).resolve() != Path(str(other)).resolve()
    return one != other


def _defaults(config: type[Any]) -> dict[str, object]:
    defaults = {name: option.default for name, option in options_of(config).items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
