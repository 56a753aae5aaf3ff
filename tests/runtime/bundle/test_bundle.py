"""A bundle that is really made, installed without a network, updated, rolled back, damaged and interrupted.

One bundle is made for all of these tests, and installed once; releases beside it share its wheels.
"""

import fcntl
import getpass
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.bundle.__main__ import main
from runtime.bundle.licences import LIST
from runtime.bundle.making import (
    DETECTOR,
    INSTALLER,
    SUMS,
    WORDS,
    Station,
    _settings,
    line_unit,
    make_bundle,
    try_bundle,
    write_sums,
)
from runtime.bundle.own_wheel import TREE, own_wheel
from runtime.bundle.sbom import SBOM
from runtime.bundle.wheel import NOT_STATED, read_wheel
from runtime.bundle.wheels import check_tested, installed_versions, read_wheels
from runtime.detector_file import read_detector
from runtime.errors import DetectorError, InputError
from runtime.line.__main__ import LineAtBoot
from runtime.onnx_file import read_metadata, with_metadata
from runtime.recipes.store import RecipeStore
from runtime.versions import ROOT

DEMO = ROOT / "runtime" / "data" / "demo.onnx"
USER = getpass.getuser()  # whose alone the tests' folder is: another one could not run what is installed there
LINE = ("--camera", "demo", "--modbus", "127.0.0.1:5020", "--threads", "1", "--records", "all records?days=9")
START_S = 300.0
pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(900),
]  # the first test waits for the bundle: half a gigabyte is unpacked


@dataclass(frozen=True)
class Site:
    """A bundle, and the place where its release is installed."""

    bundle: Path
    prefix: Path

    @property
    def current(self) -> Path:
        return (self.prefix / "current").resolve()


def offline() -> list[str]:
    """What a command begins with so that it reaches no network; nothing where this user may not do that."""
    command = ["unshare", "--net"]
    tried = shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if tried else []


OFFLINE = offline()


