"""Metadata and constants in ONNX files, against the onnx package."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_samples import make_recipe, tiny_model

from runtime.detector_file import read_detector
from runtime.errors import DetectorError
from runtime.onnx_file import check_whole, graph_sha256, read_constants, read_metadata, with_constants, with_metadata

onnx = pytest.importorskip("onnx", reason="these tests compare with the onnx package")


def with_props(props: dict[str, str]) -> bytes:
    model = onnx.load_from_string(tiny_model())
    onnx.helper.set_model_props(model, props)
    return bytes(model.SerializeToString())


def props_of(model: bytes) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load_from_string(model).metadata_props}


PROPS = {"recipe": '{"a": "×"}', "empty": "", "long": "x" * 70_000}


def test_metadata_is_read_as_the_onnx_package_wrote_it() -> None:
    assert read_metadata(with_props(PROPS)) == PROPS
    assert read_metadata(tiny_model()) == {}


def test_metadata_is_written_as_the_onnx_package_reads_it() -> None:
    model = with_metadata(with_props({"old": "gone"}), PROPS)
    assert props_of(model) == PROPS
    assert onnx.load_from_string(model).graph == onnx.load_from_string(tiny_model()).graph
    onnx.checker.check_model(onnx.load_from_string(model))


def test_the_hash_is_of_everything_but_the_metadata() -> None:
    assert graph_sha256(with_props(PROPS)) == graph_sha256(tiny_model()) == hashlib.sha256(tiny_model()).hexdigest()
    model = onnx.load_from_string(tiny_model())
    model.graph.node[0].name = "renamed"
    assert graph_sha256(model.SerializeToString()) != graph_sha256(tiny_model())


@pytest.mark.parametrize(
    "content", [b"not an onnx file", b"\x89PNG\r\n\x1a\n", b"\xff" * 20, b"\x72\xff\x7f\x00", b"\x0b\x0c"], ids=repr
)
def test_what_is_no_onnx_file_is_refused(content: bytes) -> None:
    with pytest.raises(
        DetectorError,
        match="not an ONNX file, or a damaged one; copy the file again; if the original",
    ):
        read_metadata(content)


def test_a_file_cut_anywhere_inside_a_field_is_refused() -> None:
    model = with_props({"recipe": "r" * 50})
    for length in range(len(model) - 50, len(model)):
        with pytest.raises(DetectorError):
            read_metadata(model[:length])


def test_metadata_that_is_no_text_is_refused() -> None:
    model = with_props({"recipe": "abcd"}).replace(b"abcd", b"\xff\xfe\xfd\xfc")
    with pytest.raises(DetectorError, match=r"the metadata at byte \d+ is damaged; copy the file again; if"):
        read_metadata(model)


def with_initializers(*tensors: Any) -> bytes:
    """The tiny model with more initializers behind its own."""
    model = onnx.load_from_string(with_props({"recipe": "r"}))
    model.graph.initializer.extend(tensors)
    return bytes(model.SerializeToString())


def constants_model() -> bytes:
    """One with constants of each kind that a graph may hold: raw or not, of one type or another, named alike or not."""
    helper, numpy_helper, float32 = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
    return with_initializers(
        numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 1, 3), "calibration.scale"),
        numpy_helper.from_array(np.float32(4), "calibration.one"),
        numpy_helper.from_array(np.arange(3, dtype=np.float64), "calibration.double"),
        helper.make_tensor("calibration.listed", float32, [2], [1.0, 2.0]),  # values in float_data, not in raw_data
        numpy_helper.from_array(np.ones(5, np.float32), "other.scale"),
    )


def test_constants_are_read_as_the_onnx_package_wrote_them() -> None:
    found = read_constants(constants_model(), "calibration.")
    assert sorted(found) == ["calibration.one", "calibration.scale"]
    assert found["calibration.scale"].tolist() == [[[0, 1, 2]], [[3, 4, 5]]]
    assert (found["calibration.one"].shape, float(found["calibration.one"])) == ((), 4)
    assert read_constants(constants_model(), "other.")["other.scale"].tolist() == [1] * 5
    found["calibration.scale"][:] = 0  # a copy, to be changed at will
    assert float(read_constants(constants_model(), "calibration.")["calibration.scale"].max()) == 5


def test_other_values_change_their_own_bytes_and_none_else() -> None:
    before, values = constants_model(), np.array([[[9, 8, 7]], [[6, 5, 0.1]]], np.float32)
    after = with_constants(before, {"calibration.scale": values, "calibration.one": np.float32(-1).reshape(())})
    model, expected = onnx.load_from_string(after), onnx.load_from_string(before)
    for tensor in expected.graph.initializer:
        if tensor.name in ("calibration.scale", "calibration.one"):
            array = values if tensor.name == "calibration.scale" else np.float32(-1)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    assert model == expected
    changed = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8))
    assert len(after) == len(before)
    assert 0 < len(changed) <= 4 * 7
    restored = with_constants(after, read_constants(before, "calibration."))
    assert restored == before
    assert read_metadata(after) == read_metadata(before)
    assert graph_sha256(after) != graph_sha256(before)  # the recipe is to be told


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("calibration.shift", (2, 1, 1), "the graph has no float32 constant calibration.shift; a file of schema 2 has"),
        ("calibration.double", (3,), "the graph has no float32 constant calibration.double"),
        ("calibration.listed", (2,), "the graph has no float32 constant calibration.listed"),
        ("calibration.scale", (2, 3), r"calibration.scale has shape \[2, 1, 3\] in the graph, .* has \[2, 3\]"),
        ("calibration.scale", (1, 1, 3), r"calibration.scale has shape \[2, 1, 3\] in the graph, .* has \[1, 1, 3\]"),
    ],
)
def test_a_constant_that_is_not_there_or_not_so_is_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        with_constants(constants_model(), {name: np.zeros(shape, np.float32)})


def test_a_constant_of_another_length_than_its_shape_says_is_damage() -> None:
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32), "calibration.scale")
    tensor.dims[0] = 5
    with pytest.raises(DetectorError, match="not an ONNX file, or a damaged one"):
        read_constants(with_initializers(tensor), "calibration.")


def test_a_graph_cut_anywhere_is_never_read_past_its_end() -> None:
    model = constants_model()
    for length in range(1, len(model), 7):
        with contextlib.suppress(DetectorError):
            read_constants(model[:length], "calibration.")


def outside() -> Any:
    """A tensor whose values lie in the file ``w.bin``."""
    tensor = onnx.TensorProto(name="outside", data_type=onnx.TensorProto.FLOAT, dims=[4])
    tensor.external_data.add(key="location", value="w.bin")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    return tensor


def as_initializer(model: Any) -> None:
    model.graph.initializer.append(outside())


def as_sparse_initializer(model: Any) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(outside())


def as_sparse_indices(model: Any) -> None:
    model.graph.sparse_initializer.add().indices.CopyFrom(outside())


def of_a_constant(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=outside()))


def in_a_list_of_an_attribute(model: Any) -> None:
    model.graph.node[0].attribute.add(name="many").tensors.append(outside())


def as_sparse_attributes(model: Any) -> None:
    attribute = model.graph.node[0].attribute.add(name="sparse")
    attribute.sparse_tensor.values.CopyFrom(outside())


def in_a_list_of_sparse_attributes(model: Any) -> None:
    model.graph.node[0].attribute.add(name="sparse").sparse_tensors.add().values.CopyFrom(outside())


def in_a_subgraph_of_a_subgraph(model: Any) -> None:
    inner = model.graph.node[0].attribute.add(name="then_branch").g.node.add(op_type="If")
    inner.attribute.add(name="branches").graphs.add().initializer.append(outside())


def in_a_function(model: Any) -> None:
    function = model.functions.add(name="f")
    function.node.append(onnx.helper.make_node("Constant", [], ["c"], value=outside()))


def in_a_default_of_a_function(model: Any) -> None:
    model.functions.add(name="f").attribute_proto.add(name="a").t.CopyFrom(outside())


def for_training(model: Any) -> None:
    model.training_info.add().initialization.initializer.append(outside())


def in_the_steps_of_training(model: Any) -> None:
    model.training_info.add().algorithm.initializer.append(outside())


def named_alone(model: Any) -> None:
    tensor = outside()
    tensor.ClearField("data_location")
    model.graph.initializer.append(tensor)


def marked_alone(model: Any) -> None:
    tensor = outside()
    del tensor.external_data[:]
    model.graph.initializer.append(tensor)


PLACES = [
    as_initializer, as_sparse_initializer, as_sparse_indices, of_a_constant, in_a_list_of_an_attribute,
    as_sparse_attributes, in_a_list_of_sparse_attributes, in_a_subgraph_of_a_subgraph, in_a_function,
    in_a_default_of_a_function, for_training, in_the_steps_of_training, named_alone, marked_alone,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_detector_whose_weights_lie_in_another_file_is_refused(place: Callable[[Any], None], tmp_path: Path) -> None:
    model = onnx.load_from_string(tiny_model())
    place(model)
    graph = model.SerializeToString()
    recipe = replace(make_recipe(), graph_sha256=graph_sha256(graph))
    path = tmp_path / "detector.onnx"
    path.write_bytes(with_metadata(graph, recipe.metadata))
    with pytest.raises(DetectorError, match=r"detector\.onnx: weights of it lie in another file \(external data\)"):
        read_detector(path)


def test_tensors_are_looked_for_wherever_the_format_has_any() -> None:
    from runtime.onnx_file import _INSIDE

    names = {
        "model": "ModelProto", "training": "TrainingInfoProto", "function": "FunctionProto", "graph": "GraphProto",
        "node": "NodeProto", "attribute": "AttributeProto", "sparse tensor": "SparseTensorProto",
        "tensor": "TensorProto",
    }  # fmt: skip
    known = {name: kind for kind, name in names.items()}
    for kind, name in names.items():
        fields = getattr(onnx, name).DESCRIPTOR.fields
        inside = {each.number: known.get(each.message_type.name) for each in fields if each.message_type is not None}
        assert {number: found for number, found in inside.items() if found} == _INSIDE.get(kind, {}), name
    numbers = {each.name: each.number for each in onnx.TensorProto.DESCRIPTOR.fields}
    assert (numbers["external_data"], numbers["data_location"]) == (13, 14)


def test_a_location_that_says_here_is_no_other_file() -> None:
    model = onnx.load_from_string(tiny_model())
    model.graph.initializer[0].data_location = onnx.TensorProto.DEFAULT
    check_whole(model.SerializeToString())


def test_graphs_within_graphs_end_no_process() -> None:
    graph = b""
    for _ in range(3000):  # each a node with an attribute with a graph
        for number in (6, 5, 1):
            graph = bytes([number << 3 | 2]) + varint(len(graph)) + graph
    check_whole(bytes([7 << 3 | 2]) + varint(len(graph)) + graph)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
