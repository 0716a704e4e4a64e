"""A traced deploy graph as an ONNX model: readable names, no traces of the exporting machine, the pool's body."""

from __future__ import annotations

import ast
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from bevdeploy.ops.bev_pool_onnx import attach_body, register_schema, translation

_SCOPES = "pkg.torch.onnx.name_scopes"
_NORM = re.compile(r"\bbn(?=\d+$)")


def onnx_from_module(
    module: nn.Module,
    inputs: Sequence[Tensor],
    input_names: Sequence[str],
    output_names: Sequence[str],
    opset: int,
) -> onnx.ModelProto:
    """Trace a module in evaluation mode; every pool stays one node, without its body."""
    register_schema()
    with _quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs),
            dynamo=True,
            opset_version=opset,
            verbose=False,
            input_names=list(input_names),
            output_names=list(output_names),
            custom_translation_table={torch.ops.bevdeploy.bev_pool_node.default: translation()},
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    _name_nodes(model)
    return model


def bake_tables(model: onnx.ModelProto, tables: Mapping[str, NDArray[np.int32]]) -> None:
    """Turn the table inputs into initialisers, in place; everything else stays as it was."""
    kept = [value for value in model.graph.input if value.name not in tables]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(table, name) for name, table in tables.items())


def without_outputs(model: onnx.ModelProto, kept: Sequence[str]) -> onnx.ModelProto:
    """A copy that declares only some of its outputs; their tensors keep their names inside the graph."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    outputs = [value for value in copy.graph.output if value.name in kept]
    del copy.graph.output[:]
    copy.graph.output.extend(outputs)
    return copy


def finish(model: onnx.ModelProto, metadata: Mapping[str, str]) -> None:
    """Attach the pool node's body and the metadata, and check the model; the last step before it is written."""
    attach_body(model)
    del model.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name = "bevdeploy"
    model.doc_string = ""
    onnx.checker.check_model(model, full_check=False)


def _name_nodes(model: onnx.ModelProto) -> None:
    """Name nodes by module, `image_encoder/backbone/layer1/0/conv1/Conv`, and drop the exporter's source paths.

    A tensor takes the name of the node that yields it: runtimes name what they fuse by its output.
    """
    seen: Counter[str] = Counter()
    declared = {value.name for value in model.graph.output}
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        scopes = next((prop.value for prop in node.metadata_props if prop.key == _SCOPES), "[]")
        innermost = [scope for scope in ast.literal_eval(scopes) if scope][-2:-1]
        module = innermost[0].removeprefix("student").lstrip(".").replace(".", "/") if innermost else ""
        if node.op_type == "Conv":
            module = _NORM.sub("conv", module)  # a norm folded into the convolution before it
        name = f"{module or 'graph'}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"
        del node.metadata_props[:]
        node.doc_string = ""
        node.input[:] = [renamed.get(value, value) for value in node.input]
        if len(node.output) == 1 and node.output[0] not in declared:
            renamed[node.output[0]] = node.name
            node.output[0] = node.name
    for value in model.graph.value_info:
        value.name = renamed.get(value.name, value.name)
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
        value.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter logs missing optional packages and warns of its own internals; neither concerns the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
