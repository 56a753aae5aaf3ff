"""Two processes at one run folder or file: the second is refused at once, and a kill leaves nothing that locks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from locked import holding

from calibration.calibrate import calibrate_folder
from runtime.errors import InputError
from runtime.lock import LOCK, only_one, only_one_writes
from train.__main__ import make_detector
from train.config import as_mapping, as_yaml
from train.files import read_with_card, save_network
from train.networks import PatchNetwork
from train.options import StudentsConfig, TeacherConfig
from train.run_folder import RunFolder
from train.student_training import train_students
from train.teacher_training import train_teacher

pytest.importorskip("fcntl", reason="this system has no file locks")


def test_the_second_process_is_told_who_has_it(environment: dict[str, str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    with holding(run / LOCK, environment) as process:
        with pytest.raises(InputError) as caught, RunFolder(run).only_one():
            pass
        assert str(caught.value).startswith(f"{run} is in use by process {process.pid} on ")
        assert str(caught.value).endswith("wait until that has ended, or name another")
        (tmp_path / "other name").symlink_to(run)
        with pytest.raises(InputError, match="is in use"), RunFolder(tmp_path / "other name").only_one():
            pass
        process.communicate()
    assert sorted(tmp_path.iterdir()) == [tmp_path / "other name"]  # an empty folder of its own goes with the lock


def test_a_lock_left_behind_by_a_kill_locks_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    with holding(run / LOCK, environment) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert (run / LOCK).exists()
        folder = RunFolder(run)
        folder.check(StudentsConfig())  # nor does it pass for a file of somebody's
        with folder.only_one(), RunFolder(run / "." / "").only_one():  # one stage calls another
            folder.claim(StudentsConfig())
    assert [path.name for path in run.iterdir()] == ["config.yaml"]


def test_of_many_that_start_at_once_one_gets_it(environment: dict[str, str], tmp_path: Path) -> None:
    """Each holds it for a moment, tries again when refused, and finds nobody else's mark while it has it."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from runtime.errors import InputError\n"
        "from runtime.lock import only_one\n"
        "folder, done, refusal = Path(sys.argv[1]), 0, None\n"
        "until = time.monotonic() + 60\n"
        "while done < 40:\n"
        "    assert time.monotonic() < until, refusal\n"
        "    try:\n"
        "        with only_one(folder / '.lock', folder):\n"
        "            (folder / 'mark').touch(exist_ok=False)\n"
        "            (folder / 'mark').unlink()\n"
        "            done += 1\n"
        "    except InputError as error:\n"
        "        refusal = str(error)\n"
        "        time.sleep(0.001)\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=environment, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    errors = [process.communicate()[1].decode() for process in started]
    assert errors == [""] * 3
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_locked_by_a_name_beside_it(environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "detector.onnx"
    with (
        holding(tmp_path / ".detector.onnx.lock", environment),
        pytest.raises(InputError, match=r"detector\.onnx is in use by process"),
        only_one_writes(out),
    ):
        pass


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"run cannot be made \(Not a directory\); choose another place"),
        only_one(tmp_path / "file" / "run" / LOCK, tmp_path),
    ):
        pass


@pytest.fixture
def settings(part_images: Path, tmp_path: Path) -> StudentsConfig:
    """Of a training that has more steps before it than it can do."""
    teacher = tmp_path / "teacher.safetensors"
    save_network(teacher, PatchNetwork(33, 0.25), {})
    return StudentsConfig(
        data=str(part_images), teachers=(str(teacher),), students=1, size_hw=(32, 36), train_stride=8,
        output_stride=8, steps=1_000_000, checkpoint_every=3, device="cpu", precision="fp32",
    )  # fmt: skip


@pytest.mark.usefixtures("one_thread")
def test_a_second_training_is_refused_and_goes_on_to_the_same_result_after_the_first_is_killed(
    settings: StudentsConfig, environment: dict[str, str], photographs: Path, tmp_path: Path
) -> None:
    """``python -m train``, and every other command that works in its run folder or writes its file."""
    run, out = tmp_path / "detector-run", tmp_path / "detector.onnx"
    (tmp_path / "settings.yaml").write_text(as_yaml(as_mapping(settings)))
    arguments = ["--config", "settings.yaml", "--preset", "students", "--out", "detector.onnx"]
    command = [sys.executable, "-m", "train", *arguments]
    teacher = TeacherConfig(data=str(photographs), descriptor="none", triplet=1.0, device="cpu", precision="fp32")
    others: list[Callable[[], object]] = [
        lambda: make_detector("students", settings, run, out, 0.2, None),
        lambda: make_detector("students", settings, tmp_path / "other-run", out, 0.2, None),
        lambda: make_detector("students", settings, run, tmp_path / "other.onnx", 0.2, None),
        lambda: train_students(settings, run),
        lambda: calibrate_folder(run, 0.2, 0.95),
    ]
    checkpoint = run / "checkpoint-p33.safetensors"
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline().startswith("1/3 training the students")  # the locks are taken
        for other in others:
            with pytest.raises(InputError, match=f"is in use by process {first.pid} on "):
                other()
        while not checkpoint.exists():
            assert first.poll() is None
            time.sleep(0.005)
        os.kill(first.pid, signal.SIGKILL)
    assert {".detector.onnx.lock", "detector-run"} <= {path.name for path in tmp_path.iterdir()}
    before = read_with_card(checkpoint)[1]["step"]
    assert before % 3 == 0
    assert not train_students(settings, run, stop_after=2)
    assert not (run / LOCK).exists()
    assert not train_students(settings, tmp_path / "whole", stop_after=before + 2)
    (killed, after), (whole, expected) = (
        read_with_card(folder / checkpoint.name) for folder in (run, tmp_path / "whole")
    )
    assert after == expected
    assert after["step"] == before + 2
    assert list(killed) == list(whole)
    assert [name for name in whole if not torch.equal(killed[name], whole[name])] == []
    with holding(tmp_path / "teacher" / LOCK, environment), pytest.raises(InputError, match="is in use by process"):
        train_teacher(teacher, tmp_path / "teacher")
