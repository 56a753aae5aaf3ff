"""Plan files: what a build leaves, what is refused before anything is deserialized, and when one is rebuilt."""

import json
import logging
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from recording_cuda import GPU
from runtime_samples import SIZE_HW
from tensorrt_samples import Computer
from waiting import until

from runtime.adjust import adjust
from runtime.detector import Detector
from runtime.detector_file import read_detector, write_recipe
from runtime.doctor import vendor
from runtime.errors import DetectorError, EngineError, InputError, ParityError, ProctorError
from runtime.lock import only_one_writes
from runtime.onnx_file import graph_sha256
from runtime.recipe import Recipe
from runtime.scoring import Scoring
from runtime.set_threshold import set_threshold
from runtime.tensorrt import plans
from runtime.tensorrt.builder import BuildOptions
from runtime.tensorrt.plans import build_plan_file, open_plan, read_plan, sidecar_path
from runtime.tensorrt.sidecar import sidecar_from_json
from runtime.verdict import Decision


def edit(plan: Path, **changes: Any) -> None:
    """Change fields of a plan's sidecar."""
    path = sidecar_path(plan)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_graph(onnx: Path) -> None:
    """Another detector under the same name: the same graph with one more word in it."""
    import hashlib

    import onnx as onnx_package

    from runtime.onnx_file import graph_sha256

    _, recipe = read_detector(onnx)
    proto = onnx_package.load(onnx)
    proto.graph.doc_string = "trained again"
    model = proto.SerializeToString()
    frames = onnx.with_suffix(".parity.npz").read_bytes()
    changed = replace(recipe, graph_sha256=graph_sha256(model), parity_sha256=hashlib.sha256(frames).hexdigest())
    write_recipe(onnx, model, changed)


def test_a_plan_lies_beside_its_sidecar_and_its_timings(plan_file: Path, detector_file: Path) -> None:
    sidecar = read_plan(plan_file).sidecar
    recipe = read_detector(detector_file)[1]
    assert sidecar.recipe == recipe
    assert sidecar.options == BuildOptions(max_batch=2)
    assert (sidecar.machine.tensorrt, sidecar.machine.gpu) == ("10.3.0", GPU.name)
    assert sidecar.machine.compute_capability == GPU.compute_capability
    assert [tensor.name for tensor in sidecar.tensors] == ["frames", "anomaly_map", "anomaly_score"]
    assert sidecar.checked.frames == 4
    assert sidecar.checked.map_deviation < 1e-6
    assert plan_file.with_suffix(".timing").read_bytes() == b"timings"
    assert sidecar_path(plan_file).stat().st_mode & 0o777 == 0o644


def test_a_plan_gives_the_verdicts_of_its_detector(plan_file: Path, detector_file: Path) -> None:
    image = np.random.default_rng(3).integers(60, 190, (*SIZE_HW, 3), np.uint8)
    with Detector.open(plan_file) as planned, Detector.open(detector_file, threads=1) as plain:
        for frame in (image, cv2.add(image, 60)):
            verdict, expected = planned.inspect(frame), plain.inspect(frame)
            assert verdict.decision is expected.decision is not Decision.NO_DECISION
            assert verdict.score == pytest.approx(expected.score)
            assert verdict.recipe_sha256 == expected.recipe_sha256


def test_the_timings_of_a_build_serve_the_next(plan_file: Path, detector_file: Path, computer: Computer) -> None:
    build_plan_file(detector_file, plan_file)
    assert "timing cache of 7 bytes" in computer.events


def test_timings_that_do_not_fit_are_begun_anew(
    plan_file: Path, detector_file: Path, computer: Computer, caplog: pytest.LogCaptureFixture
) -> None:
    computer.trt.problems.add("timing cache")
    build_plan_file(detector_file, plan_file)
    assert "the timing cache does not fit this machine and is begun anew" in caplog.text


def test_timings_that_others_may_write_are_not_used(
    plan_file: Path, detector_file: Path, computer: Computer, caplog: pytest.LogCaptureFixture
) -> None:
    plan_file.with_suffix(".timing").chmod(0o666)
    build_plan_file(detector_file, plan_file)
    assert "timing cache of 0 bytes" in computer.events
    assert "the timing cache is not used" in caplog.text


