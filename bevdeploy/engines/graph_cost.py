"""What one inference of an ONNX graph costs: parameters, operators, multiply-accumulates. Nothing runs.

The definitions, so that two graphs can be compared:

* parameters: numbers in floating-point initialisers and constants. Norms folded into convolutions and constant grids
  count as they are stored; index tables do not;
* operators: nodes by type, those of subgraphs too; a pool node is one operator, with or without its body;
* MACs: Conv, ConvTranspose, MatMul, Gemm, Einsum of two operands, Attention and their integer forms, without biases,
  and 16 per pool row and channel, padding slots included, since they are computed. Everything else counts 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bevdeploy.errors import EngineError, MissingDependencyError

POOL = "bevdeploy::BevPool"
LIGHT_ELEMENTS = 1024
"""Larger initialisers are shapes only while shapes are inferred: no shape is computed from so many numbers."""

Shapes = Mapping[str, "tuple[int, ...]"]


@dataclass(frozen=True)
class GraphCost:
    """Cost of one inference."""

    parameters: int
    macs: int
    """Lower bound where `uncounted` is not empty."""
    operators: dict[str, int]
    """Nodes by type, `domain::Type` outside the standard domain; by name."""
    macs_by_operator: dict[str, int]
    uncounted: tuple[str, ...]
    """Nodes that multiply and whose MACs are not known: `Type name`."""

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def cost_of_file(path: Path) -> GraphCost:
    """The cost of an ONNX file.

    Raises:
        MissingDependencyError: the library onnx is not installed.
        EngineError: the file is missing or is no ONNX graph.
    """
    onnx = _onnx()
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise EngineError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # protobuf's DecodeError, whose home differs from version to version
        raise EngineError(f"{path}: not an ONNX file, or damaged ({type(error).__name__})") from error
    try:
        return cost_of_model(model)
    except EngineError as error:
        raise EngineError(f"{path}: {error}") from error


def cost_of_model(model: Any) -> GraphCost:
    """The cost of an `onnx.ModelProto`, which stays as it is.

    Raises:
        MissingDependencyError: the library onnx is not installed.
        EngineError: the shapes inside the graph contradict each other.
    """
    onnx = _onnx()
    shapes = _shapes(onnx, model)
    nodes = list(_nodes(model.graph))
    operators: Counter[str] = Counter(_kind(node) for node in nodes)
    macs: Counter[str] = Counter()
    uncounted = []
    for node in nodes:
        kind = _kind(node)
        if kind not in _MACS:
            if "::" in kind or kind in _MULTIPLY_UNCOUNTED:
                uncounted.append(f"{kind} {node.name or node.output[0]}")
            continue
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        try:
            macs[kind] += _MACS[kind](node, shapes, attributes)
        except (KeyError, IndexError):  # a shape, or an operand, that is not there
            uncounted.append(f"{kind} {node.name or node.output[0]}")
    return GraphCost(
        parameters=_parameters(onnx, model.graph, nodes),
        macs=sum(macs.values()),
        operators=dict(sorted(operators.items())),
        macs_by_operator=dict(sorted(macs.items())),
        uncounted=tuple(uncounted),
    )


def _parameters(onnx: ModuleType, graph: Any, nodes: list[Any]) -> int:
    proto = onnx.TensorProto
    floating = {proto.FLOAT, proto.FLOAT16, proto.BFLOAT16, proto.DOUBLE}
    constants = [
        each.t for node in nodes if node.op_type == "Constant" for each in node.attribute if each.HasField("t")
    ]
    return sum(math.prod(each.dims) for each in (*graph.initializer, *constants) if each.data_type in floating)


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _kind(node: Any) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def _shapes(onnx: ModuleType, model: Any) -> dict[str, tuple[int, ...]]:
    """Shapes by tensor name, where all sizes are numbers."""
    light = onnx.ModelProto()
    light.CopyFrom(model)
    heavy = [tensor for tensor in light.graph.initializer if math.prod(tensor.dims) > LIGHT_ELEMENTS]
    kept = [tensor for tensor in light.graph.initializer if math.prod(tensor.dims) <= LIGHT_ELEMENTS]
    declared = {value.name for value in light.graph.input}
    light.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in heavy
        if tensor.name not in declared
    )
    del light.graph.initializer[:]
    light.graph.initializer.extend(kept)
    try:
        graph = onnx.shape_inference.infer_shapes(light, data_prop=True).graph
    except (RuntimeError, ValueError) as error:  # InferenceError is a RuntimeError
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineError(f"shapes inside the graph contradict each other ({first_line})") from error
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        tensor_type = value.type.tensor_type
        dims = tensor_type.shape.dim
        if tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def _conv(node: Any, shapes: Shapes, attributes: Mapping[str, Any], weight: int = 1) -> int:
    out, kernel = shapes[node.output[0]], shapes[node.input[weight]]  # [B, Co, ...], [Co, Ci/groups, ...]
    return math.prod(out) * math.prod(kernel[1:])


def _conv_transpose(node: Any, shapes: Shapes, attributes: Mapping[str, Any]) -> int:
    image, kernel = shapes[node.input[0]], shapes[node.input[1]]  # [B, Ci, ...], [Ci, Co/groups, ...]
    return math.prod(image) * math.prod(kernel[1:])


def _matmul(node: Any, shapes: Shapes, attributes: Mapping[str, Any]) -> int:
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _gemm(node: Any, shapes: Shapes, attributes: Mapping[str, Any]) -> int:
    left = shapes[node.input[0]]  # [M, K], or [K, M] with transA
    return math.prod(shapes[node.output[0]]) * left[0 if attributes.get("transA", 0) else 1]


def _einsum(node: Any, shapes: Shapes, attributes: Mapping[str, Any]) -> int:
    terms = attributes["equation"].decode().replace(" ", "").split("->")[0].split(",")
    if len(terms) == 1:
        return 0
    if len(terms) > 2 or any("." in term for term in terms):
        raise KeyError("the order of products, or an ellipsis, is open")
    sizes = {
        letter: size
        for term, name in zip(terms, node.input, strict=True)
        for letter, size in zip(term, shapes[name], strict=True)
    }
    return math.prod(sizes.values())


def _attention(node: Any, shapes: Shapes, attributes: Mapping[str, Any]) -> int:
    query, key, value = (shapes[name] for name in node.input[:3])
    if len(node.input) > 4 and node.input[4]:
        raise KeyError("the length of the past is open")
    if len(query) == 4:  # [B, heads, S, E], [B, kv heads, L, E], [B, kv heads, L, V]
        batch, heads, steps, width = query
        return batch * heads * steps * key[2] * (width + value[3])
    batch, steps, hidden = query  # [B, S, heads*E], [B, L, kv heads*E], [B, L, kv heads*V]
    heads, kv_heads = attributes["q_num_heads"], attributes["kv_num_heads"]
    return int(batch * steps * key[1] * (hidden + heads * value[2] // kv_heads))


def _pool(node: Any, shapes: Shapes, attributes: Mapping[str, Any]) -> int:
    feat, rows = shapes[node.input[1]], shapes[node.input[2]]  # [1, N, H, W, C], [R, 16]
    return math.prod(rows) * feat[-1]


_MACS: dict[str, Callable[..., int]] = {
    "Conv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": lambda node, shapes, attributes: _conv(node, shapes, attributes, weight=3),
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Attention": _attention,
    POOL: _pool,
}
_MULTIPLY_UNCOUNTED = frozenset({"LSTM", "GRU", "RNN", "DeformConv", "If", "Loop", "Scan", "DFT", "STFT"})


def _onnx() -> ModuleType:
    try:
        import onnx
        import onnx.shape_inference
    except ImportError as error:
        raise MissingDependencyError(
            f"reading a graph needs the library onnx ({error}); pip install onnx, or 'bevdeploy[export]'"
        ) from error
    return onnx
