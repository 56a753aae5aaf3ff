"""A plan for a Triton server: built of the served graph, checked, and it says which recipe it is of."""

from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc", reason="pip install 'proctor[triton]': NO plan was written for Triton")

import numpy as np
from google.protobuf import text_format
from recording_cuda import RecordingCuda
from runtime_samples import SIZE_HW
from tensorrt_samples import Computer
from tritonclient.grpc import model_config_pb2 as pb

from export import triton_repository
from export.served_graph import served_graph
from export.serving_options import ServingOptions
from export.triton_repository import write_model
from runtime.detector_file import read_detector
from runtime.errors import ParityError
from runtime.recipe import Recipe
from runtime.served import identity_of, served_outputs
from runtime.tensorrt.engine import TensorRtEngine

OPTIONS = ServingOptions(backend="tensorrt", batch=2)


def test_a_plan_is_built_checked_and_placed(detector_file: Path, computer: Computer, tmp_path: Path) -> None:
    done = write_model(detector_file, tmp_path / "models", "tiny", OPTIONS)
    assert done.found is not None
    assert done.found.frames == 4
    assert sorted(str(each.relative_to(done.folder)) for each in done.folder.rglob("*")) == [
        "1",
        "1/model.plan",
        "config.pbtxt",
    ]
    config = text_format.Parse((done.folder / "config.pbtxt").read_text(), pb.ModelConfig())
    assert (config.backend, config.max_batch_size) == ("tensorrt", 2)
    assert [group.kind for group in config.instance_group] == [pb.ModelInstanceGroup.KIND_GPU]
    assert all(gpu.closed for gpu in computer.opened)

    recipe, plan = done.recipe, (done.folder / "1" / "model.plan").read_bytes()
    computer.opened.append(RecordingCuda(computer.gpu))
    engine = TensorRtEngine(computer.trt, computer.opened[-1], plan, recipe, served_outputs(recipe))
    found = engine.result(engine.submit(np.zeros((2, *SIZE_HW, 3), np.uint8))).recipe_sha256
    engine.close()
    np.testing.assert_array_equal(found, np.tile(identity_of(recipe), (2, 1)))


def test_a_plan_that_disagrees_is_not_placed(detector_file: Path, computer: Computer, tmp_path: Path) -> None:
    computer.trt.problems.add("disagrees")
    with pytest.raises(ParityError, match=r"the plan deviates from ONNX Runtime by .*; no plan was written"):
        write_model(detector_file, tmp_path / "models", "tiny", OPTIONS)
    assert not (tmp_path / "models").exists()


def test_a_plan_that_says_it_is_another_detectors_is_not_placed(
    detector_file: Path, computer: Computer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, recipe = read_detector(detector_file)
    others = served_graph(model, recipe.with_threshold(0.9))

    def another(model: bytes, recipe: Recipe) -> bytes:
        return others

    monkeypatch.setattr(triton_repository, "served_graph", another)
    monkeypatch.setattr(triton_repository, "check_served", lambda *_: None)
    with pytest.raises(ParityError, match=f"the plan does not say that it is of the recipe {recipe.sha256[:12]}; no"):
        write_model(detector_file, tmp_path / "models", "tiny", OPTIONS)
    assert not (tmp_path / "models").exists()
