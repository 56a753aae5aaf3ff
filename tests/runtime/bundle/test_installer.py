"""install.sh by itself: a bundle of a few lines, whose Python and whose Proctor are shell scripts."""

import getpass
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runtime.bundle.making import DETECTOR, INSTALLER, SUMS, WORDS, write_sums
from runtime.versions import ROOT

pytestmark = pytest.mark.peer

KIND = "CPython 3.11 Linux any"
# runs nothing; asked for an environment it makes one whose Python is itself, and asked for wheels it installs Proctor
PYTHON = f"""#!/bin/sh
folder=$(dirname "$0")
case $1 in
-c) [ -z "$2" ] || echo "{KIND}" ;;
-m) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
*/pip) printf '%s\\n' '#!/bin/sh' 'echo "$(id -un): $*"' '[ "$1" != line ] || cat "$2"' >"$folder/proctor"
    chmod 755 "$folder/proctor" ;;
esac
"""
# the real mv; of the renames of links, the one whose number is in the file `dies` ends the install at its end
MV = """#!/bin/sh
/bin/mv "$@"
[ "$1" = -fT ] || exit 0
left=$(($(cat "$0.dies") - 1))
echo "$left" >"$0.dies"
[ "$left" != 0 ] || kill -9 "$PPID"
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the check as another user")


@dataclass
class Place:
    """A folder that every user may enter, with bundles and what they are installed in."""

    folder: Path
    prefix: Path = field(init=False)

    def __post_init__(self) -> None:
        self.prefix = self.folder / "opt"
        (self.folder / "bin").mkdir()
        self.python("python")

    def python(self, name: str) -> Path:
        path = self.folder / "bin" / name
        path.write_text(PYTHON)
        path.chmod(0o755)
        return path

    def bundle(self, name: str, user: str = "", unit: str = "bottle.service", wheels: str = "w") -> Path:
        bundle = self.folder / name
        (bundle / "wheels").mkdir(parents=True)
        (bundle / "pip").mkdir()
        (bundle / "pip" / "pip-1.whl").touch()
        (bundle / DETECTOR).write_text(f"the detector of {name}\n")
        (bundle / WORDS).write_text("--socket\nline.sock\n")
        (bundle / "requirements.txt").write_text(f"{wheels}==1\n")
        (bundle / unit).write_text(f"[Unit]\nDescription={name}\n")
        settings = {
            "version": "1", "bundled_prefix": self.prefix, "unit": unit, "user": user, "python_needed": f"'{KIND}'",
            "python_command": self.folder / "bin" / "python",
        }  # fmt: skip
        (bundle / "bundle.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        shutil.copy(ROOT / "runtime" / "bundle" / INSTALLER, bundle)
        write_sums(bundle)
        return bundle

    def run(self, folder: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(folder / INSTALLER), *map(str, words)]
        return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)

    def installed(self, folder: Path, *words: object) -> str:
        """What an install that succeeds says; the release is in force."""
        done = self.run(folder, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def refused(self, folder: Path, *words: object) -> str:
        done = self.run(folder, *words)
        assert done.returncode == 2, done.stdout + done.stderr
        return done.stderr

    def detector(self, link: str = "current") -> str:
        """Of which bundle a link's release is."""
        return (self.prefix / link / DETECTOR).read_text().split()[-1]


@pytest.fixture
def place() -> Iterator[Place]:
    """Not below the tests' own folder, which nobody but their user may enter."""
    with tempfile.TemporaryDirectory(prefix="proctor-installer-") as folder:
        Path(folder).chmod(0o755)
        yield Place(Path(folder))


@as_root
def test_the_working_folder_belongs_to_the_units_user_though_that_user_was_made_later(place: Place) -> None:
    assert "there is no user nobody-of-that-name; useradd" in place.refused(place.bundle("a", "nobody-of-that-name"))
    assert not place.prefix.exists()
    (place.prefix / ".station.new").mkdir(parents=True)  # as an install leaves it that is killed before the rename
    place.installed(place.bundle("b", "daemon"))
    assert (place.prefix / "station").owner() == "daemon"
    assert not (place.prefix / ".station.new").exists()


@as_root
def test_a_working_folder_that_the_units_user_cannot_write_in_is_said(place: Place) -> None:
    (place.prefix / "station").mkdir(parents=True)
    warning = f"warning: daemon cannot write in {place.prefix}/station"
    assert warning in place.installed(place.bundle("a", "daemon"))
    shutil.chown(place.prefix / "station", "daemon")
    assert warning not in place.installed(place.bundle("b", "daemon"))


@as_root
def test_the_check_runs_as_the_units_user_who_may_read_all_of_the_release(place: Place) -> None:
    bundle = place.bundle("a", "daemon")
    (bundle / DETECTOR).chmod(0o600)
    said = place.installed(bundle)
    assert f"daemon: line {place.prefix}/releases/" in said
    assert "the detector of a" in said
    assert (place.prefix / "current" / "doctor.txt").read_text() == "daemon: doctor\n"
    (place.prefix / "current" / DETECTOR).chmod(0o600)  # as an earlier installer left it
    assert "the detector of a" in place.installed(bundle)


@as_root
def test_a_release_that_the_units_user_cannot_run_is_not_put_in_force(place: Place) -> None:
    (place.folder / "bin" / "python").write_text(PYTHON.replace("chmod 755", "chmod 700"))
    said = place.refused(place.bundle("a", "daemon"))
    assert "Permission denied" in said
    assert "does not run here" in said
    assert not (place.prefix / "current").exists()


