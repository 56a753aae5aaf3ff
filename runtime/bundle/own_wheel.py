"""Proctor's own wheel: built from the source tree that runs, or the one that was installed, if somebody gives it.

A wheel cannot be made again from what is installed. One that is given is held against the code that runs, file by file:
what was tested is what is bundled.
"""

import shutil
import tempfile
import zipfile
from pathlib import Path

from runtime.bundle.pip import run_pip
from runtime.bundle.wheel import Wheel, read_wheel
from runtime.errors import InputError
from runtime.versions import ROOT

NAME = "proctor"
TREE = ("pyproject.toml", "README.md", "LICENSE")  # beside the rooms, what a wheel is made of
ROOMS = ("train", "calibration", "export", "runtime", "benchmarks")
FIXED_TIME = "315532800"  # 1980, where the times of a zip begin: the same tree makes the same bytes


def own_wheel(given: Path | None, into: Path, root: Path = ROOT) -> Wheel:
    """Proctor's wheel, in `into`. `root` is the folder that the running code was imported from.

    Raises `InputError` for a wheel that is not that of the code that runs, and where there is none and none can be
    built.
    """
    if given is not None:
        wheel = read_wheel(given)
        _check(wheel, root)
        into.mkdir(parents=True, exist_ok=True)
        shutil.copy(given, into)
        return read_wheel(into / given.name)
    if not (root / TREE[0]).is_file():
        raise InputError(
            f"Proctor runs from an installed wheel ({root}), which cannot be built again from what is installed; "
            "give the file that was installed by --wheel proctor-VERSION-py3-none-any.whl, or bundle from the source "
            "tree, where pip wheel . makes it"
        )
    return _built(root, into)


def _built(root: Path, into: Path) -> Wheel:
    """Built from a copy: setuptools leaves a folder in the tree that it builds in, and finds old files there."""
    with tempfile.TemporaryDirectory(prefix="proctor-tree-") as made:
        tree = Path(made) / NAME
        tree.mkdir()
        for name in TREE:
            if (root / name).is_file():
                shutil.copy2(root / name, tree)
        for room in ROOMS:
            if (root / room).is_dir():
                shutil.copytree(root / room, tree / room, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        run_pip("wheel", "--no-deps", "--wheel-dir", str(into), str(tree), SOURCE_DATE_EPOCH=FIXED_TIME)
    (path,) = into.glob(f"{NAME}-*.whl")
    wheel = read_wheel(path)
    _check(wheel, root)
    return wheel


def _check(wheel: Wheel, root: Path) -> None:
    if wheel.name != NAME:
        raise InputError(f"{wheel.path} is the wheel of {wheel.name}; expected {NAME}'s")
    with zipfile.ZipFile(wheel.path) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    for name, data in files.items():
        if not (root / name).is_file() or (root / name).read_bytes() != data:
            raise InputError(
                f"{wheel.path} is not the Proctor that runs here: {name} differs from {root / name}; "
                "give the wheel that was installed, or install the one that you give and try it first"
            )
    for room in {name.split("/")[0] for name in files}:
        for path in (root / room).rglob("*.py"):
            if path.relative_to(root).as_posix() not in files:
                raise InputError(f"{wheel.path} is not the Proctor that runs here: it lacks {path.relative_to(root)}")
