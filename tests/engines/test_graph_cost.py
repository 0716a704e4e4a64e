"""Cost of graphs small enough to count by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from bevdeploy.engines.graph_cost import GraphCost, cost_of_file, cost_of_model
from bevdeploy.errors import EngineError

onnx = pytest.importorskip("onnx")
helper = onnx.helper
FLOAT, INT32 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32


def weight(name: str, *shape: int, kind: int = FLOAT) -> Any:
    return helper.make_tensor(name, kind, shape, [1] * math.prod(shape))


def model_of(
    nodes: list[Any], inputs: dict[str, tuple[int | str, ...]], weights: tuple[Any, ...] = (), **kinds: int
) -> Any:
    """A model whose last node's output is the graph's; the shapes in between are left to inference."""
    values = [helper.make_tensor_value_info(name, kinds.get(name, FLOAT), shape) for name, shape in inputs.items()]
    out = helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, None)
    graph = helper.make_graph(nodes, "g", values, [out], list(weights))
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("bevdeploy", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_a_network_counted_by_hand() -> None:
    """Convolution to 2 x 3 pixels, 4 channels out of 3, kernel 3 x 3; then 24 numbers to 5 and a bias."""
    model = model_of(
        [
            helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3]),
            helper.make_node("Relu", ["y"], ["z"]),
            helper.make_node("Flatten", ["z"], ["f"]),
            helper.make_node("Gemm", ["f", "v", "b"], ["out"], transB=1),
        ],
        {"x": (1, 3, 4, 5)},
        (weight("w", 4, 3, 3, 3), weight("v", 5, 24), weight("b", 5), weight("table", 7, kind=INT32)),
    )
    assert cost_of_model(model) == GraphCost(
        parameters=108 + 120 + 5,
        macs=2 * 3 * 4 * 27 + 24 * 5,
        operators={"Conv": 1, "Flatten": 1, "Gemm": 1, "Relu": 1},
        macs_by_operator={"Conv": 648, "Gemm": 120},
        uncounted=(),
    )


@pytest.mark.parametrize(
    ("node", "inputs", "weights", "macs"),
    [
        # groups of 2 channels: each of 6 outputs sees 2 inputs, 5 x 5 pixels with padding
        (
            helper.make_node("Conv", ["x", "w"], ["y"], group=2, pads=[1, 1, 1, 1]),
            {"x": (1, 4, 5, 5)},
            (weight("w", 6, 2, 3, 3),),
            25 * 6 * 2 * 9,
        ),
        # stride 2: every input pixel is spread over 2 x 2 outputs of 5 channels
        (
            helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2]),
            {"x": (1, 3, 4, 4)},
            (weight("w", 3, 5, 2, 2),),
            16 * 3 * 5 * 4,
        ),
        (helper.make_node("MatMul", ["a", "b"], ["y"]), {"a": (2, 3, 4, 5), "b": (5, 6)}, (), 2 * 3 * 4 * 5 * 6),
        (helper.make_node("Gemm", ["a", "b"], ["y"], transA=1), {"a": (7, 2), "b": (7, 3)}, (), 2 * 7 * 3),
        (
            helper.make_node("Einsum", ["a", "b"], ["y"], equation="bdhw, bchw->bcdhw"),
            {"a": (1, 4, 2, 3), "b": (1, 5, 2, 3)},
            (),
            4 * 5 * 2 * 3,
        ),
        (helper.make_node("Einsum", ["a"], ["y"], equation="ij->ji"), {"a": (2, 3)}, (), 0),
        (helper.make_node("Add", ["a", "b"], ["y"]), {"a": (2, 3), "b": (2, 3)}, (), 0),
    ],
    ids=lambda value: value.op_type if hasattr(value, "op_type") else None,
)
def test_macs_by_hand(node: Any, inputs: dict[str, tuple[int, ...]], weights: tuple[Any, ...], macs: int) -> None:
    cost = cost_of_model(model_of([node], inputs, weights))
    assert (cost.macs, cost.uncounted) == (macs, ())


def test_attention_by_hand() -> None:
    """Four queries of width 6 in 2 heads meet 5 keys of width 6 and values of width 8."""
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"], q_num_heads=2, kv_num_heads=2)
    model = model_of([node], {"q": (1, 4, 12), "k": (1, 5, 12), "v": (1, 5, 16)})
    model.opset_import[0].version = 23
    assert cost_of_model(model).macs == 2 * 4 * 5 * (6 + 8)
    four = model_of([node], {"q": (1, 2, 4, 6), "k": (1, 2, 5, 6), "v": (1, 2, 5, 8)})
    four.opset_import[0].version = 23
    assert cost_of_model(four).macs == cost_of_model(model).macs


def pool_model(body: bool) -> Any:
    names = ["depth", "feat", "row_depth", "row_feat", "sum1", "sum2", "cell_row"]
    tables = {"row_depth": (9, 16), "row_feat": (9, 16), "sum1": (3, 8), "sum2": (1, 8), "cell_row": (4, 5)}
    node = helper.make_node("BevPool", names, ["bev"], domain="bevdeploy")
    inputs = {"depth": (1, 2, 3, 4, 5), "feat": (1, 2, 4, 5, 32), **tables}
    model = model_of([node], inputs, (), **dict.fromkeys(tables, INT32))
    if body:
        inner = helper.make_node("MatMul", ["depth", "feat"], ["bev"])
        opsets = [helper.make_opsetid("", 20)]
        model.functions.append(helper.make_function("bevdeploy", "BevPool", names, ["bev"], [inner], opsets))
    return model


def test_a_pool_node_costs_the_same_with_and_without_its_body() -> None:
    with_body, without = (cost_of_model(pool_model(body)) for body in (True, False))
    assert with_body == without
    assert without.macs == 9 * 16 * 32
    assert without.operators == {"bevdeploy::BevPool": 1}


def test_what_cannot_be_counted_is_named() -> None:
    unknown = model_of([helper.make_node("MatMul", ["a", "b"], ["y"], "lost")], {"a": ("n", 5), "b": (5, 6)})
    assert cost_of_model(unknown).uncounted == ("MatMul lost",)
    foreign = model_of([helper.make_node("Fast", ["a"], ["y"], "f", domain="bevdeploy")], {"a": (2,)})
    assert cost_of_model(foreign).uncounted == ("bevdeploy::Fast f",)


def test_nodes_of_subgraphs_count_and_the_branch_is_named() -> None:
    branch = helper.make_graph(
        [helper.make_node("Neg", ["a"], ["n"])], "b", [], [helper.make_tensor_value_info("n", FLOAT, (2,))]
    )
    node = helper.make_node("If", ["c"], ["y"], "either", then_branch=branch, else_branch=branch)
    cost = cost_of_model(model_of([node], {"a": (2,), "c": ()}, c=onnx.TensorProto.BOOL))
    assert (cost.operators, cost.uncounted) == ({"If": 1, "Neg": 2}, ("If either",))


def test_the_model_stays_as_it_is_and_constants_count() -> None:
    large = weight("w", 40, 50)  # beyond what shape inference is shown
    constant = helper.make_node("Constant", [], ["k"], value=weight("k", 3))
    model = model_of([constant, helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (2, 40)}, (large,))
    before = model.SerializeToString()
    cost = cost_of_model(model)
    assert model.SerializeToString() == before
    assert (cost.parameters, cost.macs) == (2003, 2 * 40 * 50)


def test_files_that_are_no_graphs(tmp_path: Path) -> None:
    path = tmp_path / "s.onnx"
    with pytest.raises(EngineError, match=r"s\.onnx: cannot be read \(No such file"):
        cost_of_file(path)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(EngineError, match=r"s\.onnx: not an ONNX file"):
        cost_of_file(path)


def test_products_that_do_not_fit_are_not_counted() -> None:
    model = model_of([helper.make_node("MatMul", ["a", "b"], ["y"])], {"a": (2, 3), "b": (4, 5)})
    assert cost_of_model(model).uncounted == ("MatMul y",)
