"""A bundle put together: wheels, detector, unit, lists and sums, tried once before it is there.

::

    OUT/install.sh        installs and takes back, with nothing but Python and a shell
    OUT/SHA256SUMS        of every other file; its own hash is in the release's name
    OUT/bundle.env        what install.sh reads: version, place, Python
    OUT/requirements.txt  the wheels by version and hash
    OUT/wheels, OUT/pip   they, and what installs them
    OUT/detector.onnx, OUT/line.txt, OUT/NAME.service
    OUT/sbom.cdx.json, OUT/LICENCES.md, OUT/licences
"""

import hashlib
import platform
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.bundle.licences import LIST, licence_list, write_texts
from runtime.bundle.own_wheel import own_wheel
from runtime.bundle.release import SETTINGS
from runtime.bundle.sbom import SBOM, sbom
from runtime.bundle.wheels import REQUIREMENTS, fetch_pip, fetch_wheels, requirements
from runtime.detector_file import read_detector
from runtime.doctor.probe import last_line
from runtime.errors import InputError
from runtime.line.__main__ import LineAtBoot
from runtime.recipe import Recipe
from runtime.refused import refused
from runtime.service.unit import Unit
from runtime.versions import commit

SUMS, INSTALLER, WORDS = "SHA256SUMS", "install.sh", "line.txt"
DETECTOR, PARITY = "detector.onnx", "detector.parity.npz"
PACKED = ".tar.gz"
ANY_LINE = ("--socket", "line.sock")  # that the check of a bundle without a line is of
TRIAL_S = 1800.0


@dataclass(frozen=True)
class Station:
    """What a bundle is for."""

    prefix: Path  # that it is installed in
    detector: Path
    unit: Unit | None = None  # of a line that runs there; `line_unit` makes it

    def __post_init__(self) -> None:
        if not self.prefix.is_absolute():
            raise InputError(f"the prefix is {self.prefix}; expected a path that begins with /")

    @property
    def words(self) -> tuple[str, ...]:
        """Of the line that the check of a release is of, but for the detector, which the check names itself."""
        if self.unit is None:
            return ANY_LINE
        has_detector = self.unit.command[0] == str(detector_in_force(self.prefix))
        return self.unit.command[1:] if has_detector else self.unit.command


def detector_in_force(prefix: Path) -> Path:
    """By the name that stays when another release is put in force."""
    return prefix / "current" / DETECTOR


def line_unit(
    prefix: Path, line: LineAtBoot, name: str = "proctor", user: str | None = None, cores: str | None = None,
    nice: int = -5, realtime: int | None = None,
) -> Unit:  # fmt: skip
    """The unit of a line that runs what is in force, in place of the detector that `line` names; a line of sealed
    recipes names none.

    It starts the console command, whose first line names the Python of its own release: a line that runs loads nothing
    of a release that is put in force meanwhile, nor its detector (`of_its_release`). Raises what `Unit` does.
    """
    current = prefix / "current"
    program = str(current / "venv" / "bin" / "proctor"), "line"
    safe = str(current / "venv" / "bin" / "python"), "-m", "runtime.line.gpio_safe"
    command = line.words if line.recipes is not None else (str(detector_in_force(prefix)), *line.words[1:])
    return Unit(name, command, prefix / "station", user, cores, nice, program, line.gpio, safe, realtime, line.socket)


