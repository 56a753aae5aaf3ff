"""A still picture in free run: measured on live frames of a scene at rest, and told from a scene that rests."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from http_camera import jpeg, part, playing, serving
from numpy.typing import NDArray
from runtime_samples import ListSource, fake_detector

from runtime import stillness, stream
from runtime.cameras import open_source
from runtime.cameras.still import AWAKE, StillCheck, Stillness, WatchedSource, change, measure_stillness, samples
from runtime.demo import DemoLine
from runtime.errors import InputError, SourceError
from runtime.frames import Frame, missing_frame
from runtime.pipeline import Pipeline
from runtime.station.description import read_line
from runtime.stillness import taken
from runtime.verdict import Decision, Verdict

SCENE = DemoLine(2, (256, 320), 0.0).good(0).image


def live(number: int, scene: NDArray[np.uint8] = SCENE, noise: float = 2.0) -> Frame:
    drawn = np.random.default_rng(number).normal(0, noise, scene.shape)
    return Frame(np.clip(scene + drawn, 0, 255).round().astype(np.uint8), number, live=True)


def encoded(frame: Frame, quality: int) -> Frame:
    """The frame through JPEG, with a clock drawn into it before."""
    image = frame.image.copy()
    cv2.putText(image, f"12:00:{frame.frame_id:02}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return replace(frame, image=np.asarray(cv2.imdecode(data, 1), np.uint8))


def frozen(number: int, of: Frame) -> Frame:
    """One picture again, with another clock."""
    return encoded(replace(of, frame_id=number), 90)


def test_the_change_is_that_of_the_noise() -> None:
    first, second = (samples(live(number, noise=3.0).image) for number in (0, 1))
    # the mean absolute difference of two Gaussians of deviation s is 2 s / sqrt(pi)
    assert change(first, second) == pytest.approx(2 * 3 / np.pi**0.5, rel=0.1)
    assert change(first, first) == 0


def test_a_small_part_of_the_picture_does_not_decide() -> None:
    flat = np.full((256, 256, 3), 100, np.uint8)
    clock = flat.copy()
    clock[:16, :128] = 255
    assert change(flat, clock) == 0
    clipped = np.full_like(flat, 255)
    clipped[:64] = 100
    noisy = clipped.copy()
    noisy[:64:2] += 4
    assert change(clipped, noisy) == pytest.approx(2)


def test_large_pictures_are_sampled() -> None:
    taken = samples(np.zeros((1100, 2100, 3), np.uint8))
    assert taken.shape == (275, 263, 3)
    assert samples(np.zeros((100, 100, 3), np.uint8)).shape == (100, 100, 3)


def test_a_camera_that_hangs_behind_an_encoder_is_frozen_and_a_scene_at_rest_is_not() -> None:
    found = measure_stillness([encoded(live(number), 90) for number in range(30)])
    check = StillCheck(found.limit)
    assert [check.problem(encoded(live(number), 90)) for number in range(30, 50)] == [None] * 20
    last = live(60)
    said = [check.problem(frozen(number, last)) for number in range(61, 80)]
    assert said[0] is None  # the picture that it hangs with is live
    assert all(each is not None and each.startswith("frozen: the picture changed by ") for each in said[1:])


def test_a_frozen_camera_is_believed_after_it_changed_a_few_times() -> None:
    check = StillCheck(1.0)
    assert check.problem(live(0)) is None
    assert check.problem(live(0)) == "frozen: the picture changed by 0 grey levels, a live one by 1 or more"
    said = [check.problem(live(number)) for number in range(1, 5)]
    assert said[0] == f"frozen: the picture stood still, and has changed 1 of {AWAKE} times since"
    assert [each is None for each in said] == [False, False, True, True]


def test_one_key_frame_wakes_nobody() -> None:
    check = StillCheck(1.0)
    pictures = [0, 0, 0, 1, 1, 1, 0, 0]  # a key frame comes, and stays
    said = [check.problem(live(number)) for number in pictures]
    assert [each is None for each in said] == [True] + [False] * 7


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(InputError, match=r"the still limit is .*; expected a finite number above 0"):
        StillCheck(limit)


def test_a_camera_whose_noise_is_gone_and_a_scene_that_moves_get_no_limit() -> None:
    with pytest.raises(InputError, match=r"differ by 0\.02 grey levels only, and 0\.1 or more are needed"):
        _ = Stillness(100, 0.02, 0.1, 2.0).limit
    with pytest.raises(InputError, match=r"differ by 20 grey levels; expected 15 or less of a scene at rest\. Stop"):
        _ = Stillness(100, 8.0, 20.0, 30.0).limit
    assert Stillness(100, 1.234, 1.5, 2.0).limit == 0.62


def test_what_cannot_be_measured_by_is_refused() -> None:
    with pytest.raises(InputError, match="10 frames came; expected 20 or more to measure by"):
        measure_stillness(live(number) for number in range(10))
    with pytest.raises(InputError, match="not a live camera's"):
        measure_stillness([replace(live(0), live=False)])
    with pytest.raises(InputError, match="changed its resolution"):
        measure_stillness([live(0), replace(live(1), image=SCENE[:100])])


def test_frames_with_a_problem_measure_nothing() -> None:
    frames = [live(number) for number in range(30)]
    frames.insert(10, missing_frame(99, "damaged picture", live=True))
    assert measure_stillness(frames).frames == 30


def test_a_watched_camera_rejects_what_is_frozen_and_passes_the_rest_on() -> None:
    grey = np.full((16, 24, 3), 128, np.uint8)
    frames = [live(number, grey, 1.0) for number in (1, 2, 2, 3, 4, 5)]
    frames = [replace(frame, frame_id=number) for number, frame in enumerate(frames)]
    missing = missing_frame(6, "camera lost: it was cut", live=True)
    verdicts: list[Verdict] = []
    with fake_detector() as detector, WatchedSource(ListSource([*frames, missing], live=True), 0.2) as source:
        # a live source drops frames that nobody takes: one at a time
        while (frame := source.read()) is not None:
            verdicts.append(detector.inspect(frame))
    assert [verdict.decision for verdict in verdicts] == [Decision.OK] * 2 + [Decision.NO_DECISION] * 3 + [
        Decision.OK,
        Decision.NO_DECISION,
    ]
    assert [verdict.reason.partition(":")[0] for verdict in verdicts[2:5]] == ["frozen"] * 3
    assert verdicts[-1].reason == "camera lost: it was cut"
    assert [verdict.frame_id for verdict in verdicts] == list(range(7))


def test_a_watched_camera_runs_in_the_pipeline() -> None:
    grey = np.full((16, 24, 3), 128, np.uint8)
    said: list[str] = []
    with fake_detector() as detector:
        source = WatchedSource(ListSource([live(1, grey, 1.0)] * 5, live=True), 0.2)
        summary = Pipeline(source, detector, lambda frame, verdict: said.append(verdict.reason)).run()
    assert summary.decisions[Decision.NO_DECISION] == 4
    assert sum(reason.startswith("frozen") for reason in said) == 4


def test_a_file_cannot_be_watched() -> None:
    with pytest.raises(InputError, match="a still limit is for live cameras in free run: a file"):
        WatchedSource(ListSource([]), 0.2)


def test_the_command_measures_a_camera_and_the_stream_tells_when_it_hangs(
    detector_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = np.full((64, 96, 3), 128, np.uint8)
    with serving(playing(part(jpeg(live(number, grey).image)) for number in range(10_000))) as url:
        monkeypatch.setattr(sys, "argv", ["stillness", url, "--frames", "20"])
        stillness.main()
    said, option = capsys.readouterr().out.splitlines()
    assert said.startswith("20 frames of a scene at rest changed by ")
    name, limit = option.split()
    assert (name, 0.2 < float(limit) < 2) == ("--still-limit", True)

    hanging = live(50, grey)
    pictures = [live(number, grey) for number in range(10)] + [frozen(number, hanging) for number in range(10, 200)]
    with serving(playing(part(jpeg(frame.image)) for frame in pictures)) as url:
        options = ["--camera", url, "--detector", str(detector_file), "--frames", "40", "--json", *option.split()]
        monkeypatch.setattr(sys, "argv", ["stream", *options])
        stream.main()
    verdicts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [verdict["decision"] for verdict in verdicts[-10:]] == ["NO_DECISION"] * 10
    assert all(verdict["reason"].startswith("frozen: the picture ") for verdict in verdicts[-10:])


def test_a_file_is_refused_by_both_commands(
    detector_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), SCENE)
    streamed = ["--camera", str(tmp_path), "--detector", str(detector_file), "--still-limit", "0.5"]
    commands: list[tuple[Callable[[], None], list[str], str]] = [
        (stillness.main, [str(tmp_path)], "the camera is a file or rendered; a still picture can be told of a live"),
        (stream.main, streamed, r"--still-limit is for 0 or v4l2:0 \(a camera\) and rtsp"),
    ]
    for command, arguments, message in commands:
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        with pytest.raises(InputError, match=message):
            command()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"still_limit": 0}, "still_limit is 0; expected a finite number above 0"),
        ({"still_limit": "wide"}, "still_limit is 'wide'"),
        (
            {"still_limit": 0.5, "trigger": "software"},
            "still_limit is for a camera in free run: a trigger may come twice",
        ),
    ],
)
def test_a_limit_of_a_camera_is_checked_before_it_is_opened(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_source("http://127.0.0.1:9/video", **options)  # type: ignore[arg-type]


def test_a_lines_description_has_the_limit_of_each_camera(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    text = (
        "detectors:\n  lid:\n    file: lid.onnx\ncameras:\n  top:\n    uri: http://127.0.0.1:9/v\n    still_limit: {}\n"
    )
    file.write_text(text.format("0.35"))
    assert read_line(file).cameras["top"].options == {"still_limit": 0.35}
    file.write_text(text.format("none"))
    with pytest.raises(InputError, match=r"line 5, cameras\.top: still_limit is 'none'"):
        read_line(file)


def test_a_stream_that_ends_before_enough_frames_came_is_said() -> None:
    with pytest.raises(SourceError, match="3 of 20 frames came, then: the stream ended; measure again"):
        taken(ListSource([live(number) for number in range(3)], live=True), 20)
