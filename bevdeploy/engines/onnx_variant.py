"""The ONNX file as a builder takes it: its metadata, and the variant whose pool node has no body.

A board has no `onnx` package, and needs none: a serialised model is a flat list of tagged fields, so metadata are read,
and the body is left out, without parsing the graph; every other byte stays as it was. TensorRT before 10.7 runs a
node's local function even where a plugin of that name is loaded, so the plugin needs a file without the body.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bevdeploy.errors import EngineError

POOL_DOMAIN, POOL_NODE = b"bevdeploy", b"BevPool"

# Field numbers of onnx.proto
_MODEL_GRAPH, _MODEL_METADATA, _MODEL_FUNCTIONS = 7, 14, 25
_GRAPH_NODE = 1
_NODE_TYPE, _NODE_DOMAIN = 4, 7
_FUNCTION_NAME, _FUNCTION_DOMAIN = 1, 10
_PAIR_KEY, _PAIR_VALUE = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Field(NamedTuple):
    number: int
    start: int
    """Of its tag, in the message."""
    end: int
    payload: memoryview
    """Empty unless it is a string, bytes or a message."""


def onnx_metadata(model: bytes) -> dict[str, str]:
    """The key-value pairs of a serialised model.

    Raises:
        EngineError: the bytes are no serialised model.
    """
    pairs = (field.payload for field in _fields(memoryview(model)) if field.number == _MODEL_METADATA)
    try:
        return {_text(pair, _PAIR_KEY).decode(): _text(pair, _PAIR_VALUE).decode() for pair in pairs}
    except UnicodeDecodeError as error:
        raise EngineError(f"not an ONNX file: its metadata are no text ({error})") from error


def without_pool_body(model: bytes) -> bytes:
    """The serialised model without the pool node's local function; the node itself stays.

    Raises:
        EngineError: the bytes are no serialised model, or its graph has no pool node.
    """
    view = memoryview(model)
    if pool_nodes(model) == 0:
        raise EngineError(
            f"the graph has no {POOL_DOMAIN.decode()}::{POOL_NODE.decode()} node that a plugin could take; "
            "build it with --pool native"
        )
    return b"".join(view[field.start : field.end] for field in _fields(view) if not _is_pool_body(field))


def pool_nodes(model: bytes) -> int:
    """Number of pool nodes in the graph of a serialised model.

    Raises:
        EngineError: the bytes are no serialised model.
    """
    graphs = [field.payload for field in _fields(memoryview(model)) if field.number == _MODEL_GRAPH]
    nodes = (field.payload for graph in graphs for field in _fields(graph) if field.number == _GRAPH_NODE)
    return sum((_text(node, _NODE_DOMAIN), _text(node, _NODE_TYPE)) == (POOL_DOMAIN, POOL_NODE) for node in nodes)


def _is_pool_body(field: _Field) -> bool:
    if field.number != _MODEL_FUNCTIONS:
        return False
    return (_text(field.payload, _FUNCTION_DOMAIN), _text(field.payload, _FUNCTION_NAME)) == (POOL_DOMAIN, POOL_NODE)


def _text(message: memoryview, number: int) -> bytes:
    """The last field of that number, as protobuf has it; empty where there is none."""
    found = b""
    for field in _fields(message):
        if field.number == number:
            found = bytes(field.payload)
    return found


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a protobuf message, in file order."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        payload = message[at:at]
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
            payload = message[at : at + size]
            at += size
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise EngineError(f"not an ONNX file, or a damaged one: field {number} at byte {start} has kind {kind}")
        if at > len(message) or number == 0:
            raise EngineError(f"not an ONNX file, or a truncated one: field {number} at byte {start} is not complete")
        yield _Field(number, start, at, payload)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of up to 64 bits in groups of 7, and where the next field starts."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise EngineError(f"not an ONNX file, or a damaged one: a number breaks off at byte {at}")
