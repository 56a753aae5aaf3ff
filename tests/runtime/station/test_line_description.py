"""A line's description in YAML: what it says, and one sentence with the place for everything that cannot be used."""

import re
from pathlib import Path

import pytest

from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import ProctorError
from runtime.station.description import read_line

WHOLE = """
detectors:
  lid: {file: lid.onnx, threads: 2}
  side: {file: side.onnx, engine: openvino}
cameras:
  top: {uri: "http://127.0.0.1:1/video", detector: lid, reconnect_limit: 5, wait: true}
  left: {uri: 0, detector: side}
  on: {uri: 'demo?seed=3', detector: lid, defect_rate: 0.5}
  off: {uri: demo, detector: lid}
sinks: {save: overlays}
parts: {deadline_ms: 500, cameras: ['on', 'off']}
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "line.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_line_is_read_and_options_go_to_the_camera_or_engine_that_they_are_for(tmp_path: Path) -> None:
    line = read_line(written(tmp_path, WHOLE))
    assert list(line.cameras) == ["top", "left", "on", "off"]  # names, whatever YAML makes of them elsewhere
    assert line.cameras["top"].options == {"reconnect_limit": 5, "wait": True}
    assert line.cameras["left"].uri == "0"
    assert line.detector_of("left").engine == "openvino"
    assert line.detector_of("top").options == {"threads": 2}
    assert line.sinks == {"save": Path("overlays")}
    assert line.part_cameras == ("on", "off")


def test_a_single_detector_is_every_cameras_and_the_demo_line_has_its_own(tmp_path: Path) -> None:
    line = read_line(
        written(tmp_path, "detectors: {lid: {file: lid.onnx}}\ncameras: {top: {uri: demo}, left: {uri: 0}}")
    )
    assert line.detector_of("top") is line.detector_of("left")
    assert read_line(written(tmp_path, "cameras: {top: {uri: demo}}")).detector_of("top").file == str(DEMO_DETECTOR)


def test_settings_that_cameras_share_can_be_an_alias(tmp_path: Path) -> None:
    text = "cameras:\n  top: {uri: demo, defect_rate: &rate 0.5}\n  left: {uri: demo, defect_rate: *rate}"
    assert read_line(written(tmp_path, text)).cameras["left"].options == {"defect_rate": 0.5}


LID = "detectors: {lid: {file: lid.onnx}}\n"
BAD = {  # what stands in the file: what is said of it
    "": "line.yaml is empty; expected a mapping with cameras, detectors, sinks, parts",
    "- a": "line.yaml holds a list; expected a mapping with cameras, detectors, sinks, parts",
    "cameras: {top: [}": "line.yaml, line 1, is no YAML (expected the node content, but found '}'); correct it",
    "a: 1\n\tb: 2": "line.yaml, line 2, is no YAML (found character '\\t' that cannot start any token); correct it",
    "cameras: !!python/object:os.system {}": "line 1: the tag tag:yaml.org,2002:python/object:os.system has no meaning",
    "cameras: !!python/name:os.system x": "line 1, is no YAML (could not determine a constructor for the tag",
    "a: 1\n---\nb: 2": "line.yaml, line 2, is no YAML (but found another document); correct it there",
    "? [a]\n: 1": "line.yaml, line 1: a key is no text; expected a name",
    "a: &a [*a]": "line.yaml, line 1: an alias repeats what it stands in; write it out",
    "camera:\n  top: {uri: demo}": "line.yaml, line 1, camera: unknown key camera; known are cameras",
    "sinks: {save: x}": "line.yaml: cameras are missing; name at least one, with its uri",
    "cameras: {}": "line.yaml, line 1, cameras: cameras are missing; name at least one, with its uri",
    "cameras: demo": "line.yaml, line 1, cameras: cameras is 'demo'; expected names and values below it",
    "cameras:\n  top: demo": "line.yaml, line 2, cameras.top: top is 'demo'; expected names and values below it",
    "cameras:\n  top: {uri: demo}\n  top: {uri: demo}": "line 3: cameras.top stands twice, before on line 2; leave one",
    "cameras:\n  a/b: {uri: demo}": "line 2, cameras.a/b: the name is 'a/b'; expected up to 40 letters",
    "cameras:\n  top: {seed: 1}": "line.yaml, line 2, cameras.top: uri is missing",
    "cameras:\n  top: {uri: [1]}": "line 2, cameras.top.uri: uri is [1]; expected TEXT",
    "cameras:\n  top: {uri: ''}": "line 2, cameras.top: camera '' names nothing to open; expected 0 or v4l2:0",
    "cameras:\n  top:\n    uri: demo\n    sed: 1": (
        "line 4, cameras.top.sed: sed is for no camera, and this camera is 'demo'; leave it out"
    ),
    "cameras:\n  top: {uri: 'http://u:secret@h/', seed: 1}": (
        "line 2, cameras.top.seed: seed is for demo, also as demo?seed=3&defect_rate=0.5, and this camera is "
        "'http://u@h/'; leave it out"
    ),
    LID + "cameras:\n  top: {uri: 0, reconnect_limit: soon}": (
        "line 3, cameras.top: reconnect_limit is 'soon'; expected a whole number from 1 to"
    ),
    f"{LID}cameras:\n  top:\n    uri: 0\n    detector: lit": "cameras.top.detector: detector is 'lit'; expected lid",
    "cameras: {top: {uri: demo, detector: lit}}": "is 'lit'; expected a name below detectors, where none stands",
    "detectors: {a: {file: a.onnx}, b: {file: b.onnx}}\ncameras: {top: {uri: demo}}": (
        "line 2, cameras.top: detector is missing; expected one of a, b"
    ),
    f"detectors: {{lid: {{file: {DEMO_DETECTOR}}}}}\ncameras: {{top: {{uri: 0}}}}": (
        "line 2, cameras.top: .*demo.onnx knows the demo line's parts alone; train a detector for this camera"
    ),
    "detectors: {lid: {}}\ncameras: {top: {uri: demo}}": "line 1, detectors.lid: file is missing",
    "detectors:\n  lid: {file: a.onnx}\n  lit: {file: a.onnx}\ncameras: {top: {uri: demo, detector: lid}}": (
        "line 3, detectors.lit: no camera has this detector; name it at a camera, or leave it out"
    ),
    "detectors: {lid: {file: 'triton://station/lid?slots=many'}}\ncameras: {top: {uri: demo}}": (
        "line 1, detectors.lid: triton://station/lid?slots=many: slots is 'many'; expected INTEGER"
    ),
    "detectors: {lid: {file: a.onnx, engine: onyx}}\ncameras: {top: {uri: demo}}": (
        "line 1, detectors.lid: engine is 'onyx'; expected one of auto, onnxruntime, openvino, tensorrt"
    ),
    "detectors: {lid: {file: a.onnx, thread: 2}}\ncameras: {top: {uri: demo}}": (
        "line 1, detectors.lid: thread is no option of an engine; leave it out"
    ),
    "detectors: {lid: {file: a.onnx, threads: all}}\ncameras: {top: {uri: demo}}": (
        "line 1, detectors.lid: threads is 'all'; expected a whole number from 1 to 1,024"
    ),
    "cameras: {top: {uri: demo}}\nsinks: {safe: x}": "line 2, sinks.safe: unknown sink safe; known are save, ",
    "cameras: {top: {uri: demo}}\nsinks: {save: [x]}": "line 2, sinks.save: save is a list; expected DIR",
    "cameras: {top: {uri: demo}}\nsinks: {save: ' '}": "line 2, sinks.save: ' ' is no path; give one, and . for this f",
    "cameras: {top: {uri: demo}, left: {uri: demo}}\nparts: {}": "line 2, parts: deadline_ms is missing",
    "cameras: {top: {uri: demo}, left: {uri: demo}}\nparts: {deadline_ms: 0}": (
        "line 2, parts.deadline_ms: deadline_ms is 0; expected 1 to 600000"
    ),
    "cameras: {top: {uri: demo}, left: {uri: demo}}\nparts: {deadline_ms: soon}": (
        "line 2, parts.deadline_ms: deadline_ms is 'soon'; expected NUMBER"
    ),
    "cameras: {top: {uri: demo}, left: {uri: demo}}\nparts: {deadline: 5}": (
        "line 2, parts.deadline: unknown option deadline; known are deadline_ms, cameras"
    ),
    "cameras: {top: {uri: demo}}\nparts: {deadline_ms: 5}": (
        "line 2, parts: got top; expected two cameras or more, each once, that see the same parts"
    ),
    "cameras: {top: {uri: demo}}\nparts:\n  deadline_ms: 5\n  cameras: [top, lift]": (
        "line 4, parts.cameras: there is no camera 'lift'; expected names among top"
    ),
    LID + "cameras: {top: {uri: demo}, left: {uri: 'http://h/'}}\nparts: {deadline_ms: 5}": (
        "line 3, parts: camera left cannot be among them: it runs free, and no frame says of which part it is; leave"
    ),
    "cameras:\n  top:\n    uri: demo\n    trigger: software": (
        "line 4, cameras.top.trigger: trigger software needs a pace; name the camera in parts, and give every_ms there"
    ),
    "cameras: {top: {uri: demo, trigger: external}}": "cameras.top.trigger: trigger external is for a line con",
    "cameras: {top: {uri: demo, trigger: hardware}, left: {uri: demo}}\nparts: {deadline_ms: 5}": (
        "line 2, parts: camera top cannot be among them: its own input triggers it, and its count of parts need not be"
    ),
    "cameras: {top: {uri: demo, trigger: software}, left: {uri: demo}}\nparts: {deadline_ms: 5, every_ms: 500}": (
        "line 2, parts.every_ms: every_ms triggers cameras, and left has no trigger software; give it, or leave it out"
    ),
    "cameras: {top: {uri: demo}, left: {uri: demo}}\nparts: {deadline_ms: 5, every_ms: -1}": (
        "line 2, parts.every_ms: every_ms is -1; expected 1 to 600000"
    ),
    "a: 2026-02-30": "line.yaml, line 1: '2026-02-30' is no timestamp; put text in quotes, or correct it",
    "a: !!timestamp soon": "line.yaml, line 1: 'soon' is no timestamp; put text in quotes, or correct it",
    "a:\n  b: !!int x": "line.yaml, line 2: 'x' is no int; put text in quotes, or correct it",
    "a: !!bool maybe": "line.yaml, line 1: 'maybe' is no bool; put text in quotes, or correct it",
    f"a: {'1' * 5000}": "is no int; put text in quotes, or correct it",
    f"a: {'1:' * 400}0.5": "is no float; put text in quotes, or correct it",
    "[" * 5000: "line.yaml has lists or mappings within each other too deep to be read; write fewer",
    "- " * 5000: "line.yaml has lists or mappings within each other too deep to be read; write fewer",
    b"cameras: \xff": "line.yaml is no YAML (invalid start byte); correct it there",
    b"cameras: \x00": "line.yaml is no YAML (special characters are not allowed); correct it there",
    b"x" * (2**20 + 1): "line.yaml has more than 1 MiB; expected the YAML description of a line",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text[:60]))
def test_what_cannot_be_used_is_said_in_one_sentence_with_its_place(text: str | bytes, tmp_path: Path) -> None:
    with pytest.raises(ProctorError) as raised:
        read_line(written(tmp_path, text))
    message = str(raised.value)
    expected = re.escape(BAD[text]).replace(re.escape(".*"), ".*")
    assert re.search(expected, message), message
    assert message.startswith(str(tmp_path / "line.yaml"))
    assert "\n" not in message
    assert "secret" not in message


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProctorError, match=r"line\.yaml cannot be read \(No such file or directory\); check the path"):
        read_line(tmp_path / "line.yaml")


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Ten to the power of thirty, written out."""
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(ProctorError, match="unknown key a0"):
        read_line(written(tmp_path, "\n".join(["a0: &a0 [x]", *rows])))
