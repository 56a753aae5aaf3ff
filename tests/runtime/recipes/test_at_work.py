"""The recipe in force takes over in a stream that runs, or the detector before goes on."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from runtime_samples import fake_detector

from runtime.detector import Detector
from runtime.errors import DetectorError
from runtime.location import Location
from runtime.recipes.at_work import AtWork
from runtime.recipes.store import RecipeStore


class Places:
    """Opens fakes, and notes what was opened and closed, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.broken, self.changed = set[str](), set[str]()

    def open(self, location: Location) -> Detector:
        name = "/".join(Path(str(location)).parts[-3:-1])
        self.log.append(f"open {name}")
        if name in self.broken:
            raise DetectorError(f"{location} cannot be run")
        detector, log, closed = fake_detector(), self.log, Detector.close
        if name in self.changed:
            detector.recipe = detector.recipe.with_threshold(0.9)

        class Watched(Detector):
            def close(self) -> None:
                log.append(f"close {name}")
                closed(self)

        detector.__class__ = Watched
        return detector


@pytest.fixture
def store(tmp_path: Path) -> RecipeStore:
    store = RecipeStore(tmp_path / "recipes")
    (tmp_path / "detector.onnx").write_bytes(b"a detector")
    for _ in range(3):
        store.seal("can", [tmp_path / "detector.onnx"], "the test", "for it")
    return store


def test_one_is_closed_before_the_next_is_opened(store: RecipeStore, capsys: pytest.CaptureFixture[str]) -> None:
    places = Places()
    store.activate("can", "the test", "to begin with", 2)
    with AtWork(store.path("can", 1) / "detector.onnx", places.open, places.open) as work:
        first = work.detector
        second = work.take(store)
        assert second is work.detector
        assert second is not first
        assert work.location == store.path("can", 2) / "detector.onnx"
        assert work.take(store) is second
    assert places.log == ["open can/0001", "close can/0001", "open can/0002", "close can/0002"]
    told = capsys.readouterr().err
    assert "the recipe can 2 is in force in place of" in told
    assert "the recipe can 2 is in force already" in told


def test_one_that_cannot_be_opened_leaves_the_one_before_at_work(
    store: RecipeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    places = Places()
    places.broken.add("can/0003")
    store.activate("can", "the test", "to begin with")
    with AtWork(store.path("can", 1) / "detector.onnx", places.open, places.open) as work:
        found = work.take(store)
        assert found is work.detector
        assert work.location == store.path("can", 1) / "detector.onnx"
    assert places.log == ["open can/0001", "close can/0001", "open can/0003", "open can/0001", "close can/0001"]
    assert "error: the recipe can 3 was not put in force" in capsys.readouterr().err


def test_one_whose_file_was_changed_meanwhile_is_not_gone_back_to(store: RecipeStore) -> None:
    """Nobody released what lies there now."""
    places = Places()
    places.broken.add("can/0003")
    store.activate("can", "the test", "to begin with")
    with AtWork(store.path("can", 1) / "detector.onnx", places.open, places.open) as work:
        places.changed.add("can/0001")
        with pytest.raises(DetectorError, match="is not what it was"):
            work.take(store)
    assert places.log.count("close can/0001") == 2


@pytest.mark.parametrize(("grey", "is_taken"), [(128, True), (250, False)])
def test_its_good_picture_decides(store: RecipeStore, tmp_path: Path, grey: int, is_taken: bool) -> None:
    places = Places()
    good = np.full((16, 24, 3), 128, np.uint8)
    good[4:8, 4:8] = grey
    cv2.imwrite(str(tmp_path / "good.png"), good)
    store.seal("can", [tmp_path / "detector.onnx", tmp_path / "good.png"], "the test", "with a picture")
    store.activate("can", "the test", "to try it")
    with AtWork(store.path("can", 1) / "detector.onnx", places.open, places.open) as work:
        work.take(store)
        assert work.location == store.path("can", 4 if is_taken else 1) / "detector.onnx"
    assert places.log.count("close can/0004") == 1


def test_a_folder_that_vouches_for_nothing_changes_nothing(
    store: RecipeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    places = Places()
    with AtWork(store.path("can", 1) / "detector.onnx", places.open, places.open) as work:
        first = work.detector
        assert work.take(store) is first
        store.activate("can", "the test", "to begin with")
        (store.path("can", 3) / "detector.onnx").write_bytes(b"another one")
        assert work.take(store) is first
    assert places.log == ["open can/0001", "close can/0001"]
    told = capsys.readouterr().err
    assert "no recipe in" in told
    assert "was changed since the test sealed it" in told
