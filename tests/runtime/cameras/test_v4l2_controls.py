"""Controls of V4L2 cameras: numbers and layouts by the kernel's header, and a driver in C that answers by it."""

import errno
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cameras import open_source, v4l2_controls
from runtime.cameras.v4l2 import holder_of
from runtime.cameras.v4l2_controls import NEXT_CTRL, card_of, set_controls
from runtime.errors import SetupError, SourceError

ROOT = Path(__file__).parents[3]
DRIVER = Path(__file__).parents[1] / "v4l2_driver.c"
OFFSETS = {  # of a member, by the format of what stands before it
    "v4l2_capability.card": "16s",
    "v4l2_capability.capabilities": "16s32s32sI",
    "v4l2_capability.device_caps": "16s32s32sII",
    "v4l2_queryctrl.name": "II",
    "v4l2_queryctrl.minimum": "II32s",
    "v4l2_queryctrl.default_value": "II32siii",
    "v4l2_queryctrl.flags": "II32siiii",
    "v4l2_control.value": "I",
    "v4l2_querymenu.index": "I",
    "v4l2_querymenu.name": "II",
}
ASK = """
import fcntl, json, os, sys
from runtime.cameras import v4l2_controls
from runtime.cameras.v4l2_controls import card_of, list_controls, set_controls
from runtime.errors import SetupError
def held(device):
    for control in list_controls(device):
        if control.kind != v4l2_controls.BUTTON:
            answer = fcntl.ioctl(device, v4l2_controls.VIDIOC_G_CTRL, v4l2_controls.CONTROL.pack(control.id, 0))
            yield control.name, v4l2_controls.CONTROL.unpack(answer)[1]
path, steps = sys.argv[1], json.loads(sys.argv[2])
said = []
for step in steps:
    try:
        set_controls(path, step)
        said.append(None)
    except SetupError as error:
        said.append(str(error).replace(path, "CAMERA"))
device = os.open(path, os.O_RDWR)
print(json.dumps([said, dict(held(device)), card_of(path)]))
"""


def compiled(target: Path, *options: str) -> Path:
    if shutil.which("gcc") is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("V4L2 CONTROLS ARE NOT TESTED here: apt-get install gcc libc6-dev linux-libc-dev")
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", target, DRIVER, *options], check=True, timeout=60)
    return target