def install(bundle: Path, prefix: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*OFFLINE, "sh", str(bundle / INSTALLER), "--prefix", str(prefix), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=START_S)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The error of an install that was refused."""
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Site:
    folder = tmp_path_factory.mktemp("bundled")
    prefix, out = folder / "opt" / "proctor", folder / "bottle.tar.gz"
    command = ["-m", "runtime.bundle", out, "--detector", DEMO, "--extras", "modbus", "--prefix", prefix, "--no-trial"]
    words = [*command, "--name", "bottle", "--user", USER, "--", *LINE]
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True, timeout=600
    )
    if done.returncode != 0:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), "packaging"]
        if subprocess.run(pip, capture_output=True, timeout=START_S).returncode != 0:
            pytest.skip("BUNDLES ARE NOT TESTED here: pip reaches no index")
    assert done.returncode == 0, done.stderr
    subprocess.run(["tar", "-xf", out, "-C", folder], check=True)
    (bundle,) = folder.glob("proctor-*")
    assert f"sh {bundle.name}/{INSTALLER}" in done.stdout
    out.unlink()
    done = install(bundle, prefix)
    assert done.returncode == 0, done.stderr
    assert f"{bundle.name.removeprefix('proctor-')} is in force" in done.stdout
    assert "systemctl enable --now bottle.service" in done.stdout
    return Site(bundle, prefix)


@pytest.fixture
def unchanged(site: Site) -> Iterator[None]:
    """What is in force before a test is in force after it, and runs."""
    before = site.current
    yield
    assert site.current == before
    assert (before / "complete").is_file()
    assert proctor(site, "--version").stdout.startswith("proctor ")


def proctor(site: Site, *words: str, folder: Path = Path("/")) -> subprocess.CompletedProcess[str]:
    command = [*OFFLINE, str(site.prefix / "current" / "venv" / "bin" / "proctor"), *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=START_S)


def another(site: Site, into: Path, change: Callable[[Path], object], keep: str = "no large wheel") -> Path:
    """A copy of the bundle in which something is changed, with the sums of what it has then.

    It lacks the large wheels but for the one to `keep`, as summing them takes seconds: a release that shares the
    wheels of the one that is there needs none.
    """
    copy = into / "bundle"
    shutil.copytree(site.bundle, copy, copy_function=os.link)
    for wheel in copy.glob("wheels/*.whl"):
        if wheel.stat().st_size > 10**6 and not wheel.name.startswith(f"{keep}-"):
            wheel.unlink()
    change(copy)
    write_sums(copy)
    return copy


def needing(name: str) -> Callable[[Path], None]:
    """The change to a bundle that installs this wheel alone, and so shares none with the release that is there."""

    def change(bundle: Path) -> None:
        rows = (bundle / "requirements.txt").read_text().splitlines(keepends=True)
        (row,) = (each for each in rows if each.startswith(f"{name}=="))
        rewrite(bundle / "requirements.txt", row.encode())

    return change


def placed_aside(site: Site, folder: Path) -> Path:
    """A prefix of its own, in which the wheels need not be unpacked again."""
    prefix = folder / "opt"
    prefix.mkdir(parents=True)
    (prefix / "runtimes").symlink_to(site.prefix / "runtimes")
    return prefix


def rewrite(path: Path, data: bytes) -> None:
    """Write a file anew: others may be linked to it."""
    path.unlink()
    path.write_bytes(data)


def with_threshold(value: float) -> Callable[[Path], None]:
    def change(bundle: Path) -> None:
        model, recipe = read_detector(bundle / DETECTOR)
        metadata = read_metadata(model) | recipe.with_threshold(value).metadata
        rewrite(bundle / DETECTOR, with_metadata(model, metadata))

    return change


def test_the_demo_detector_runs_from_it_without_a_network(site: Site, tmp_path: Path) -> None:
    if not OFFLINE:
        pytest.skip("THE NETWORK IS IN REACH of this test: run it as root, with unshare of util-linux")
    stream = ("stream", "--camera", "demo", "--frames", "6", "--threads", "1")
    done = proctor(site, *stream, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 frames" in done.stdout
    release = proctor(site, "info", str(site.prefix / "current" / DETECTOR))
    assert release.returncode == 0, release.stderr


def test_it_has_the_versions_that_are_installed_here(site: Site) -> None:
    python = str(site.prefix / "current" / "venv" / "bin" / "python")
    names = "import sys; from importlib import metadata; print(*[f'{d.name} {d.version}' for d in metadata."
    done = subprocess.run([python, "-I", "-c", f"{names}distributions()])"], capture_output=True, text=True, check=True)
    words = done.stdout.split()
    found = {name.lower().replace("_", "-"): version for name, version in zip(words[::2], words[1::2], strict=True)}
    assert {"proctor", "numpy", "onnxruntime", "pymodbus", "pyyaml"} <= set(found)
    assert "pip" not in found
    here = installed_versions()
    assert {name: version for name, version in found.items() if here[name] != version} == {}


def test_a_line_that_runs_keeps_to_its_own_release(site: Site) -> None:
    program = site.prefix / "current" / "venv" / "bin" / "proctor"
    first = program.read_text().splitlines()[0]
    assert first.startswith(f"#!{site.prefix}/runtimes/")
    assert "current" not in first


def test_systemd_accepts_the_unit(site: Site) -> None:
    text = (site.prefix / "current" / "bottle.service").read_text()
    current = site.prefix / "current"
    assert f"ExecStart={current}/venv/bin/proctor line {current}/detector.onnx --camera demo" in text
    assert '"all records?days=9"' in text
    assert f"WorkingDirectory={site.prefix}/station\n" in text
    assert f"User={USER}\n" in text
    assert (site.prefix / "station").owner() == USER
    if shutil.which("systemd-analyze") is None:
        pytest.skip("THE UNIT IS NOT TESTED here: apt-get install systemd")
    found = subprocess.run(["systemd-analyze", "verify", current / "bottle.service"], capture_output=True, text=True)
    assert [row for row in found.stderr.splitlines() if "bottle.service" in row] == []


def test_an_update_is_put_in_force_and_taken_back(site: Site, tmp_path: Path) -> None:
    first = site.current
    records = site.prefix / "station" / "records"
    records.mkdir()
    done = install(another(site, tmp_path, with_threshold(9.5)), site.prefix)
    assert done.returncode == 0, done.stderr
    second = site.current
    assert second != first
    assert second.joinpath("venv").resolve() == first.joinpath("venv").resolve()  # the same wheels
    assert read_detector(site.prefix / "current" / DETECTOR)[1].threshold.value == 9.5
    for now, other in ((first, second), (second, first), (first, second)):
        done = subprocess.run(["sh", second / INSTALLER, "--rollback"], capture_output=True, text=True)
        assert done.stdout.startswith(f"{now.name} is in force again, in place of {other.name}\n"), done.stderr
        assert site.current == now
        assert proctor(site, "--version").returncode == 0
    listed = subprocess.run(["sh", first / INSTALLER, "--list"], capture_output=True, text=True).stdout
    assert sorted(listed.splitlines()) == sorted([f"{first.name} in force", f"{second.name} before"])
    assert records.is_dir()


def test_without_a_release_before_there_is_no_way_back(site: Site, tmp_path: Path) -> None:
    done = install(site.bundle, tmp_path / "empty", "--rollback")
    assert "no other release was in force" in said(done)


@pytest.mark.usefixtures("unchanged")
def test_a_bundle_that_is_damaged_is_refused(site: Site, tmp_path: Path) -> None:
    wheel = next(site.bundle.glob("wheels/packaging-*.whl"))
    before = sorted(site.prefix.rglob("*"))
    damaged = another(site, tmp_path, lambda bundle: None)
    data = bytearray(wheel.read_bytes())
    data[len(data) // 2] ^= 1
    rewrite(damaged / "wheels" / wheel.name, bytes(data))
    assert f"./wheels/{wheel.name}: FAILED".replace("./", "") in said(install(damaged, site.prefix))
    rewrite(damaged / "wheels" / wheel.name, wheel.read_bytes())
    (damaged / "wheels" / "more.whl").write_bytes(b"")
    assert "and its list" in said(install(damaged, site.prefix))
    (damaged / "wheels" / "more.whl").unlink()
    (damaged / WORDS).unlink()
    assert f"{WORDS}: FAILED" in said(install(damaged, site.prefix))
    (damaged / SUMS).unlink()
    assert "SHA256SUMS is missing" in said(install(damaged, site.prefix))
    assert sorted(site.prefix.rglob("*")) == before


def test_a_wheel_that_was_changed_with_its_sum_is_not_installed(site: Site, tmp_path: Path) -> None:
    wheel = next(site.bundle.glob("wheels/packaging-*.whl"))

    def change(bundle: Path) -> None:
        shutil.copy(wheel, bundle / "copy")
        with zipfile.ZipFile(bundle / "copy", "a") as archive:
            archive.writestr("packaging/more.py", "print('more')")
        rewrite(bundle / "wheels" / wheel.name, (bundle / "copy").read_bytes())
        (bundle / "copy").unlink()
        needing("packaging")(bundle)

    done = install(another(site, tmp_path, change), tmp_path / "opt")
    assert "do not match the hashes" in said(done).lower()
    assert not (tmp_path / "opt" / "current").exists()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda bundle: rewrite(bundle / WORDS, b"--socket\nx\n--engine\nopenvino\n"), "OpenVINO is not installed"),
        (lambda bundle: rewrite(bundle / WORDS, b"--camera\ndemo\n"), "nobody could trigger the camera"),
    ],
    ids=["engine", "line"],
)
def test_a_release_that_does_not_run_is_not_put_in_force(
    site: Site, tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    done = install(another(site, tmp_path, change), site.prefix)
    assert reason in said(done)
    assert "what was in force stays in force" in done.stderr


@pytest.mark.usefixtures("unchanged")
def test_an_install_that_is_killed_leaves_what_runs(site: Site, tmp_path: Path) -> None:
    bundle = another(site, tmp_path, needing("numpy"), keep="numpy")  # whose modules take seconds to compile
    runtimes = set((site.prefix / "runtimes").iterdir())
    command = [*OFFLINE, "sh", str(bundle / INSTALLER), "--prefix", str(site.prefix)]
    child = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + START_S
    half: set[Path] = set()
    while not any(list(each.glob("lib/*/site-packages/*/__init__.py")) for each in half):
        assert child.poll() is None
        assert time.monotonic() < limit
        half = set((site.prefix / "runtimes").iterdir()) - runtimes
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait(START_S)
    (left,) = half
    assert not (left / "complete").exists()
    done = install(site.bundle, site.prefix)  # no lock is left, and what is in force already is installed again
    assert done.returncode == 0, done.stderr
    subprocess.run(["sh", site.bundle / INSTALLER, "--prefix", site.prefix, "--prune"], check=True)
    assert not left.exists()


@pytest.mark.usefixtures("unchanged")
def test_two_installs_at_once_do_not_mix(site: Site) -> None:
    with (site.prefix / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another install is at work" in said(install(site.bundle, site.prefix))


def test_a_bundle_for_another_python_is_refused(site: Site, tmp_path: Path) -> None:
    def change(bundle: Path) -> None:
        text = (bundle / "bundle.env").read_bytes()
        rewrite(bundle / "bundle.env", text.replace(b"x86_64", b"riscv64").replace(b"aarch64", b"riscv64"))

    done = install(another(site, tmp_path, change), tmp_path / "opt")
    assert "riscv64; give --python PROGRAM" in said(done)
    assert not (tmp_path / "opt").exists()


def test_the_list_of_parts_is_valid_and_names_everything(site: Site) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (site.bundle / SBOM).read_text()
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"library"', '"book"', 1)) is not None
    document = json.loads(text)
    own = document["metadata"]["component"]
    wheels = [read_wheel(path) for path in (*site.bundle.glob("wheels/*.whl"), *site.bundle.glob("pip/*.whl"))]
    parts = {each["name"]: each for each in [*document["components"], own]}
    assert set(parts) == {*(wheel.name for wheel in wheels), DETECTOR}
    for wheel in wheels:
        part = parts[wheel.name]
        assert (part["version"], part["hashes"]) == (wheel.version, [{"alg": "SHA-256", "content": wheel.sha256}])
        assert part["purl"] == f"pkg:pypi/{wheel.name}@{wheel.version}"
        assert bool(part.get("licenses")) == (wheel.licence != NOT_STATED)
    assert own["name"] == "proctor"
    assert parts["pip"]["scope"] == "excluded"
    assert {"expression": "Apache-2.0 OR BSD-2-Clause", "acknowledgement": "declared"} in parts["packaging"]["licenses"]
    model, recipe = parts[DETECTOR], read_detector(DEMO)[1]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(DEMO.read_bytes()).hexdigest()}]
    assert {"name": "proctor:recipe_sha256", "value": recipe.sha256} in model["properties"]


def test_what_needs_what_is_in_it(site: Site) -> None:
    document = json.loads((site.bundle / SBOM).read_text())
    needs = {each["ref"]: set(each.get("dependsOn", ())) for each in document["dependencies"]}
    (own,) = [ref for ref in needs if ref.startswith("proctor==")]
    assert {"numpy", "onnxruntime", "pymodbus", "pillow"} <= {ref.partition("==")[0] for ref in needs[own]}
    assert any(ref.startswith("detector:") for ref in needs[own])
    reached, waiting = set[str](), [own]
    while waiting:
        ref = waiting.pop()
        reached.add(ref)
        waiting += needs[ref] - reached
    assert {ref for ref in needs if not ref.startswith("pip==")} == reached


def test_the_licences_and_their_texts_go_along(site: Site) -> None:
    listed = (site.bundle / LIST).read_text()
    for path in site.bundle.glob("wheels/*.whl"):
        wheel = read_wheel(path)
        assert f"| {wheel.name} | {wheel.version} | {wheel.licence} |" in listed
        for text in wheel.texts:
            with zipfile.ZipFile(path) as archive:
                kept = site.bundle / "licences" / f"{wheel.name}-{wheel.version}" / text
                assert kept.read_bytes() == archive.read(text)
    by_name = {path.name.partition("-")[0]: read_wheel(path) for path in site.bundle.glob("wheels/*.whl")}
    assert len(by_name["proctor"].texts) >= 1
    assert by_name["onnxruntime"].texts == ("onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt")
    assert (site.current / LIST).is_file()


def test_proctors_wheel_is_that_of_the_code_that_runs(site: Site, tmp_path: Path) -> None:
    (wheel,) = site.bundle.glob("wheels/proctor-*.whl")
    assert own_wheel(wheel, tmp_path / "tree", ROOT).sha256 == read_wheel(wheel).sha256
    (installed,) = (site.current / "venv").resolve().glob("lib/*/site-packages")
    assert own_wheel(wheel, tmp_path / "installed", installed).version == read_wheel(wheel).version
    with pytest.raises(InputError, match=r"cannot be built again .*--wheel"):
        own_wheel(None, tmp_path, installed)
    changed = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"#" if name == "runtime/detector.py" else b""))
    with pytest.raises(InputError, match=r"not the Proctor that runs here: runtime/detector\.py differs"):
        own_wheel(changed, tmp_path / "x", ROOT)
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            if name != "runtime/detector.py":
                new.writestr(name, old.read(name))
    with pytest.raises(InputError, match=r"it lacks runtime/detector\.py"):
        own_wheel(changed, tmp_path / "x", ROOT)
    with pytest.raises(InputError, match="is the wheel of packaging"):
        own_wheel(next(site.bundle.glob("wheels/packaging-*.whl")), tmp_path / "x", ROOT)


def test_the_same_tree_makes_the_same_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever and in whatever order its files were written; a tree of two modules is enough to see it."""
    if importlib.util.find_spec("setuptools") is not None:
        monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # pip's word for: with the setuptools that is here
    made = []
    for number, names in enumerate((("__init__.py", "versions.py"), ("versions.py", "__init__.py"))):
        tree = tmp_path / f"tree-{number}"
        (tree / "runtime").mkdir(parents=True)
        for name in (*TREE, *(f"runtime/{each}" for each in names)):
            shutil.copyfile(ROOT / name, tree / name)
            os.utime(tree / name, (10**9 + number * 10**6,) * 2)
        made.append(own_wheel(None, tmp_path / f"wheels-{number}", tree).sha256)
    assert made[0] == made[1]


