"""Metadata and constants in ONNX files, against the onnx package."""

import contextlib
import hashlib
from typing import Any

import numpy as np
import pytest
from runtime_samples import tiny_model

from runtime.errors import DetectorError
from runtime.onnx_file import graph_sha256, read_constants, read_metadata, with_constants, with_metadata

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
