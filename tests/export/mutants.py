"""Wrong graphs: each function takes a good ONNX model and returns a copy with one fault that parity must find.

A fault sits in the shipped model and in the one with opened outputs alike, as a fault of the exporter would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from bevdeploy.geometry.pool_tables import TABLE_NAMES
from bevdeploy.ops.bev_pool_node import NODE, NODE_INPUTS

Nodes = list[onnx.NodeProto]
Initialisers = list[onnx.TensorProto]


def unchanged(model: onnx.ModelProto) -> onnx.ModelProto:
    """No fault: the BEV map times 1. What makes every other mutant's failure its own."""
    return _after(model, pool_node(model).output[0], _times(1.0))


def zeroed_bev(model: onnx.ModelProto) -> onnx.ModelProto:
    """The pool yields nothing."""
    return _after(model, pool_node(model).output[0], _times(0.0))


def transposed_bev(model: onnx.ModelProto) -> onnx.ModelProto:
    """x and y of the pooled map are swapped."""
    return _after(
        model,
        pool_node(model).output[0],
        lambda before, after: ([helper.make_node("Transpose", [before], [after], perm=[0, 1, 3, 2])], []),
    )


def other_rig(model: onnx.ModelProto, tables: Mapping[str, NDArray[np.int32]]) -> onnx.ModelProto:
    """The graph keeps these tables, whatever it is fed."""
    mutant = _copied(model)
    node = pool_node(mutant)
    for name in TABLE_NAMES:
        mutant.graph.initializer.append(numpy_helper.from_array(tables[name], f"other_{name}"))
        node.input[NODE_INPUTS.index(name)] = f"other_{name}"
    return mutant


def swapped_cameras(model: onnx.ModelProto, first: int, second: int) -> onnx.ModelProto:
    """Two cameras' images change places behind the graph's image input."""
    mutant = _copied(model)
    image = mutant.graph.input[0]
    axis = 0 if image.name == "frames" else 1
    order = list(range(image.type.tensor_type.shape.dim[axis].dim_value))
    order[first], order[second] = order[second], order[first]
    for node in mutant.graph.node:
        node.input[:] = ["swapped" if name == image.name else name for name in node.input]
    mutant.graph.initializer.append(numpy_helper.from_array(np.array(order, np.int64), "camera_order"))
    mutant.graph.node.insert(0, helper.make_node("Gather", [image.name, "camera_order"], ["swapped"], axis=axis))
    return mutant


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every weight is rounded to float16."""
    mutant = _copied(model)
    for tensor in mutant.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            rounded = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    return mutant


def scaled_output(model: onnx.ModelProto, name: str, factor: float) -> onnx.ModelProto:
    """One output is too large, too small or, with NaN, not a number."""
    return _after(model, name, _times(factor))


def reordered_output(model: onnx.ModelProto, name: str, axis: int, order: Sequence[int]) -> onnx.ModelProto:
    """One output's entries along an axis are permuted."""
    constant = numpy_helper.from_array(np.array(order, np.int64), f"{name}_order")
    return _after(
        model,
        name,
        lambda before, after: ([helper.make_node("Gather", [before, constant.name], [after], axis=axis)], [constant]),
    )


def log_sizes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Boxes keep the logarithm of their size."""
    mutant = _copied(model)
    (exponential,) = (node for node in mutant.graph.node if node.op_type == "Exp")
    exponential.op_type = "Identity"
    return mutant


def shifted_resize(model: onnx.ModelProto, axis: int, pixels: float) -> onnx.ModelProto:
    """The resize along rows (0) or columns (1) reads this fraction of a raw pixel further on."""
    mutant = _copied(model)
    blends = [node for node in mutant.graph.node if node.op_type == "Mul"][:2]  # preprocessing comes first
    (share,) = (tensor for tensor in mutant.graph.initializer if tensor.name in blends[axis].input)
    moved = numpy_helper.to_array(share) + np.float32(pixels)  # linear taps extrapolate
    share.CopyFrom(numpy_helper.from_array(moved, share.name))
    return mutant


def pool_node(model: onnx.ModelProto) -> onnx.NodeProto:
    """The graph's only pool node."""
    (node,) = (node for node in model.graph.node if node.op_type == NODE)
    return node


def _times(factor: float) -> Callable[[str, str], tuple[Nodes, Initialisers]]:
    def nodes(before: str, after: str) -> tuple[Nodes, Initialisers]:
        constant = numpy_helper.from_array(np.array(factor, np.float32), f"{after}_factor")
        return [helper.make_node("Mul", [before, constant.name], [after])], [constant]

    return nodes


def _after(
    model: onnx.ModelProto, tensor: str, make: Callable[[str, str], tuple[Nodes, Initialisers]]
) -> onnx.ModelProto:
    """Put nodes behind a tensor; its readers, and the graph's outputs, see theirs."""
    mutant = _copied(model)
    (place,) = (k for k, node in enumerate(mutant.graph.node) if tensor in node.output)
    producer = mutant.graph.node[place]
    before = f"{tensor}_before"
    producer.output[:] = [before if name == tensor else name for name in producer.output]
    nodes, initialisers = make(before, tensor)
    for k, node in enumerate(nodes):
        mutant.graph.node.insert(place + 1 + k, node)
    mutant.graph.initializer.extend(initialisers)
    return mutant


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
