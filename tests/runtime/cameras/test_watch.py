"""A watched folder: writers that are slow, that pause, rename, take away and put marks; each picture exactly once."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from video_samples import number_of, numbered_picture

from runtime.cameras import open_source, watch
from runtime.cameras.base import Source
from runtime.errors import InputError, SourceError, SourceTimeout
from runtime.frames import Frame


@pytest.fixture(autouse=True)
def settles_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SETTLED_S", 0.25)


def png(number: int) -> bytes:
    return cv2.imencode(".png", numbered_picture(number))[1].tobytes()


def frames_of(source: Source, count: int, then_s: float = 0.4) -> list[Frame]:
    """As many frames as are expected, and those that come in a while after."""
    found = []
    deadline_s = time.monotonic() + 15
    while len(found) < count and time.monotonic() < deadline_s:
        found += read(source, 0.2)
    end_s = time.monotonic() + then_s
    while time.monotonic() < end_s:
        found += read(source, 0.05)
    return found


def read(source: Source, timeout_s: float) -> list[Frame]:
    try:
        frame = source.read(timeout_s)
    except SourceTimeout:
        return []
    assert frame is not None
    return [frame]


def shown(frames: list[Frame]) -> dict[str, int]:
    """The number in each picture, by name; each name came once."""
    assert len({frame.name for frame in frames}) == len(frames)
    return {str(frame.name): number_of(frame.image) for frame in frames if frame.problem is None}


def slowly(path: Path, data: bytes, pauses_s: float, steps: int = 6) -> None:
    with path.open("wb", buffering=0) as file:
        for at in range(steps):
            file.write(data[len(data) * at // steps : len(data) * (at + 1) // steps])
            time.sleep(pauses_s)


def by_rename(path: Path, data: bytes) -> None:
    """As rsync and careful programs do."""
    partial = path.with_suffix(".tmp")
    slowly(partial, data, 0.06)
    partial.replace(path)


def side_by_side(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_many_writers_of_all_kinds_and_each_picture_is_there_once_and_whole(tmp_path: Path) -> None:
    def several(first: int, write: Callable[[Path, bytes], None]) -> Callable[[], None]:
        def work() -> None:
            for number in range(first, first + 5):
                write(tmp_path / f"{number}.png", png(number))

        return work

    with open_source(f"watch:{tmp_path}") as source:
        found: list[Frame] = []
        reader = threading.Thread(target=lambda: found.extend(frames_of(source, 15)))
        reader.start()
        side_by_side(
            several(0, Path.write_bytes),  # type: ignore[arg-type]
            several(10, lambda path, data: slowly(path, data, 0.06)),
            several(20, by_rename),
        )
        reader.join()
    numbers = [*range(5), *range(10, 15), *range(20, 25)]
    assert shown(found) == {f"{number}.png": number for number in numbers}
    assert [frame.frame_id for frame in found] == list(range(15))
    assert not any(frame.live for frame in found)


def test_a_writer_that_pauses_for_longer_than_a_file_settles_is_waited_for(tmp_path: Path) -> None:
    with open_source(f"watch:{tmp_path}") as source:
        writer = threading.Thread(target=slowly, args=(tmp_path / "1.png", png(1), 0.6, 3))
        writer.start()
        assert shown(frames_of(source, 1)) == {"1.png": 1}
        writer.join()


def test_a_damaged_picture_is_no_decision_after_some_patience_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PATIENCE_S", 0.8)
    with open_source(f"watch:{tmp_path}") as source:
        (tmp_path / "1.png").write_bytes(png(1)[:-2000])
        (tmp_path / "2.png").write_bytes(png(2))
        found = frames_of(source, 2)
    assert shown(found) == {"2.png": 2}
    assert found[1].problem == f"{tmp_path / '1.png'} is truncated; copy it again or remove it"


def test_a_mark_beside_a_picture_says_that_it_is_whole(tmp_path: Path) -> None:
    with open_source(f"watch:{tmp_path}?settled=done") as source:
        for number, mark in ((1, "1.png.done"), (2, "2.done"), (3, "")):
            writer = threading.Thread(target=slowly, args=(tmp_path / f"{number}.png", png(number), 0.12, 3))
            writer.start()
            assert read(source, 0.45) == []
            writer.join()
            if mark:
                (tmp_path / mark).touch()
                assert shown(frames_of(source, 1, 0.2)) == {f"{number}.png": number}
        (tmp_path / "4.png").write_bytes(png(4)[:-2000])
        (tmp_path / "4.png.done").touch()
        (damaged,) = frames_of(source, 1, 0.2)
        assert str(damaged.problem).startswith(f"{tmp_path / '4.png'} is truncated")
        time.sleep(0.02)
        (tmp_path / "1.png").write_bytes(png(5))  # its old mark says nothing of it
        assert read(source, 0.45) == []
        (tmp_path / "1.png.done").touch()
        assert shown(frames_of(source, 1, 0.2)) == {"1.png": 5}


def test_what_was_there_before_is_left_out_and_said_and_taken_where_it_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    (tmp_path / "notes.txt").write_text("none")
    with open_source(f"watch:{tmp_path}") as source:
        (tmp_path / "3.png").write_bytes(png(3))
        assert shown(frames_of(source, 1)) == {"3.png": 3}
    assert caplog.messages == [
        f"{tmp_path}: 2 pictures of before left out; watch:FOLDER?existing=yes begins with what is there"
    ]
    with open_source(f"watch:{tmp_path}?existing=yes") as source:
        assert shown(frames_of(source, 3)) == {"1.png": 1, "2.png": 2, "3.png": 3}


def test_a_picture_that_is_renamed_or_touched_by_no_writer_is_not_there_twice(tmp_path: Path) -> None:
    with open_source(f"watch:{tmp_path}") as source:
        (tmp_path / "1.png").write_bytes(png(1))
        assert shown(frames_of(source, 1, 0.2)) == {"1.png": 1}
        (tmp_path / "1.png").rename(tmp_path / "1-inspected.png")
        os.chmod(tmp_path / "1-inspected.png", 0o600)
        assert frames_of(source, 0) == []
        (tmp_path / "2.png").write_bytes(png(2))
        assert read(source, 0.1) == []
        (tmp_path / "2.png").rename(tmp_path / "20.png")  # before it has settled
        assert shown(frames_of(source, 1)) == {"20.png": 2}


def test_a_picture_that_is_written_again_is_a_new_one(tmp_path: Path) -> None:
    with open_source(f"watch:{tmp_path}") as source:
        for number in (1, 2, 3):
            (tmp_path / "latest.png").write_bytes(png(number))
            assert shown(frames_of(source, 1, 0.2)) == {"latest.png": number}


def test_a_picture_that_is_taken_away_too_early_is_no_decision(tmp_path: Path) -> None:
    with open_source(f"watch:{tmp_path}") as source:
        (tmp_path / "1.png").write_bytes(png(1))
        assert read(source, 0.1) == []
        (tmp_path / "1.png").unlink()
        (gone,) = frames_of(source, 1)
        assert gone.problem == (
            f"{tmp_path / '1.png'} disappeared before it was whole; let no program take pictures away so early"
        )


def test_names_that_are_no_text_are_escaped_where_a_problem_shows_them(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"line \xff")
    shown_folder, bad, gone = f"{tmp_path}/line \\udcff", os.fsdecode(b"bad \xfe.png"), os.fsdecode(b"gone \xfe.png")
    folder.mkdir()
    with open_source(f"watch:{folder}?settled=done") as source:
        for name in (bad, gone):
            (folder / name).write_bytes(b"")
        assert read(source, 0.1) == []
        (folder / gone).unlink()
        (folder / f"{bad}.done").touch()
        problems = {str(frame.problem) for frame in frames_of(source, 2)}
        shutil.rmtree(folder)
        (lost,) = frames_of(source, 1)
    assert problems == {
        f"{shown_folder}/bad \\udcfe.png is empty; copy it again or remove it",
        f"{shown_folder}/gone \\udcfe.png disappeared before it was whole; let no program take pictures away so early",
    }
    assert str(lost.problem).startswith(f"camera lost: {shown_folder} cannot be read (")


def test_hidden_files_and_what_has_no_pictures_ending_do_not_count(tmp_path: Path) -> None:
    with open_source(f"watch:{tmp_path}") as source:
        for name in (".1.png.Xa3", ".2.png", "3.png.part", "4"):
            (tmp_path / name).write_bytes(png(1))
        (tmp_path / "folder.png").mkdir()
        assert frames_of(source, 0) == []


def test_a_folder_that_goes_is_lost_once_and_nothing_is_there_twice_when_it_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOST_POLL_S", 0.05)
    folder, away = tmp_path / "in", tmp_path / "away"
    folder.mkdir()
    with open_source(f"watch:{folder}") as source:
        (folder / "1.png").write_bytes(png(1))
        assert shown(frames_of(source, 1, 0.1)) == {"1.png": 1}
        folder.rename(away)
        (lost,) = frames_of(source, 1)
        assert lost.problem == (
            f"camera lost: {folder} cannot be read (No such file or directory); looking at it again until it can"
        )
        folder.mkdir()  # as an empty mount point
        assert frames_of(source, 0, 0.3) == []
        folder.rmdir()
        shutil.copytree(away, folder)  # with other inodes
        (folder / "2.png").write_bytes(png(2))
        found = [frame for frame in frames_of(source, 1) if frame.problem is None]
        assert shown(found) == {"2.png": 2}
        assert source.reconnects >= 1


def test_what_is_remembered_of_pictures_that_are_gone_has_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_SEEN", 5)
    monkeypatch.setattr(watch, "SETTLED_S", 0.0)
    with watch.WatchedFolder(tmp_path) as source:
        for number in range(20):
            (tmp_path / f"{number}.png").write_bytes(png(number))
            assert shown(frames_of(source, 1, 0.0)) == {f"{number}.png": number}
            (tmp_path / f"{number}.png").unlink()
        assert len(source._seen) <= 6


@pytest.mark.parametrize("query", ["?", "?settled=soon", "?existing=1", "?speed=3", "?settled"])
def test_options_that_are_none_are_refused(tmp_path: Path, query: str) -> None:
    with pytest.raises(InputError, match=r"expected watch:FOLDER, or as in watch:FOLDER.settled=done&existing=yes"):
        open_source(f"watch:{tmp_path}{query}")


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file or directory; make the folder, or give"):
        open_source(f"watch:{tmp_path / 'none'}")
    (tmp_path / "file.png").write_bytes(png(1))
    with pytest.raises(SourceError, match="cannot be read: Not a directory; make the folder"):
        open_source(f"watch:{tmp_path / 'file.png'}")
    with pytest.raises(SourceError, match="names nothing to open"):
        open_source("watch:")


def test_a_closed_source_is_at_its_end(tmp_path: Path) -> None:
    source = open_source(f"watch:{tmp_path}")
    source.close()
    assert source.read() is None
