"""A memory bank as a graph: distances near and far, and the file in the precisions that are offered."""

import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import torch

from calibration.calibrate import calibrate
from calibration.methods import open_run
from export.detector import ExportOptions, export
from export.folding import FoldedNetwork
from export.graphs import evidence_graph
from export.graphs.memory_bank import MemoryBankEvidence
from export.int8_detector import Options, quantize
from runtime.detector_file import read_detector
from runtime.onnx_file import read_constants
from runtime.recipe import CONSTANTS
from train.data import PreparedImages
from train.dense import dense_descriptors
from train.files import save_network
from train.memory_bank import MemoryBankConfig, load_memory_bank, train_memory_bank
from train.networks import PatchNetwork


def test_distances_are_right_however_far_from_the_origin_descriptors_lie(bank_run: Path) -> None:
    memory, pixels = load_memory_bank(bank_run), torch.randint(0, 256, (1, 3, 32, 36)).float()
    bias = memory.network.conv(len(memory.network.convs) - 1).bias
    assert bias is not None
    bias += 1e3
    bank = memory.bank + 1e3
    with torch.no_grad():
        graph = MemoryBankEvidence(FoldedNetwork(memory.network, False).finished(), bank, 4, "bailer")
        descriptors = dense_descriptors(memory.network, pixels.flip(1) / 255, 4, "bailer")
        vectors = descriptors.permute(0, 2, 3, 1).flatten(0, 2).double()
        expected = torch.cdist(vectors, bank.double()).amin(dim=1).view(1, 1, 8, 9)
        torch.testing.assert_close(graph(pixels).double(), expected, rtol=1e-3, atol=0)


def test_where_a_descriptor_is_in_the_bank_its_distance_is_nothing(
    bank_config: MemoryBankConfig, tmp_path: Path
) -> None:
    train_memory_bank(replace(bank_config, coreset=720), tmp_path)
    trained = open_run(tmp_path)
    frame = PreparedImages(trained.split.training[:1], trained.size_hw)[0]
    with torch.no_grad():
        found = evidence_graph(trained, "bailer", False)(torch.from_numpy(frame[None]).float().permute(0, 3, 1, 2))
    assert float(found.min()) >= 0
    # a difference of squares would leave a thousandth, on flat parts more than the parity gate allows
    assert float(found.max()) < 1e-5 * float(trained.memory.bank.norm(dim=1).median())  # type: ignore[attr-defined]


def test_by_position_a_bank_goes_by_the_images_that_it_does_not_hold(bank_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(bank_run, tmp_path / "run"))
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("by_position: false", "by_position: true"))
    calibrated = calibrate(open_run(run), 0.2)
    export(calibrated, tmp_path / "detector.onnx", ExportOptions("fp16", "atrous", "fp16")).parity.check()
    model, recipe = read_detector(tmp_path / "detector.onnx")
    assert recipe.scoring.by_position
    assert recipe.threshold.sample_size == len(calibrated.trained.split.threshold)
    assert len(read_constants(model, CONSTANTS)) == 4
    bank = [tensor for tensor in onnx.load_model_from_string(model).graph.initializer if list(tensor.dims) == [60, 128]]
    assert [tensor.data_type for tensor in bank] == [onnx.TensorProto.FLOAT]  # distances are small differences


def test_its_graph_holds_nothing_that_tensorrt_rejects(bank_file: Path) -> None:
    from test_export_detector import ALLOWED

    model = onnx.load(bank_file)
    operators = {node.op_type for node in model.graph.node}
    # each has an importer in TensorRT 10's ONNX parser
    assert operators <= ALLOWED | {"MatMul", "Transpose", "ArgMin", "Gather", "Sqrt"}, operators - ALLOWED


def test_its_convolutions_are_quantized_and_its_distances_are_not(
    bank_config: MemoryBankConfig, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    save_network(tmp_path / "teacher", PatchNetwork(33, 0.125), {})  # narrow: quick to quantize
    train_memory_bank(replace(bank_config, teacher=str(tmp_path / "teacher")), tmp_path / "run")
    exact, out, run = tmp_path / "detector.onnx", tmp_path / "int8.onnx", open_run(tmp_path / "run")
    export(calibrate(run, 0.2), exact)
    found = quantize(exact, run.split, out, Options(margin=0.3, threads=1, allow_slower=True))
    (before, source), (model, recipe) = read_detector(exact), read_detector(out)
    assert (recipe.precision, recipe.method) == ("int8", source.method)
    assert recipe.threshold.sample_size == found.decisions == 6
    expected, kept = (read_constants(each, CONSTANTS) for each in (before, model))
    assert {name: values.tolist() for name, values in kept.items()} == {k: v.tolist() for k, v in expected.items()}
    graph = onnx.load_model_from_string(model).graph
    assert "QuantizeLinear" in {node.op_type for node in graph.node}
    assert [list(t.dims) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT].count([60, 128]) == 1
    assert found.map_correlation > 0.9
