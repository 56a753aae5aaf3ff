"""Machine and cameras, from trees of files like those of a Jetson and of a workstation."""

import os
from pathlib import Path

import pytest

from runtime.doctor.cameras import Camera, examine_cameras
from runtime.doctor.findings import Status
from runtime.doctor.machine import examine_machine

RELEASE = "# R{major} (release), REVISION: {minor}, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8"


def write(root: Path, path: str, text: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def jetson(root: Path, major: int, minor: str) -> None:
    write(root, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    write(root, "etc/nv_tegra_release", RELEASE.format(major=major, minor=minor))


def test_a_jetson_is_known_by_board_and_release(tmp_path: Path) -> None:
    jetson(tmp_path, 36, "4.3")
    found = examine_machine(tmp_path)
    assert (found.is_jetson, found.l4t, found.jetpack) == (True, "36.4.3", 6)
    finding = found.findings[-1]
    assert finding.status is Status.OK
    assert finding.text == "NVIDIA Jetson Orin Nano Developer Kit, Jetson Linux 36.4.3 (JetPack 6)"


def test_jetpack_5_is_refused_with_what_to_do(tmp_path: Path) -> None:
    jetson(tmp_path, 35, "4.1")
    finding = examine_machine(tmp_path).findings[-1]
    assert finding.status is Status.BROKEN
    assert finding.text.endswith("Jetson Linux 35.4.1 (JetPack 5): its TensorRT is too old for Proctor")
    assert finding.remedy == "upgrade to JetPack 6, or run ONNX Runtime on the CPU"
    assert not finding.stops


def test_a_container_on_a_jetson_hides_the_device_tree(tmp_path: Path) -> None:
    write(tmp_path, "etc/nv_tegra_release", RELEASE.format(major=36, minor="4.3"))
    assert examine_machine(tmp_path).is_jetson


def test_a_release_nobody_knows_yet_is_no_fault(tmp_path: Path) -> None:
    jetson(tmp_path, 99, "0")
    found = examine_machine(tmp_path)
    assert (found.l4t, found.jetpack, found.findings[-1].status) == ("99.0", None, Status.OK)


@pytest.mark.parametrize("model", ["Raspberry Pi 5 Model B Rev 1.0\0", ""])
def test_other_machines_are_no_jetson(model: str, tmp_path: Path) -> None:
    write(tmp_path, "proc/device-tree/model", model)
    write(tmp_path, "etc/nv_tegra_release", "something else")
    found = examine_machine(tmp_path)
    assert (found.is_jetson, found.l4t) == (False, None)
    assert all(finding.status is Status.OK for finding in found.findings)


def test_cameras_are_listed_by_number_with_their_names(tmp_path: Path) -> None:
    for number, name in ((10, "capture card"), (0, "HD USB Camera\n"), (1, "")):
        write(tmp_path, f"dev/video{number}")
        write(tmp_path, f"sys/class/video4linux/video{number}/name", name)
    write(tmp_path, "dev/video-interlaced")
    found = examine_cameras(is_jetson=False, root=tmp_path)
    assert found.devices == (
        Camera("/dev/video0", "HD USB Camera", True),
        Camera("/dev/video1", "a camera without a name", True),
        Camera("/dev/video10", "capture card", True),
    )
    assert [finding.status for finding in found.findings] == [Status.OK] * 3


def test_a_camera_that_may_not_be_opened_names_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "dev/video0")
    # for root every file is open: the answer is what another user would get
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK | os.W_OK)
    (finding,) = examine_cameras(is_jetson=False, root=tmp_path).findings
    assert finding.status is Status.BROKEN
    assert "usermod -aG video" in finding.remedy


def test_no_camera_is_absent(tmp_path: Path) -> None:
    (finding,) = examine_cameras(is_jetson=False, root=tmp_path).findings
    assert (finding.status, finding.text) == (Status.ABSENT, "no /dev/video*")


@pytest.mark.parametrize(
    ("files", "status", "text"),
    [
        (["usr/sbin/nvargus-daemon", "tmp/argus_socket"], Status.OK, "answers at /tmp/argus_socket"),
        (["tmp/argus_socket"], Status.OK, "answers at /tmp/argus_socket"),
        (["usr/sbin/nvargus-daemon"], Status.BROKEN, "does not run"),
        ([], Status.ABSENT, "no nvargus-daemon"),
    ],
)
def test_a_jetsons_camera_service_is_looked_for(files: list[str], status: Status, text: str, tmp_path: Path) -> None:
    for file in files:
        write(tmp_path, file)
    finding = examine_cameras(is_jetson=True, root=tmp_path).findings[-1]
    assert finding.status is status
    assert text in finding.text