def test_a_plan_that_disagrees_is_not_left_behind(detector_file: Path, computer: Computer) -> None:
    computer.trt.problems.add("disagrees")
    with pytest.raises(ParityError, match=r"the plan deviates from ONNX Runtime by .*; no plan was written"):
        build_plan_file(detector_file, detector_file.with_suffix(".plan"))
    assert sorted(path.name for path in detector_file.parent.iterdir()) == ["detector.onnx", "detector.parity.npz"]
    assert computer.opened[-1].closed


def test_a_plan_that_mixes_the_frames_of_a_batch_is_not_left_behind(detector_file: Path, computer: Computer) -> None:
    computer.trt.problems.add("mixes")
    plan = detector_file.with_suffix(".plan")
    with pytest.raises(ParityError, match=r"the plan deviates from ONNX Runtime by .*; no plan was written"):
        build_plan_file(detector_file, plan, BuildOptions(max_batch=8))
    assert not plan.exists()
    _, found = build_plan_file(detector_file, plan)  # for one frame there is nothing to mix
    assert "one by one" not in found.describe()
    computer.trt.problems.clear()
    _, found = build_plan_file(detector_file, plan, BuildOptions(max_batch=8))
    assert found.describe().startswith("parity on 4 frames, one by one and 8 at once: maps within")


def test_a_failed_build_leaves_the_old_plan_alone(plan_file: Path, detector_file: Path, computer: Computer) -> None:
    before = plan_file.read_bytes(), sidecar_path(plan_file).read_bytes()
    computer.trt.problems.add("build")
    with pytest.raises(EngineError, match=r"TensorRT 10\.3\.0 could not build the plan: no tactic found; give it more"):
        build_plan_file(detector_file, plan_file)
    assert (plan_file.read_bytes(), sidecar_path(plan_file).read_bytes()) == before
    assert computer.opened[-1].closed


def test_frames_to_check_on_are_asked_for_before_the_build(detector_file: Path, computer: Computer) -> None:
    plan, frames = detector_file.with_suffix(".plan"), detector_file.with_suffix(".parity.npz")
    good = frames.read_bytes()
    frames.write_bytes(good + b" ")
    with pytest.raises(DetectorError, match=r"is not the file that detector\.onnx was exported with"):
        build_plan_file(detector_file, plan)
    frames.unlink()
    with pytest.raises(DetectorError, match=r"is checked on its frames: copy it here with detector\.onnx"):
        build_plan_file(detector_file, plan)
    assert not computer.opened


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BuildOptions(max_batch=65), "max_batch is 65; expected 1 to 64"),
        (BuildOptions(optimization_level=6), "optimization_level is 6; expected 0 to 5"),
        (BuildOptions(workspace_mib=0), "workspace_mib is 0; expected 1 to"),
    ],
)
def test_options_out_of_range_are_refused(
    options: BuildOptions, message: str, detector_file: Path, computer: Computer
) -> None:
    with pytest.raises(InputError, match=message):
        build_plan_file(detector_file, detector_file.with_suffix(".plan"), options)
    with pytest.raises(InputError, match=r"expected a name ending in \.plan"):
        build_plan_file(detector_file, detector_file.with_suffix(".engine"))
    assert not computer.opened


# What is refused before anything is deserialized


def swapped_plan(plan: Path) -> None:
    plan.write_bytes(plan.read_bytes() + b"\0")


def test_without_its_recipes_hash_a_sidecars_threshold_is_not_vouched_for(plan_file: Path) -> None:
    text = sidecar_path(plan_file).read_text()
    document = json.loads(text)
    assert sidecar_from_json(text).recipe.threshold.vouched
    assert document["recipe_sha256"] == sidecar_from_json(text).recipe.sha256
    document["recipe"]["threshold"]["value"] += 1
    with pytest.raises(DetectorError, match="its recipe is not the one that was written into it"):
        sidecar_from_json(json.dumps(document))
    del document["recipe_sha256"]
    assert not sidecar_from_json(json.dumps(document)).recipe.threshold.vouched


