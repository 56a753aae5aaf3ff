"""The few bytes of an ONNX file that the runtime must read or change, without the `onnx` package.

An ONNX file is one protobuf message, ModelProto (onnx/onnx.proto). Its field 14, ``metadata_props``, repeats
StringStringEntryProto messages with the key in field 1 and the value in field 2. Its field 7 is the graph, whose field
5 repeats TensorProto messages, the initializers: type in field 2, name in field 8, values in field 9 as raw bytes,
little-endian; its field 1 repeats NodeProto messages with the names of their inputs in field 1, and its field 12
ValueInfoProto messages, the outputs. A TensorProto whose values lie in another file says so in fields 13 and 14.
Nothing else is looked at.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DetectorError
from runtime.printable import printable

COPY_AGAIN = "copy the file again; if the original is damaged too, export the detector again"
_METADATA_FIELD, _GRAPH_FIELD = 14, 7
_NODE_FIELD, _INITIALIZER_FIELD, _OUTPUT_FIELD = 1, 5, 12  # of the graph
_INPUT = 1  # of a NodeProto
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9  # of a TensorProto
_EXTERNAL, _LOCATION = 13, 14  # of a TensorProto: where its values lie, and whether that is another file
_FLOAT = 1
_VARINT, _LENGTH_DELIMITED = 0, 2
# where tensors are: by message, the messages inside it that are or hold some, by field number
_INSIDE = {
    "model": {_GRAPH_FIELD: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {_NODE_FIELD: "node", _INITIALIZER_FIELD: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
}


def read_metadata(model: bytes) -> dict[str, str]:
    """The key–value pairs in an ONNX file's metadata.

    Raises `DetectorError` when the bytes are no ONNX file, and for a key that is there twice: readers of ONNX files
    disagree which of the two holds.
    """
    pairs: dict[str, str] = {}
    for number, start, end, body in _fields(model):
        if number == _METADATA_FIELD:
            key, value = _pair(model, start, end, body)
            if key in pairs:
                raise DetectorError(f"its metadata has two entries {printable(key)!r}; {COPY_AGAIN}")
            pairs[key] = value
    return pairs


def _pair(model: bytes, start: int, end: int, body: int) -> tuple[str, str]:
    entry: dict[int, bytes] = {}
    for number, _, field_end, field_body in _fields(model, body, end):
        if number in entry:
            raise DetectorError(f"the metadata at byte {start} is damaged; {COPY_AGAIN}")
        entry[number] = model[field_body:field_end]
    try:
        return entry.get(1, b"").decode(), entry.get(2, b"").decode()
    except UnicodeDecodeError as error:
        raise DetectorError(f"the metadata at byte {start} is damaged; {COPY_AGAIN}") from error


def with_metadata(model: bytes, metadata: dict[str, str]) -> bytes:
    """The same model with `metadata` in place of what it had."""
    graph = b"".join(model[start:end] for number, start, end, _ in _fields(model) if number != _METADATA_FIELD)
    return graph + b"".join(_entry(key, value) for key, value in metadata.items())


def graph_sha256(model: bytes) -> str:
    """SHA-256 of the file without its metadata: what a TensorRT plan is bound to, whatever the threshold."""
    digest = hashlib.sha256()
    for number, start, end, _ in _fields(model):
        if number != _METADATA_FIELD:
            digest.update(model[start:end])
    return digest.hexdigest()


def check_whole(model: bytes) -> None:
    """Raise `DetectorError` where values of any tensor lie in another file, which no hash of this one is of.

    Tensors are initializers, and attributes of nodes, in subgraphs and functions, too.
    """
    left = [("model", 0, len(model))]
    while left:
        kind, at, stop = left.pop()
        if kind == "tensor":
            _check_inside(model, at, stop)
            continue
        for number, start, end, body in _fields(model, at, stop):
            if number in _INSIDE[kind] and model[start] & 7 == _LENGTH_DELIMITED:
                left.append((_INSIDE[kind][number], body, end))


def _check_inside(model: bytes, at: int, stop: int) -> None:
    for number, start, _, body in _fields(model, at, stop):
        is_said = number == _LOCATION and (model[start] & 7 != _VARINT or _varint(model, body)[0] != 0)
        if is_said or number == _EXTERNAL:
            raise DetectorError(
                "weights of it lie in another file (external data), which nobody could vouch for; save it as one file, "
                "or export the detector again"
            )


def read_constants(model: bytes, prefix: str) -> dict[str, NDArray[np.float32]]:
    """The float32 initializers of the graph whose names begin with `prefix`, by name. Copies."""
    found = {}
    for name, shape, start, end in _constants(model, prefix):
        found[name] = np.frombuffer(model[start:end], "<f4").reshape(shape).astype(np.float32)
    return found


def with_constants(model: bytes, values: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The same model with other values in these float32 initializers, each of the shape that it has.

    Every other byte stays. Raises `DetectorError` for a name that the graph does not have, or has in another shape.
    """
    places = {name: (shape, start, end) for name, shape, start, end in _constants(model, "")}
    changed = bytearray(model)
    for name, array in values.items():
        if name not in places:
            raise DetectorError(f"the graph has no float32 constant {name}; a file of schema 2 has")
        shape, start, end = places[name]
        if array.shape != shape:
            raise DetectorError(f"{name} has shape {list(shape)} in the graph, the new one has {list(array.shape)}")
        changed[start:end] = array.astype("<f4").tobytes()
    return bytes(changed)