def test_a_version_that_nobody_tested_here_is_refused(site: Site) -> None:
    wheels, installed = read_wheels(site.bundle / "wheels"), installed_versions()
    check_tested(wheels, installed)
    for others in ({**installed, "pymodbus": "3.15.0"}, {k: v for k, v in installed.items() if k != "pymodbus"}):
        with pytest.raises(InputError, match=r"pymodbus 3\.[\d.]+ is not installed here"):
            check_tested(wheels, others)


@pytest.mark.parametrize(
    ("extras", "out", "reason"),
    [(("modbux",), "x", r"no extra modbux; known are .*modbus"), ((), "there", "is there already")],
)
def test_what_cannot_be_bundled_leaves_nothing(
    site: Site, tmp_path: Path, extras: tuple[str, ...], out: str, reason: str
) -> None:
    (tmp_path / "there").mkdir()
    (wheel,) = site.bundle.glob("wheels/proctor-*.whl")
    with pytest.raises(InputError, match=reason):
        make_bundle(tmp_path / out, Station(Path("/opt/proctor"), DEMO), extras, wheel, trial=False)
    assert [each.name for each in tmp_path.iterdir()] == ["there"]


def test_settings_reach_the_shell_as_they_are(tmp_path: Path) -> None:
    prefix = Path('/opt/it\'s $(touch hit) "a" `b`; c')
    (tmp_path / "bundle.env").write_text(_settings(Station(prefix, DEMO), "0.1.0"))
    shell = '. ./bundle.env; printf "%s|%s|%s" "$bundled_prefix" "$unit" "$version"'
    done = subprocess.run(["sh", "-eu", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"{prefix}||0.1.0"
    assert [each.name for each in tmp_path.iterdir()] == ["bundle.env"]


def test_a_detector_or_a_line_that_is_none_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no model")
    with pytest.raises(DetectorError):
        make_bundle(tmp_path / "out", Station(Path("/opt"), tmp_path / "x.onnx"), (), None, trial=False)
    with pytest.raises(InputError, match=r"gone/out cannot be made \(No such file or directory\)"):
        make_bundle(tmp_path / "gone" / "out", Station(Path("/opt"), DEMO), (), None, trial=False)
    with pytest.raises(InputError, match="begins with /"):
        Station(Path("opt"), DEMO)
    with pytest.raises(InputError, match="the service's name"):
        line_unit(Path("/opt"), LineAtBoot(()), "a b").text()
    for words, reason in (
        ("--camera demo", "nobody could trigger the camera"),
        (
            "line.yaml",
            "the line's words name line.yaml; give the detector by --detector FILE, and the options of a YAML",
        ),
        ("--socket x other.onnx", "the line's words name other.onnx; give"),
        ("--recipes x --socket x --good-frame x.png", "a recipe is sealed: its picture for the self-check is its good"),
    ):
        arguments = [tmp_path / "out", "--detector", DEMO, "--", *words.split()]
        monkeypatch.setattr(sys, "argv", ["runtime.bundle", *map(str, arguments)])
        with pytest.raises((InputError, SystemExit)) as refused:  # or argparse's, which has said why
            main()
        assert reason in f"{refused.value}{capsys.readouterr().err}"
        assert not (tmp_path / "out").exists()


def test_a_line_of_sealed_recipes_is_bundled_without_a_detector_of_its_own() -> None:
    recipes = Path("recipes")
    words = ("--recipes", "recipes", "--key-file", "/etc/key", "--socket", "line.sock")
    sealed = line_unit(Path("/opt/x"), LineAtBoot(words, recipes=recipes))
    assert "ExecStart=/opt/x/current/venv/bin/proctor line --recipes recipes --key-file" in sealed.text()
    assert Station(Path("/opt/x"), DEMO, sealed).words == words
    given = line_unit(Path("/opt/x"), LineAtBoot((str(DEMO), *words[4:])))
    assert given.command == ("/opt/x/current/detector.onnx", *words[4:])
    assert Station(Path("/opt/x"), DEMO, given).words == words[4:]


def test_it_is_checked_by_the_bundles_detector_until_something_is_in_force(site: Site, tmp_path: Path) -> None:
    prefix = placed_aside(site, tmp_path)
    words = b"--socket\nline.sock\n--recipes\nrecipes\n--threads\n1\n"
    done = install(another(site, tmp_path / "a", lambda bundle: rewrite(bundle / WORDS, words)), prefix)
    assert done.returncode == 0, done.stderr
    assert "no recipe in recipes is in force; the line starts once one is sealed and activated there" in done.stdout
    recipes = RecipeStore(prefix / "station" / "recipes")
    recipes.seal("bottle", [prefix / "current" / DETECTOR], "me", "a test")
    recipes.activate("bottle", "me", "a test")
    again = another(site, tmp_path / "b", lambda bundle: rewrite(bundle / WORDS, words + b"--at-once\n1\n"))
    done = install(again, prefix)
    assert "recipes/bottle/0001/detector.onnx infers on" in done.stdout, done.stderr
    (recipes.path("bottle", 1) / DETECTOR).write_bytes(b"changed")
    before = (prefix / "current").resolve()
    assert "was changed since me sealed it" in said(install(again, prefix))
    assert (prefix / "current").resolve() == before


def test_a_bundle_is_tried_where_it_is_made(site: Site, tmp_path: Path) -> None:
    prefix = placed_aside(site, tmp_path)
    try_bundle(another(site, tmp_path / "whole", lambda bundle: None), prefix)
    current = (prefix / "current").resolve()
    assert (current / "complete").is_file()

    def cut_off(bundle: Path) -> None:
        rewrite(bundle / DETECTOR, (bundle / DETECTOR).read_bytes()[:-1000])

    broken = another(site, tmp_path / "broken", cut_off)
    with pytest.raises(InputError, match=r"could not be installed on trial: .* does not run here"):
        try_bundle(broken, prefix)
    assert (prefix / "current").resolve() == current
    (refused,) = (each for each in (prefix / "releases").iterdir() if each != current)
    assert not (refused / "complete").exists()
    assert "reading detector.onnx" in (refused / "doctor.txt").read_text()


def test_the_installer_is_plain_sh() -> None:
    script = ROOT / "runtime" / "bundle" / INSTALLER
    subprocess.run(["sh", "-n", script], check=True)
    told = subprocess.run(["sh", script, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--rollback" in told
    assert "shellcheck" not in told
    if shutil.which("shellcheck") is None:
        pytest.skip("THE INSTALLER IS NOT LINTED here: apt-get install shellcheck")
    done = subprocess.run(["shellcheck", "--shell=sh", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