def no_sidecar(plan: Path) -> None:
    sidecar_path(plan).unlink()


def damaged_sidecar(plan: Path) -> None:
    sidecar_path(plan).write_text("{")


def sidecar_of_bytes(plan: Path) -> None:
    sidecar_path(plan).write_bytes(b"\xff\xfe")


def unknown_schema(plan: Path) -> None:
    edit(plan, schema=2)


def missing_field(plan: Path) -> None:
    edit(plan, machine={"tensorrt": "10.3.0"})


def writable_sidecar(plan: Path) -> None:
    sidecar_path(plan).chmod(0o646)


def writable_by_the_group(plan: Path) -> None:
    sidecar_path(plan).chmod(0o664)


def writable_plan(plan: Path) -> None:
    plan.chmod(0o646)


def writable_folder(plan: Path) -> None:
    plan.parent.chmod(0o777)


def links_in_a_writable_folder(plan: Path) -> None:
    """The files themselves lie where nobody else may write."""
    home = plan.parent / "home"
    home.mkdir(mode=0o755)
    for path in (plan, sidecar_path(plan)):
        path.rename(home / path.name)
        path.symlink_to(home / path.name)
    plan.parent.chmod(0o777)


def links_over_a_writable_folder(plan: Path) -> None:
    home, way = plan.parent / "home", plan.parent / "way"
    home.mkdir(mode=0o755)
    way.mkdir()
    for path in (plan, sidecar_path(plan)):
        path.rename(home / path.name)
        (way / path.name).symlink_to(Path("..") / "home" / path.name)
        path.symlink_to(way / path.name)
    way.chmod(0o777)