def operand_beside(model: bytes, constant: str) -> str:
    """The name of the tensor that the graph's first node to take `constant` takes beside it.

    Raises `DetectorError` where no node does.
    """
    for number, _, end, body in _fields(model):
        if number == _GRAPH_FIELD:
            for inner, _, stop, start in _fields(model, body, end):
                inputs = _inputs(model, start, stop) if inner == _NODE_FIELD else []
                if constant in inputs and len(inputs) > 1:
                    return next(name for name in inputs if name != constant)
    raise DetectorError(f"no operation of the graph takes {constant}; a file of schema 2 has one")


def _inputs(model: bytes, at: int, stop: int) -> list[str]:
    return [model[b:e].decode(errors="replace") for number, _, e, b in _fields(model, at, stop) if number == _INPUT]


def with_outputs(model: bytes, names: Iterable[str]) -> bytes:
    """The same model with these float32 tensors of its graph as outputs, too, behind those that it has."""
    told = b"".join(_field(_OUTPUT_FIELD, _field(1, name.encode()) + _FLOAT_TENSOR) for name in names)
    return b"".join(
        _field(number, model[body:end] + told) if number == _GRAPH_FIELD else model[start:end]
        for number, start, end, body in _fields(model)
    )


def _constants(model: bytes, prefix: str) -> Iterator[tuple[str, tuple[int, ...], int, int]]:
    """(name, shape, start and end of the values) of each float32 initializer whose values are raw bytes."""
    for number, _, end, body in _fields(model):
        if number != _GRAPH_FIELD:
            continue
        for inner, _, stop, start in _fields(model, body, end):
            found = _constant(model, start, stop) if inner == _INITIALIZER_FIELD else None
            if found is not None and found[0].startswith(prefix):
                yield found


def _constant(model: bytes, at: int, stop: int) -> tuple[str, tuple[int, ...], int, int] | None:
    name, kind, shape, raw = "", 0, list[int](), None
    for number, start, end, body in _fields(model, at, stop):
        if number == _DIMS and model[start] & 7 == _LENGTH_DELIMITED:  # packed
            while body < end:
                size, body = _varint(model, body)
                shape.append(size)
        elif number == _DIMS:
            shape.append(_varint(model, body)[0])
        elif number == _TYPE:
            kind = _varint(model, body)[0]
        elif number == _NAME:
            name = model[body:end].decode(errors="replace")
        elif number == _RAW:
            raw = (body, end)
    if raw is None or kind != _FLOAT:
        return None
    if raw[1] - raw[0] != 4 * int(np.prod(shape)):
        raise _damaged()
    return name, tuple(shape), *raw


def _fields(message: bytes, at: int = 0, stop: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """(number, start, end, start of the body) of each field from offset `at` to `stop`, the message's end."""
    stop = len(message) if stop is None else stop
    while at < stop:
        start = at
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            body, (_, at) = at, _varint(message, at)
        elif wire_type == _LENGTH_DELIMITED:
            length, body = _varint(message, at)
            at = body + length
        elif wire_type in (1, 5):
            body, at = at, at + (8 if wire_type == 1 else 4)
        else:
            raise _damaged()
        if at > stop or number == 0:
            raise _damaged()
        yield number, start, at, body


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise _damaged()


def _entry(key: str, value: str) -> bytes:
    body = _field(1, key.encode()) + _field(2, value.encode())
    return _field(_METADATA_FIELD, body)


def _field(number: int, body: bytes) -> bytes:
    return _encoded(number << 3 | _LENGTH_DELIMITED) + _encoded(len(body)) + body


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# a ValueInfoProto's type: TypeProto with tensor_type in field 1, whose element type in field 1 is a varint; no shape,
# which ONNX Runtime infers
_FLOAT_TENSOR = _field(2, _field(1, bytes([1 << 3, _FLOAT])))


def _damaged() -> DetectorError:
    return DetectorError(f"not an ONNX file, or a damaged one; {COPY_AGAIN}")
