"""The pool node in ONNX: schema, translation for torch's exporter, and the body of standard operators.

torch's exporter inlines every function that it is given, so the translation emits the bare node and the body is
attached to the finished model, last. The `scatter` form is shorter, but NVIDIA's parser refuses a reducing scatter;
this body is made of gathers, one batched product and sums, and runs everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxscript
from onnx import defs, helper, numpy_helper

from bevdeploy.ops.bev_pool_node import DOMAIN, NODE, NODE_INPUTS

OPSET = 20
NODE_VERSION = 1


def register_schema() -> None:
    """Make the node known to onnx.checker and shape inference; doing it twice does nothing."""
    if defs.has(NODE, NODE_VERSION, DOMAIN):
        return
    parameter = defs.OpSchema.FormalParameter
    inputs = [parameter(name, "T" if name in ("depth", "feat") else "I") for name in NODE_INPUTS]
    defs.register_schema(
        defs.OpSchema(
            NODE,
            DOMAIN,
            NODE_VERSION,
            doc="Sum of depth times context features per BEV cell, over padded index tables.",
            inputs=inputs,
            outputs=[parameter("bev", "T")],
            type_constraints=[
                ("T", ["tensor(float)", "tensor(float16)"], "depth, feat and bev share a type"),
                ("I", ["tensor(int32)"], "index tables"),
            ],
            attributes=[],
        )
    )


def translation() -> Callable[..., Any]:
    """For `custom_translation_table`: the torch op becomes one bare node."""
    opset = onnxscript.values.Opset(DOMAIN, NODE_VERSION)

    def bev_pool_node(*inputs: Any) -> Any:
        return opset.BevPool(*inputs)

    return bev_pool_node


def node_body(opset: int = OPSET) -> onnx.FunctionProto:
    """The node's meaning as a model-local function. Sums are float32 whatever the type of depth and feat."""
    nodes: list[onnx.NodeProto] = []

    def op(kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [output], name=f"{NODE}/{kind}_{len(nodes)}", **attributes))
        return output

    def constant(values: list[Any], dtype: type = np.int64) -> str:
        return op("Constant", value=numpy_helper.from_array(np.array(values, dtype)))

    zero, one, last = constant([0]), constant([1]), constant([-1])
    channels = op("Gather", op("Shape", "feat"), last, axis=0)  # [1]
    rows_of_channels = op("Concat", last, channels, axis=0)  # (-1, C)
    zeros = constant([0.0], np.float32)
    flat_depth = op("Concat", op("Reshape", op("Cast", "depth", to=onnx.TensorProto.FLOAT), last), zeros, axis=0)
    flat_feat = op("Reshape", op("Cast", "feat", to=onnx.TensorProto.FLOAT), rows_of_channels)  # [N*Hf*Wf, C]
    weights = op("Unsqueeze", op("Gather", flat_depth, "row_depth", axis=0), one)  # [R, 1, 16]
    products = op("MatMul", weights, op("Gather", flat_feat, "row_feat", axis=0))  # [R, 1, C]
    zero_row = op("Expand", op("Reshape", zeros, constant([1, 1])), op("Concat", one, channels, axis=0))  # [1, C]
    partials = op("Concat", zero_row, op("Reshape", products, rows_of_channels), axis=0)  # [1 + R, C]
    for table in ("sum1", "sum2"):
        sums = op("ReduceSum", op("Gather", partials, table, axis=0), one, keepdims=0)  # [S, C]
        partials = op("Concat", partials, sums, axis=0)
    cells = op("Transpose", op("Gather", partials, "cell_row", axis=0), perm=[2, 0, 1])  # [C, Y, X]
    op("CastLike", op("Unsqueeze", cells, zero), "feat", output="bev")  # [1, C, Y, X]
    return helper.make_function(DOMAIN, NODE, list(NODE_INPUTS), ["bev"], nodes, [helper.make_opsetid("", opset)])


def attach_body(model: onnx.ModelProto) -> None:
    """Add the body and the opset import of the node's domain; call it after anything that rewrites the model."""
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    del model.functions[:]
    model.functions.append(node_body(opset))
    if not any(entry.domain == DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(DOMAIN, NODE_VERSION))