def make_bundle(out: Path, station: Station, extras: tuple[str, ...], own: Path | None, trial: bool) -> str:
    """Make a bundle, a folder or a ``.tar.gz`` by its name; the name of its release.

    With `trial` it is installed once, without a network, into a folder that is removed. Raises `InputError` or
    `DetectorError` for what cannot be bundled; `out` is not there then.
    """
    recipe = read_detector(station.detector)[1]
    unit = None if station.unit is None else station.unit.text()
    if out.exists():
        raise InputError(f"{out} is there already; remove it, or choose another name")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as made:
            folder = Path(made) / "bundle"
            folder.mkdir()
            version = _fill(folder, station, extras, own, recipe)
            if station.unit is not None and unit is not None:
                (folder / f"{station.unit.name}.service").write_text(unit, encoding="utf-8")
            (folder / SETTINGS).write_text(_settings(station, version), encoding="utf-8")
            release = f"{version}-{write_sums(folder)[:12]}"
            if trial:
                try_bundle(folder, Path(made) / "trial")
            _put(folder, out, f"proctor-{release}")
    except OSError as error:
        raise InputError(refused(out, "made", error, "check its folder")) from error
    return release


def try_bundle(folder: Path, prefix: Path) -> None:
    """Install a bundle into `prefix`, as a station does. Raises `InputError` with the reason where it cannot be."""
    command = ["sh", str(folder / INSTALLER), "--prefix", str(prefix)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TRIAL_S)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"the bundle was not installed within {TRIAL_S / 60:g} min on trial") from error
    if done.returncode:
        raise InputError(f"the bundle could not be installed on trial: {_reason(done.stderr)}")


def write_sums(folder: Path) -> str:
    """Write the SHA-256 of every file of a bundle into it, as ``sha256sum -c`` reads it; the hash of that list."""
    (folder / SUMS).unlink(missing_ok=True)
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    text = "".join(lines).encode()
    (folder / SUMS).write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def _fill(folder: Path, station: Station, extras: tuple[str, ...], given: Path | None, recipe: Recipe) -> str:
    """Everything but what depends on the place; Proctor's version."""
    own = own_wheel(given, folder / "wheels")
    wheels = fetch_wheels(own, extras, folder / "wheels")
    pip = fetch_pip(folder / "pip")
    (folder / REQUIREMENTS).write_text(requirements(wheels, extras), encoding="utf-8")
    shutil.copy(station.detector, folder / DETECTOR)
    parity = station.detector.with_suffix(".parity.npz")
    if parity.is_file():
        shutil.copy(parity, folder / PARITY)
    (folder / WORDS).write_text("".join(f"{word}\n" for word in station.words), encoding="utf-8")
    shutil.copy(Path(__file__).with_name(INSTALLER), folder)
    write_texts([*wheels, pip], folder)
    (folder / LIST).write_text(licence_list([*wheels, pip], DETECTOR), encoding="utf-8")
    sha256 = hashlib.sha256((folder / DETECTOR).read_bytes()).hexdigest()
    (folder / SBOM).write_text(sbom(wheels, extras, pip, (DETECTOR, sha256, recipe), commit()), encoding="utf-8")
    return own.version


def _settings(station: Station, version: str) -> str:
    major, minor, _ = platform.python_version_tuple()
    release = f"{major}.{minor}"
    python = platform.python_implementation(), release, platform.system(), platform.machine()
    found: Mapping[str, str] = {
        "version": version,
        "bundled_prefix": str(station.prefix),
        "unit": "" if station.unit is None else f"{station.unit.name}.service",
        "user": "" if station.unit is None else station.unit.user or "",
        "python_needed": " ".join(python),
        "python_command": f"python{release}",
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in found.items())


def _reason(complaint: str) -> str:
    """Of what install.sh and what it called said, the errors."""
    errors = [line.removeprefix("error: ") for line in complaint.splitlines() if line.lower().startswith("error: ")]
    return "; ".join(errors)[:1000] or last_line(complaint)


def _put(folder: Path, out: Path, name: str) -> None:
    if not out.name.endswith(PACKED):
        folder.rename(out)
        return
    half = folder.parent / "half"
    # level 0: wheels are compressed already; what gzip adds is a check and a name that everybody knows
    with tarfile.open(half, "w:gz", format=tarfile.GNU_FORMAT, compresslevel=0) as tar:
        tar.add(folder, name, filter=_of_nobody)
    half.rename(out)


def _of_nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.isdir() else 0o644
    return info
