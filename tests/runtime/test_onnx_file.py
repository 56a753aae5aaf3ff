"""Metadata in ONNX files, against the onnx package."""

import hashlib

import pytest
from runtime_samples import tiny_model

from runtime.errors import DetectorError
from runtime.onnx_file import graph_sha256, read_metadata, with_metadata

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