def test_elsewhere_there_is_no_unit_and_no_user_of_it(place: Place) -> None:
    """As where a bundle is tried on the machine that makes it."""
    said = place.installed(place.bundle("a", "nobody-of-that-name"), "--prefix", place.folder / "trial")
    assert f"note: the unit bottle.service is for {place.prefix}, not for {place.folder}/trial" in said
    assert f"{getpass.getuser()}: line {place.folder}/trial/releases/" in said
    assert "systemctl" not in said


def test_a_runtime_whose_python_is_gone_is_made_again(place: Place) -> None:
    bundle = place.bundle("a")
    place.installed(bundle)
    (runtime,) = (place.prefix / "runtimes").iterdir()
    (runtime / "bin" / "python").unlink()
    (runtime / "bin" / "python").symlink_to("/gone/python")
    other = place.python("other")
    said = place.installed(bundle, "--python", other)
    assert f"the Python of {runtime} does not run any more; making it again for {other}" in said
    assert subprocess.run([runtime / "bin" / "python", "-c", ""]).returncode == 0
    assert (runtime / "complete").is_file()
    assert [each.name for each in (place.prefix / "runtimes").iterdir()] == [runtime.name]
    (runtime / "mark").touch()
    place.installed(bundle, "--python", other)  # one that runs is kept
    assert (runtime / "mark").exists()


def test_a_dead_runtime_that_cannot_be_made_again_is_left_as_it_was(place: Place) -> None:
    bundle = place.bundle("a")
    place.installed(bundle)
    (runtime,) = (place.prefix / "runtimes").iterdir()
    (runtime / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    bad = place.python("bad")
    bad.write_text(PYTHON.replace("*/pip)", "*/pip) exit 1 ;; *)"))
    assert "error: the wheels cannot be installed here" in place.refused(bundle, "--python", bad)
    assert (runtime / "complete").is_file()
    assert (runtime / "bin" / "proctor").is_file()
    place.installed(bundle)
    assert [each.name for each in (place.prefix / "runtimes").iterdir()] == [runtime.name]


@pytest.mark.parametrize("dies", [1, 2, 3])
@pytest.mark.parametrize("then", ["--prune", "--rollback", "install"])
def test_a_switch_that_is_killed_loses_no_way_back(place: Place, dies: int, then: str) -> None:
    first, second, third = (place.bundle(name) for name in "abc")
    place.installed(first)
    place.installed(second)
    tools = place.folder / "tools"
    tools.mkdir()
    (tools / "mv").write_text(MV)
    (tools / "mv").chmod(0o755)
    (tools / "mv.dies").write_text(str(dies))
    killed = place.run(third, PATH=f"{tools}:{os.environ['PATH']}")
    assert killed.returncode == -signal.SIGKILL
    now, before = ("b", "a") if dies == 1 else ("c", "b")
    if then == "install":
        place.installed(third)
        now, before = "c", "b"
    else:
        place.installed(place.prefix / "current", then)
        now, before = (before, now) if then == "--rollback" else (now, before)
    assert (place.detector(), place.detector("previous")) == (now, before)
    assert not (place.prefix / "pending").is_symlink()
    place.installed(place.prefix / "current", "--rollback")
    assert (place.detector(), place.detector("previous")) == (before, now)


def test_a_list_of_sums_with_a_line_that_is_none_is_refused(place: Place) -> None:
    """It would not vouch for one file, and count for another."""
    bundle = place.bundle("a")
    lines = (bundle / SUMS).read_text().splitlines(keepends=True)
    (bundle / SUMS).write_text("".join(["no sum\n" if line.endswith(f" {WORDS}\n") else line for line in lines]))
    assert "the bundle is damaged; copy it again" in place.refused(bundle)
    assert not place.prefix.exists()


def test_a_folder_whose_name_is_a_pattern_is_a_name(place: Place) -> None:
    place.installed(place.bundle("usb[1]*"))
    assert place.detector() == "usb[1]*"


def test_a_rollback_names_the_unit_of_the_release_that_is_in_force_then(place: Place) -> None:
    place.installed(place.bundle("a", unit="proctor-test-bottle.service"))
    place.installed(place.bundle("b", unit="proctor-test-can.service"))
    for unit in ("bottle", "can"):
        said = place.installed(place.prefix / "current", "--rollback")
        assert f"cp {place.prefix}/current/proctor-test-{unit}.service /etc" in said
    assert "can" not in place.installed(place.prefix / "current", "--rollback")


@pytest.mark.parametrize("spelled", ["link", "slash"])
def test_one_place_by_another_name_is_the_units_place(place: Place, spelled: str) -> None:
    (place.folder / "real").mkdir()
    place.prefix.symlink_to("real")
    first, second = place.bundle("a"), place.bundle("b")
    words = () if spelled == "link" else ("--prefix", f"{place.prefix}/")
    for bundle in (first, second):
        place.installed(bundle, *words)
    said = place.installed(place.prefix / "current", "--rollback", *words)
    assert "note:" not in said
    assert f"cp {place.prefix}/current/bottle.service /etc" in said


def test_a_place_that_cannot_be_written_is_one_sentence(place: Place) -> None:
    bundle = place.bundle("a")
    (place.prefix / ".lock").mkdir(parents=True)  # as no user can write it, not even root
    assert place.refused(bundle) == f"error: {place.prefix} cannot be written; run as root\n"
