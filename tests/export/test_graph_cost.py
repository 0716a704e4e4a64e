"""MACs of the exported graph against PyTorch's own counter on the same student."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bevdeploy.engines.graph_cost import POOL, cost_of_model
from bevdeploy.export import StudentGraph
from bevdeploy.export.onnx_export import deploy_module


def test_macs_are_those_that_pytorch_counts(graph_of: Callable[[str, str], StudentGraph]) -> None:
    graph = graph_of("frames", "runtime")
    module = deploy_module(graph.student, graph.reference).eval()
    zeros = [torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in graph.reference.inputs]
    # with gradients and the plain kernel, attention is made of products that the counter knows
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*zeros)
    flops = {str(kind): count for kind, count in counter.get_flop_counts()["Global"].items()}
    cost = cost_of_model(graph.model)
    assert cost.uncounted == ()
    assert 2 * cost.macs_by_operator["Conv"] == flops.pop("aten.convolution")
    assert 2 * (cost.macs_by_operator["MatMul"] + cost.macs_by_operator["Gemm"]) == sum(flops.values())
    rows, channels = graph.contract.table_sizes.rows, 32
    assert cost.macs_by_operator[POOL] == rows * 16 * channels