def foreign_link(plan: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a link away")
    links_in_a_writable_folder(plan)
    plan.parent.chmod(0o1777)  # as /tmp: whose link it is may change it
    os.chown(sidecar_path(plan), 12345, -1, follow_symlinks=False)


def links_in_a_ring(plan: Path) -> None:
    plan.unlink()
    plan.symlink_to(plan.name)


def pipe(plan: Path) -> None:
    plan.unlink()
    os.mkfifo(plan, 0o600)


def foreign_sidecar(plan: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(sidecar_path(plan), 12345, -1)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (swapped_plan, "is not the plan that detector.plan.json vouches for.* Nothing of it was run"),
        (no_sidecar, "has no detector.plan.json beside it to vouch for it"),
        (damaged_sidecar, "detector.plan.json: it is damaged"),
        (sidecar_of_bytes, "detector.plan.json cannot be read"),
        (unknown_schema, "it has schema 2 .*, this version reads 1"),
        (missing_field, "it is damaged .*is missing"),
        (writable_sidecar, "detector.plan.json can be written by other users.*chmod go-w"),
        (writable_by_the_group, "detector.plan.json can be written by other users"),
        (writable_plan, "detector.plan can be written by other users"),
        (writable_folder, "can be written by other users"),
        (links_in_a_writable_folder, r"can be written by other users, who could make detector\.plan"),
        (links_over_a_writable_folder, r"way can be written by other users, who could make detector\.plan"),
        (foreign_link, r"detector\.plan\.json belongs to another user .uid 12345."),
        (links_in_a_ring, r"detector\.plan cannot be read \(Too many levels of symbolic links\)"),
        (pipe, r"detector\.plan is no file"),
        (foreign_sidecar, "belongs to another user .uid 12345."),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_vouched_for_is_refused(attack: Any, message: str, plan_file: Path, computer: Computer) -> None:
    attack(plan_file)
    with pytest.raises(DetectorError, match=message):
        open_plan(plan_file)
    assert computer.events == []


def test_a_file_that_is_exchanged_while_it_is_checked_is_seen(
    plan_file: Path, computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = plan_file.with_name("other")
    other.write_bytes(plan_file.read_bytes())
    other.chmod(0o666)
    opened = os.open

    def exchanged(path: Any, *rest: Any, **named: Any) -> int:
        """At the last moment: what the path named until now would have passed."""
        if Path(path) == plan_file:
            os.replace(other, plan_file)
            monkeypatch.setattr(os, "open", opened)
        return opened(path, *rest, **named)

    monkeypatch.setattr(os, "open", exchanged)
    monkeypatch.setattr(Path, "read_bytes", lambda path: (exchanged(path, os.O_RDONLY), path.open("rb").read())[1])
    with pytest.raises(DetectorError, match=r"detector\.plan can be written by other users"):
        open_plan(plan_file)
    assert computer.events == []


def test_links_where_nobody_else_may_write_are_followed(plan_file: Path, computer: Computer) -> None:
    links_in_a_writable_folder(plan_file)
    plan_file.parent.chmod(0o755)
    open_plan(plan_file)[1].close()


def test_a_sticky_folder_as_tmp_is_allowed(plan_file: Path) -> None:
    plan_file.parent.chmod(0o1777)
    open_plan(plan_file)[1].close()


def test_a_signed_plan_opens_with_its_key_alone(
    detector_file: Path, key_file: Path, computer: Computer, tmp_path: Path
) -> None:
    plan, other = detector_file.with_suffix(".plan"), tmp_path / "other"
    build_plan_file(detector_file, plan, key_file=key_file)
    open_plan(plan, key_file=key_file)[1].close()
    computer.events.clear()
    other.write_text("f" * 32)
    with pytest.raises(DetectorError, match=r"its signature is wrong: .* Find out who changed it"):
        open_plan(plan, key_file=other)
    edit(plan, created="2020-01-01")
    with pytest.raises(DetectorError, match="its signature is wrong"):
        open_plan(plan, key_file=key_file)
    edit(plan, hmac_sha256=7)
    with pytest.raises(DetectorError, match="its signature is wrong"):
        open_plan(plan, key_file=key_file)
    assert computer.events == []


def test_an_unsigned_plan_is_refused_where_a_key_is_used(plan_file: Path, key_file: Path, computer: Computer) -> None:
    with pytest.raises(DetectorError, match="it is not signed, and a key file was given"):
        open_plan(plan_file, key_file=key_file)
    assert computer.events == []


@pytest.mark.parametrize(("key", "message"), [(b"short", "has 5 bytes, 16 or more"), (None, "cannot be read")])
def test_a_key_file_that_cannot_be_used_is_refused(
    key: bytes | None, message: str, plan_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad"
    if key is not None:
        path.write_bytes(key)
    with pytest.raises(InputError, match=message):
        open_plan(plan_file, key_file=path)


# What has gone stale


def other_version(computer: Computer, onnx: Path) -> None:
    computer.trt.__version__ = "10.16.1"


def other_gpu(computer: Computer, onnx: Path) -> None:
    computer.gpu = replace(GPU, name="NVIDIA Other", compute_capability=(8, 9))


def other_detector(computer: Computer, onnx: Path) -> None:
    change_graph(onnx)


STALE = [
    (other_version, r"it was built by TensorRT 10\.3\.0, this machine has 10\.16\.1"),
    (other_gpu, "it was built for NVIDIA Test, this machine has NVIDIA Other"),
    (other_detector, r"the detector\.onnx beside it is another detector"),
]


@pytest.mark.parametrize(("change", "reason"), STALE)
def test_a_stale_plan_is_rebuilt_which_the_log_says(
    change: Any,
    reason: str,
    plan_file: Path,
    detector_file: Path,
    computer: Computer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    change(computer, detector_file)
    with caplog.at_level(logging.WARNING):
        recipe, engine = open_plan(plan_file)
    engine.close()
    assert f"is stale: {reason}. It is being rebuilt".replace("\\", "") in caplog.text
    assert "detector.plan was rebuilt: parity on 4 frames, one by one and 2 at once: maps within" in caplog.text
    assert computer.events.count("build") == 1
    assert engine.max_batch == 2  # as it was built before
    assert recipe == read_plan(plan_file).sidecar.recipe == read_detector(detector_file)[1]
    computer.events.clear()
    open_plan(plan_file)[1].close()
    assert computer.events == ["deserialize"]


@pytest.mark.parametrize(("change", "reason"), STALE)
def test_a_stale_plan_is_refused_where_rebuilding_is_forbidden(
    change: Any, reason: str, plan_file: Path, detector_file: Path, computer: Computer
) -> None:
    change(computer, detector_file)
    with pytest.raises(DetectorError, match=f"is stale: {reason}. Rebuilding was forbidden"):
        open_plan(plan_file, rebuild=False)
    assert computer.events == []
    assert computer.opened[-1].closed


@pytest.mark.parametrize(("change", "reason"), STALE[:2])
def test_a_stale_plan_without_its_detector_is_refused_with_the_reason(
    change: Any, reason: str, plan_file: Path, detector_file: Path, computer: Computer
) -> None:
    detector_file.unlink()
    open_plan(plan_file)[1].close()  # it needs no detector.onnx to run
    computer.events.clear()
    change(computer, detector_file)
    with pytest.raises(DetectorError, match=rf"is stale: {reason}. .*detector\.onnx is not there to rebuild it from"):
        open_plan(plan_file)
    assert computer.events == []


def test_a_rebuilt_plan_keeps_its_signature(
    detector_file: Path, key_file: Path, computer: Computer, plan_file: Path
) -> None:
    build_plan_file(detector_file, plan_file, key_file=key_file)
    other_version(computer, detector_file)
    open_plan(plan_file, key_file=key_file)[1].close()
    assert read_plan(plan_file, key_file).sidecar.machine.tensorrt == "10.16.1"


def test_a_rebuild_never_drops_a_signature(
    detector_file: Path, key_file: Path, computer: Computer, plan_file: Path
) -> None:
    build_plan_file(detector_file, plan_file, key_file=key_file)
    open_plan(plan_file)[1].close()  # whoever has no key may run it
    computer.events.clear()
    other_version(computer, detector_file)
    with pytest.raises(DetectorError, match=r"is stale: it was built by .* It is signed, and .*: give --key-file FILE"):
        open_plan(plan_file)
    assert computer.events == []
    assert read_plan(plan_file, key_file).signed


# Two processes and one plan


def test_a_stale_plan_that_another_process_rebuilds_is_waited_for_and_taken(
    plan_file: Path, detector_file: Path, computer: Computer, caplog: pytest.LogCaptureFixture
) -> None:
    other_version(computer, detector_file)
    found: list[Recipe] = []
    thread = threading.Thread(target=lambda: found.append(recipe_in_force(plan_file)))
    with only_one_writes(plan_file):  # as the other process holds it
        thread.start()
        until(lambda: "It is being rebuilt" in caplog.text)
        build_plan_file(detector_file, plan_file, BuildOptions(max_batch=2))
    thread.join(60)
    assert found == [read_detector(detector_file)[1]]
    assert computer.events.count("build") == 1
    assert "detector.plan was rebuilt meanwhile by another process" in caplog.text
    assert not list(plan_file.parent.glob(".*"))


def test_between_the_two_files_of_another_process_a_plan_is_read_again(
    plan_file: Path, detector_file: Path, computer: Computer, caplog: pytest.LogCaptureFixture
) -> None:
    before = plan_file.read_bytes()
    found: list[Recipe] = []
    thread = threading.Thread(target=lambda: found.append(recipe_in_force(plan_file)))
    with only_one_writes(plan_file):
        swapped_plan(plan_file)
        thread.start()
        until(lambda: "is being written by another process, which is waited for" in caplog.text)
        plan_file.write_bytes(before)
    thread.join(60)
    assert found == [read_detector(detector_file)[1]]


def test_the_engine_is_of_the_plan_that_was_built_whatever_lies_there_by_then(
    plan_file: Path, detector_file: Path, computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_version(computer, detector_file)
    write = plans.write_plan

    def overtaken(path: Path, vouched: Any, key: bytes | None = None) -> None:
        write(path, vouched, key)
        swapped_plan(path)  # another process has written its plan, and not its sidecar yet

    monkeypatch.setattr(plans, "write_plan", overtaken)
    recipe, engine = open_plan(plan_file)
    engine.result(engine.submit(np.zeros((1, *SIZE_HW, 3), np.uint8)))
    engine.close()
    assert recipe == read_detector(detector_file)[1]


def test_two_commands_do_not_build_one_plan(plan_file: Path, detector_file: Path, computer: Computer) -> None:
    program = f"""
import sys
from pathlib import Path
from runtime.lock import only_one_writes
with only_one_writes(Path({str(plan_file)!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=r"detector\.plan is in use by process"):
            build_plan_file(detector_file, plan_file)
        other.communicate()
    assert "build" not in computer.events


def test_another_detector_is_never_signed_by_a_rebuild(
    detector_file: Path, key_file: Path, computer: Computer, plan_file: Path
) -> None:
    build_plan_file(detector_file, plan_file, key_file=key_file)
    computer.events.clear()
    change_graph(detector_file)  # the graph alone: the threshold is the same
    with pytest.raises(DetectorError, match=r"detector\.onnx has another recipe than the signed sidecar"):
        open_plan(plan_file, key_file=key_file)
    assert computer.events == []


# The threshold


def recipe_in_force(plan: Path, key_file: Path | None = None) -> Recipe:
    recipe, engine = open_plan(plan, key_file=key_file)
    engine.close()
    return recipe


def test_a_threshold_changed_in_the_detector_holds_for_its_plan(
    plan_file: Path, detector_file: Path, computer: Computer, caplog: pytest.LogCaptureFixture
) -> None:
    set_threshold(detector_file, 0.75)
    assert recipe_in_force(plan_file).threshold.value == 0.75
    assert "detector.onnx is in force (threshold 0.75)" in caplog.text
    assert "build" not in computer.events


def test_the_threshold_in_force_is_the_one_that_is_told(
    plan_file: Path, detector_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from runtime import info

    set_threshold(detector_file, 0.75)
    monkeypatch.setattr("sys.argv", ["info", str(plan_file)])
    info.main()
    told = capsys.readouterr().out
    assert "parts that score above 0.75 are rejected" in told
    assert "Stale" not in told
    assert vendor.detector(str(plan_file))["threshold"] == 0.75
    assert set_threshold(plan_file, 0.25) == 0.75


def test_info_says_that_another_detector_lies_beside_a_plan(
    plan_file: Path, detector_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from runtime import info

    model, recipe = read_detector(detector_file)
    changed = model.replace(b"tiny", b"tony")
    write_recipe(detector_file, changed, replace(recipe, graph_sha256=graph_sha256(changed)).with_threshold(0.75))
    monkeypatch.setattr("sys.argv", ["info", str(plan_file)])
    info.main()
    assert "Stale: the detector.onnx beside it is another detector, which the rest describes" in capsys.readouterr().out


def test_a_threshold_changed_in_a_plan_stays_whether_its_detector_is_there_or_not(
    plan_file: Path, detector_file: Path, computer: Computer
) -> None:
    before = plan_file.read_bytes()
    assert set_threshold(plan_file, 0.25) == 0.5
    assert recipe_in_force(plan_file).threshold.value == 0.25
    detector_file.unlink()
    assert recipe_in_force(plan_file).threshold.value == 0.25
    assert plan_file.read_bytes() == before
    assert "build" not in computer.events


def test_a_signed_threshold_takes_the_key(detector_file: Path, plan_file: Path, key_file: Path) -> None:
    build_plan_file(detector_file, plan_file, key_file=key_file)
    with pytest.raises(DetectorError, match="is signed; changing its recipe takes the key"):
        set_threshold(plan_file, 0.25)
    set_threshold(plan_file, 0.25, key_file)
    assert recipe_in_force(plan_file, key_file).threshold.value == 0.25
    set_threshold(detector_file, 0.9)
    with pytest.raises(DetectorError, match=r"than the signed sidecar \(threshold 0.9, signed threshold 0.25\)"):
        open_plan(plan_file, key_file=key_file)


def test_a_smallest_area_holds_for_the_plan_and_the_detector_beside_it(
    plan_file: Path, detector_file: Path, computer: Computer, caplog: pytest.LogCaptureFixture
) -> None:
    change = adjust(plan_file, {"smallest_area": 30})
    assert (change.before.scoring, change.after.scoring) == (Scoring(), Scoring(smallest_area=30))
    assert recipe_in_force(plan_file) == read_detector(detector_file)[1] == change.after
    adjust(detector_file, {"smallest_area": 20})
    assert recipe_in_force(plan_file).scoring.smallest_area == 20
    assert "is in force (threshold 0.5, smallest area 20 pixels)" in caplog.text
    assert "build" not in computer.events


def test_a_signed_smallest_area_takes_the_key(detector_file: Path, plan_file: Path, key_file: Path) -> None:
    build_plan_file(detector_file, plan_file, key_file=key_file)
    with pytest.raises(DetectorError, match="is signed; changing its recipe takes the key"):
        adjust(plan_file, {"smallest_area": 30})
    adjust(plan_file, {"smallest_area": 30}, key_file)
    assert recipe_in_force(plan_file, key_file).scoring.smallest_area == 30
    adjust(detector_file, {"smallest_area": 0})
    signed = r"\(threshold 0.5, signed threshold 0.5, smallest area 30 pixels\)"
    with pytest.raises(DetectorError, match=f"than the signed sidecar {signed}"):
        open_plan(plan_file, key_file=key_file)


def test_a_threshold_is_set_in_what_was_checked_and_nothing_read_later(
    detector_file: Path, plan_file: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_plan_file(detector_file, plan_file, key_file=key_file)
    read: list[Path] = []
    for place, name in ((Path, "read_text"), (Path, "read_bytes"), (plans, "read_only_ours")):
        original = getattr(place, name)

        def watched(path: Path, *options: Any, original: Any = original, **named: Any) -> Any:
            read.append(path)
            return original(path, *options, **named)

        monkeypatch.setattr(place, name, watched)
    set_threshold(plan_file, 0.25, key_file)
    ours = (plan_file, sidecar_path(plan_file), key_file, detector_file)
    assert [read.count(path) for path in ours] == [1, 1, 1, 1]
    with pytest.raises(DetectorError, match="takes the key"):
        set_threshold(plan_file, 0.5)
    assert [read.count(path) for path in ours] == [2, 2, 1, 1]


# Options that mean nothing for the file given


@pytest.mark.parametrize(
    ("suffix", "options", "message"),
    [
        (".plan", {"provider": "cpu"}, "provider is an option of ONNX Runtime"),
        (".plan", {"provider": "cpu", "threads": 2}, "provider and threads are options of"),
        (".onnx", {"cuda": "pycuda"}, "cuda is an option of TensorRT, and"),
        (".onnx", {"rebuild": False}, "rebuild is an option of TensorRT, and"),
        (".onnx", {"key_file": Path("key")}, "key_file is an option of TensorRT, and"),
    ],
)
def test_options_of_the_other_engine_are_refused(
    suffix: str, options: dict[str, Any], message: str, plan_file: Path
) -> None:
    with pytest.raises(InputError, match=message):
        Detector.open(plan_file.with_suffix(suffix), **options)


def test_every_refusal_is_one_of_ours(plan_file: Path) -> None:
    with pytest.raises(ProctorError, match="cannot be read"):
        read_detector(plan_file.with_name("missing.onnx"))
    plan_file.unlink()
    with pytest.raises(DetectorError, match=r"detector\.plan cannot be read \(No such file"):
        open_plan(plan_file)


def test_info_says_what_a_plan_is_bound_to_and_how_it_was_checked(
    plan_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from runtime import info

    monkeypatch.setattr("sys.argv", ["info", str(plan_file)])
    info.main()
    told = " ".join(capsys.readouterr().out.split())
    assert "TensorRT 10.3.0 on NVIDIA Test (compute capability 8.7)" in told
    assert "1 to 2 frames at once, optimization level 3, 1,024 MiB of workspace" in told
    assert "against ONNX Runtime on 4 frames" in told
    assert "parts that score above 0.5 are rejected" in told
    monkeypatch.setattr("sys.argv", ["info", str(plan_file), "--json"])
    info.main()
    assert json.loads(capsys.readouterr().out)["machine"]["gpu"] == "NVIDIA Test"
