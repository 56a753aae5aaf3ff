"""Which cameras of a line share an engine: by what the detector's file holds, at the time when it is opened."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from runtime_samples import grey_frame

from runtime.detector import Detector
from runtime.detector_file import read_detector, write_recipe
from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine
from runtime.errors import DetectorError
from runtime.station import detectors
from runtime.station.description import LineDescription, read_line
from runtime.station.detectors import close_all, open_detectors
from runtime.station.opening import check_files

SPOT = grey_frame(spot=200)  # its score is 0.5625


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The ONNX Runtime engines that are opened, one after the other."""
    opened: list[object] = []
    init = OnnxRuntimeEngine.__init__

    def counting(self: OnnxRuntimeEngine, *arguments: object, **options: object) -> None:
        opened.append(self)
        init(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(OnnxRuntimeEngine, "__init__", counting)
    return opened


@pytest.fixture
def line(detector_file: Path) -> Iterator[LineDescription]:
    """Three cameras: two detectors of equal content in different files, one of them used twice."""
    copy = detector_file.with_name("copy.onnx")
    shutil.copy(detector_file, copy)
    path = detector_file.with_name("line.yaml")
    path.write_text(
        f"""
detectors:
  one: {{file: {detector_file}, threads: 1}}
  copy: {{file: {copy}, threads: 1}}
cameras:
  top: {{uri: demo, detector: one}}
  left: {{uri: demo, detector: copy}}
  right: {{uri: demo, detector: one}}
"""
    )
    return read_line(path)


def change_threshold(path: Path, value: float) -> None:
    model, recipe = read_detector(path)
    write_recipe(path, model, replace(recipe, threshold=replace(recipe.threshold, value=value)))


def decisions(opened: dict[str, Detector]) -> dict[str, str]:
    return {name: detector.inspect(SPOT).decision.value for name, detector in opened.items()}


def test_cameras_with_the_same_detector_open_one_engine(line: LineDescription, engines: list[object]) -> None:
    opened = open_detectors(line)
    assert len(engines) == 1
    assert decisions(opened) == {"top": "NG", "left": "NG", "right": "NG"}
    assert all(detector.engine.description.endswith("shared by 3 cameras") for detector in opened.values())
    close_all(opened.values())


def test_another_threshold_is_another_detector(line: LineDescription, engines: list[object]) -> None:
    change_threshold(Path(line.detectors["copy"].file), 0.75)
    assert "1 engine" not in check_files(line)[0]
    opened = open_detectors(line)
    assert len(engines) == 2
    assert decisions(opened) == {"top": "NG", "left": "OK", "right": "NG"}
    close_all(opened.values())


def test_other_options_are_another_engine(line: LineDescription, engines: list[object]) -> None:
    line.detectors["copy"].options["threads"] = 2
    close_all(open_detectors(line).values())
    assert len(engines) == 2


def test_a_single_camera_has_the_engine_to_itself(line: LineDescription) -> None:
    alone = replace(line, cameras={"top": line.cameras["top"]})
    with open_detectors(alone)["top"] as detector:
        assert isinstance(detector.engine, OnnxRuntimeEngine)


def test_a_served_detector_is_shared_by_its_address(line: LineDescription) -> None:
    pytest.importorskip("grpc", reason="pip install 'proctor[triton]': NO served detector was shared")
    from served_samples import tiny_stand_in

    path = Path(line.document.path)
    path.write_text(
        f"""
detectors: {{lid: {{file: "{tiny_stand_in()}"}}}}
cameras: {{top: {{uri: demo}}, left: {{uri: demo}}}}
"""
    )
    served = read_line(path)
    assert "1 engine" in check_files(served)[0]
    opened = open_detectors(served)
    assert decisions(opened) == {"top": "NG", "left": "NG"}
    assert all(detector.engine.description.startswith("Triton ") for detector in opened.values())
    assert all(detector.engine.description.endswith("shared by 2 cameras") for detector in opened.values())
    close_all(opened.values())


def test_a_file_that_changes_while_the_line_is_opened_is_refused(
    line: LineDescription, engines: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was read to see which detector it is, and before the engine reads it."""
    open_engine = detectors.open_engine

    def after_a_change(path: Path, *arguments: object) -> object:
        change_threshold(path, 0.75)
        return open_engine(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(detectors, "open_engine", after_a_change)
    with pytest.raises(DetectorError, match=r"line 3, detectors\.one: .*was changed while it was opened; start again"):
        open_detectors(line)


def test_a_file_that_changes_later_is_another_detector_when_it_is_opened_again(line: LineDescription) -> None:
    before = open_detectors(line)
    for detector in line.detectors.values():
        change_threshold(Path(detector.file), 0.75)
    after = open_detectors(line)
    assert set(decisions(before).values()) == {"NG"}
    assert set(decisions(after).values()) == {"OK"}
    assert before["top"].inspect(SPOT).recipe_sha256 != after["top"].inspect(SPOT).recipe_sha256
    close_all([*before.values(), *after.values()])


def test_a_file_that_is_no_detector_is_said_with_its_place(line: LineDescription) -> None:
    Path(line.detectors["copy"].file).write_bytes(b"nothing of the kind")
    for function in (check_files, open_detectors):
        with pytest.raises(DetectorError, match=r"line\.yaml, line 4, detectors\.copy: .*copy\.onnx"):
            function(line)