def test_numbers_and_layouts_are_those_of_the_kernel(tmp_path: Path) -> None:
    program = compiled(tmp_path / "numbers", "-DNUMBERS")
    lines = subprocess.run([program], capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    found = {name: int(value) for name, value in (line.split() for line in lines)}
    offsets = {name: found.pop(name) for name in OFFSETS}
    assert offsets == {name: struct.calcsize(f"={form}") for name, form in OFFSETS.items()}
    ours = {name: getattr(v4l2_controls, name) for name in found}
    assert found == {name: each.size if isinstance(each, struct.Struct) else each for name, each in ours.items()}
    assert len(found) == 23


def asked(tmp_path: Path, *steps: dict[str, str]) -> list[object]:
    """What comes of settings, one step after the other; all controls after that; and what the camera calls itself."""
    driver = compiled(tmp_path / "driver.so", "-shared", "-fPIC")
    camera = tmp_path / "video0"
    camera.touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LD_PRELOAD": str(driver)}
    command = [sys.executable, "-c", ASK, str(camera), json.dumps(steps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answer: list[object] = json.loads(done.stdout)
    return answer


AUTOMATIC = (
    "CAMERA does not use exposure_time_absolute now: another setting has it under automatic control; give that one "
    "before it (such as auto_exposure=1, exposure_auto=1 or white_balance_automatic=0)"
)
MENU = "one of 1 (Manual Mode), 3 (Aperture Priority Mode)"
NAMES = (
    "brightness, white_balance_automatic, do_white_balance, gain, sharpness, rotate, min_buffers, auto_exposure, "
    "exposure_time_absolute, link_frequency"
)


def test_a_camera_takes_its_settings_or_says_what_it_takes(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, str], str | None]] = [
        ({"exposure_time_absolute": "200"}, AUTOMATIC),
        ({"auto_exposure": "1", "exposure_time_absolute": "200"}, None),
        ({"auto_exposure": "aperture priority mode"}, None),
        ({"auto_exposure": "manual mode", "exposure_time_absolute": "0xc8"}, None),
        ({"white_balance_automatic": "off", "brightness": "-64", "gain": "96", "do_white_balance": ""}, None),
        (
            {"exposure_time_absolute": "5000"},
            "CAMERA does not take exposure_time_absolute=5000; expected 3 to 2047 (default 250)",
        ),
        ({"brightness": "bright"}, "CAMERA does not take brightness=bright; expected -64 to 64 (default 0)"),
        ({"gain": "12"}, "CAMERA does not take gain=12; expected 0 to 96 in steps of 8 (default 0)"),
        ({"auto_exposure": "2"}, f"CAMERA does not take auto_exposure=2; expected {MENU}"),
        ({"white_balance_automatic": "2"}, "CAMERA does not take white_balance_automatic=2; expected 0 or 1"),
        (
            {"link_frequency": "2"},
            "CAMERA does not take link_frequency=2; expected one of 0 (912000000), 1 (456000000)",
        ),
        ({"sharpness": "6"}, "CAMERA holds sharpness at 5 and does not take 6; expected 0 to 7 (default 3)"),
        ({"min_buffers": "5"}, "CAMERA lets nobody set min_buffers: it can only be read"),
        ({"rotate": "90"}, "CAMERA holds rotate while another program uses the camera; close that program"),
        ({"exposure": "5"}, f"CAMERA has no setting 'exposure'; it has {NAMES}"),
        ({"gamma": "100"}, f"CAMERA has no setting 'gamma'; it has {NAMES}"),
    ]
    said, held, card = asked(tmp_path, *(settings for settings, _ in cases))
    assert isinstance(said, list)
    for (settings, expected), answer in zip(cases, said, strict=True):
        assert answer == expected, settings
    assert isinstance(held, dict)
    assert (held["exposure_time_absolute"], held["gain"], held["brightness"]) == (200, 96, -64)
    assert (held["auto_exposure"], held["white_balance_automatic"]) == (1, 0)
    assert card == ["Test Camera: One", False]


def test_what_is_no_camera_has_no_settings(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    with pytest.raises(SourceError, match=r"video0 cannot be opened for its settings \(No such file or directory\)"):
        set_controls(str(path), {"gain": "1"})
    path.touch()
    with pytest.raises(SetupError, match="video0 has no setting 'gain'; it has no settings at all"):
        set_controls(str(path), {"gain": "1"})
    with pytest.raises(SetupError, match="video0 has no setting 'gain'"):
        open_source(f"v4l2:{path}", settings={"gain": 1}, wait=True)
    assert card_of(str(path)) is None


@pytest.mark.parametrize(
    ("number", "raised", "message"),
    [
        (errno.EIO, SourceError, "took gain and does not answer any more (Input/output error); check its cable"),
        (errno.ENODEV, SourceError, "took gain and does not answer any more (No such device); check its cable"),
        (errno.EACCES, SetupError, "does not tell what gain is (Permission denied); leave it out"),
    ],
)
def test_a_camera_that_does_not_answer_after_it_took_a_setting_is_one_sentence(
    number: int, raised: type[SourceError], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ioctl(device: int, request: int, data: bytes) -> bytes:
        if request == v4l2_controls.VIDIOC_QUERYCTRL and v4l2_controls.QUERYCTRL.unpack(data)[0] == NEXT_CTRL:
            return v4l2_controls.QUERYCTRL.pack(1, v4l2_controls.INTEGER, b"Gain", 0, 96, 8, 0, 0)
        if request == v4l2_controls.VIDIOC_S_CTRL:
            return data
        failure = number if request == v4l2_controls.VIDIOC_G_CTRL else errno.EINVAL
        raise OSError(failure, os.strerror(failure))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    path = tmp_path / "video0"
    path.touch()
    with pytest.raises(SourceError) as error:
        set_controls(str(path), {"gain": "8"})
    assert (type(error.value), str(error.value)) == (raised, f"{path} {message}")


def test_who_holds_a_camera_is_named(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.touch()
    assert holder_of(str(path)) is None
    with path.open() as file:
        held = subprocess.Popen(["sleep", "60"], stdin=file)
    try:
        assert holder_of(str(path)) == f"process {held.pid} (sleep)"
        with pytest.raises(SourceError, match=rf"in use by process {held.pid} \(sleep\); close that program"):
            open_source(f"v4l2:{path}")
    finally:
        held.kill()
        held.wait()
