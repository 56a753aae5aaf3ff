"""The wheels that Proctor needs, in the versions that are installed here: what was tested is what is bundled."""

import tempfile
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from runtime.bundle.own_wheel import NAME
from runtime.bundle.pip import pip_version, run_pip
from runtime.bundle.wheel import Wheel, read_wheel
from runtime.errors import InputError

REQUIREMENTS = "requirements.txt"


def installed_versions() -> dict[str, str]:
    """The version of every package that is installed here, by its name as pip compares it."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a folder that was left behind has none
            found.setdefault(canonicalize_name(name), distribution.version)
    return found


def fetch_wheels(own: Wheel, extras: tuple[str, ...], into: Path) -> list[Wheel]:
    """Proctor's wheel and those that it needs with `extras`, in `into`, the own one first.

    They come from where pip finds them; what is published as source alone is built here. Raises `InputError` for an
    extra that is none, what pip cannot get, and a package that is not installed here in that version.
    """
    unknown = sorted(set(extras) - set(own.extras))
    if unknown:
        raise InputError(f"there is no extra {unknown[0]}; known are {', '.join(own.extras)}")
    installed = installed_versions()
    with tempfile.TemporaryDirectory(prefix="proctor-constraints-") as made:
        constraints = Path(made) / "constraints.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in installed.items() if name != NAME))
        run_pip("wheel", "--wheel-dir", str(into), "--constraint", str(constraints), f"{own.path}{_brackets(extras)}")
    found = read_wheels(into)
    check_tested(found, installed)
    return found


def read_wheels(folder: Path) -> list[Wheel]:
    """The wheels in a folder, Proctor's own first, the others by name."""
    return sorted(map(read_wheel, folder.glob("*.whl")), key=lambda each: (each.name != NAME, each.name))


def check_tested(wheels: list[Wheel], installed: dict[str, str]) -> None:
    """Raise `InputError` for a wheel, but for Proctor's own, whose version is not the one that is installed."""
    for wheel in wheels:
        if wheel.name != NAME and installed.get(wheel.name) != wheel.version:
            raise InputError(
                f"{wheel.name} {wheel.version} is not installed here, so nothing here was tested with it; "
                "install the same extras here, try the line, and bundle then"
            )


def fetch_pip(into: Path) -> Wheel:
    """pip's own wheel, in the version that is installed here: a station needs none, nor Debian's python3-venv."""
    run_pip("download", "--no-deps", "--only-binary", ":all:", "--dest", str(into), f"pip=={pip_version()}")
    (path,) = into.glob("pip-*.whl")
    return read_wheel(path)


def requirements(wheels: list[Wheel], extras: tuple[str, ...]) -> str:
    """What pip installs on the station: these files by their hashes, and no other."""
    return "".join(
        f"{wheel.name}{_brackets(extras) if wheel.name == NAME else ''}=={wheel.version} --hash=sha256:{wheel.sha256}\n"
        for wheel in wheels
    )


def _brackets(extras: tuple[str, ...]) -> str:
    return f"[{','.join(extras)}]" if extras else ""
