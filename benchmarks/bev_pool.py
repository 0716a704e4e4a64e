"""BEVPool against the ways it is usually written, and the index tables it needs; all results are compared first.

`index_add_` is the natural eager form. The cumulative sum is the trick of lift-splat-shoot (Philion and Fidler, 2020),
written here from its idea: the products of all kept frustum points in one array [P, C] sorted by cell, a running sum
along P, and the difference between the last points of neighbouring cells; its gradient is the cell's, gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch import Tensor
from torch.nn import functional as F

from benchmarks.side_by_side import (
    Comparison,
    Goal,
    Turns,
    arguments_of_benchmark,
    document_of,
    goal_of_ratio,
    publish,
    side_by_side,
)
from bevdeploy import ops
from bevdeploy.engines.machine import machine_state
from bevdeploy.geometry import (
    BEVGrid,
    DepthBins,
    ViewGeometry,
    indices_from_rig,
    surround_rig,
    tables_from_rig,
)
from bevdeploy.ops.bev_pool_node import DOMAIN, NODE, NODE_INPUTS
from bevdeploy.ops.bev_pool_onnx import NODE_VERSION, OPSET, attach_body, register_schema
from bevdeploy.runtime.onnx_runner import OnnxRunner

SPEEDUP = 20.0
INDICES_MS, TABLES_MS = 25.0, 40.0
RTOL = 1e-5
"""Relative L2 against float64. Sums of up to 600 products in float32, each contender in its own order."""
RTOL_CUMSUM = 1e-3
"""Differences of a running sum over all points lose digits."""
RESULTS = ("BEV", "gradient of depth", "gradient of feat")

Pool = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Config:
    """A workload."""

    name: str
    view: ViewGeometry
    channels: int


CONFIGS = (
    Config(
        "A",
        ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 60.0, 0.5), (256, 704), (16, 44)),
        80,
    ),
    Config(
        "B",
        ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 60.0, 1.0), (256, 704), (16, 44)),
        64,
    ),
)


class SortedCumulativeSum(torch.autograd.Function):
    """Sums [M, C] of consecutive runs of points [P, C]; `last` [M] is each run's last point, `run` [P] its number."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, last: Tensor, run: Tensor) -> Tensor:
        ctx.save_for_backward(run)
        ends = points.cumsum(0).index_select(0, last)  # [M, C]
        return torch.cat([ends[:1], ends[1:] - ends[:-1]])  # [M, C]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (run,) = ctx.saved_tensors
        return grad.index_select(0, run), None, None  # [P, C]


class Workload:
    """Inputs of one config and the contenders on them."""

    def __init__(self, config: Config, threads: int) -> None:
        view, channels = config.view, config.channels
        rig = surround_rig()
        cameras, (hf, wf) = len(rig.cameras), view.feature_hw
        indices = indices_from_rig(rig, view)
        self.ranks = ops.pool_ranks([indices], view, cameras)
        self.long = self.ranks._replace(
            **{name: getattr(self.ranks, name).long() for name in ("ranks_depth", "ranks_feat", "ranks_bev")}
        )  # index_add_ and indexing convert 32-bit indices in every call; here, once
        self.cells = torch.from_numpy(indices.ranks_bev[indices.interval_starts]).long()  # [M]
        self.last = torch.from_numpy(indices.interval_starts + indices.interval_lengths - 1).long()  # [M]
        self.run = torch.repeat_interleave(torch.from_numpy(indices.interval_lengths).long())  # [P]
        generator = torch.Generator().manual_seed(0)
        _, self.rows, self.columns = view.grid.shape_zyx
        self.channels = channels
        logits = torch.randn(1, cameras, view.depth_bins.count, hf, wf, generator=generator)
        self.depth = logits.softmax(2)
        self.feat = torch.randn(1, cameras, hf, wf, channels, generator=generator)
        self.grad = torch.randn(1, channels, self.rows, self.columns, generator=generator)
        self.tables = ops.pool_table_tensors(tables_from_rig(rig, view))
        self.runner = OnnxRunner.from_bytes(self._node_model().SerializeToString(), threads=threads)
        self.feeds = {
            name: tensor.numpy()
            for name, tensor in zip(NODE_INPUTS, (self.depth, self.feat, *self.tables), strict=True)
        }
        self.points = len(indices.ranks_depth)

    def bev_pool(self, depth: Tensor, feat: Tensor) -> Tensor:
        return ops.bev_pool(depth, feat, self.ranks)

    def index_add(self, depth: Tensor, feat: Tensor) -> Tensor:
        return ops.bev_pool_torch(depth, feat, self.long)

    def cumulative_sum(self, depth: Tensor, feat: Tensor) -> Tensor:
        pixels = feat.reshape(-1, self.channels).index_select(0, self.long.ranks_feat)  # [P, C]
        points = pixels * depth.reshape(-1).index_select(0, self.long.ranks_depth)[:, None]
        sums = SortedCumulativeSum.apply(points, self.last, self.run)  # [M, C]
        flat = feat.new_zeros(self.rows * self.columns, self.channels).index_copy(0, self.cells, sums)  # [Y*X, C]
        return self._folded(flat)

    def embedding_bag(self, depth: Tensor, feat: Tensor) -> Tensor:
        flat = F.embedding_bag(
            self.ranks.ranks_feat,
            feat.reshape(-1, self.channels),
            self.ranks.cell_offsets,
            mode="sum",
            per_sample_weights=depth.reshape(-1).index_select(0, self.ranks.ranks_depth),
            include_last_offset=True,
        )  # [Y*X, C]
        return self._folded(flat)

    def node(self, depth: Tensor, feat: Tensor) -> Tensor:
        return ops.bev_pool_node(depth, feat, self.tables)

    def onnx_node(self) -> np.ndarray:
        return self.runner.run(self.feeds)["bev"]

    def forward_contenders(self) -> dict[str, Callable[[], object]]:
        pools = {**self.pools(), "ops.bev_pool_node": self.node}
        contenders: dict[str, Callable[[], object]] = {name: self._forward(pool) for name, pool in pools.items()}
        return {**contenders, "node and body, ONNX Runtime": self.onnx_node}

    def backward_contenders(self) -> dict[str, Callable[[], object]]:
        return {name: self._forward_backward(pool) for name, pool in self.pools().items()}

    def pools(self) -> dict[str, Pool]:
        """Those with gradients; the first is the reference of the ratios."""
        return {
            "ops.bev_pool": self.bev_pool,
            "index_add_": self.index_add,
            "cumulative sum": self.cumulative_sum,
            "embedding_bag, autograd": self.embedding_bag,
        }

    def check(self) -> None:
        """Results and gradients of all contenders against float64.

        Raises:
            ArithmeticError: one of them computes something else.
        """
        exact = self._gradients(self.index_add, torch.float64)
        for name, pool in self.pools().items():
            rtol = RTOL_CUMSUM if pool == self.cumulative_sum else RTOL
            for what, got, want in zip(RESULTS, self._gradients(pool), exact, strict=True):
                _check_equal(f"{name}: {what}", got, want, rtol)
        _check_equal("ops.bev_pool_node", self.node(self.depth, self.feat), exact[0], RTOL)
        _check_equal("ONNX Runtime", torch.from_numpy(self.onnx_node()), exact[0], RTOL)

    def _gradients(self, pool: Pool, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
        depth, feat = (t.to(dtype, copy=True).requires_grad_() for t in (self.depth, self.feat))
        bev = pool(depth, feat)
        bev.backward(self.grad.to(dtype))
        assert depth.grad is not None and feat.grad is not None
        return bev.detach(), depth.grad, feat.grad

    def _forward(self, pool: Pool) -> Callable[[], object]:
        def run() -> Tensor:
            with torch.no_grad():
                return pool(self.depth, self.feat)

        return run

    def _forward_backward(self, pool: Pool) -> Callable[[], object]:
        depth, feat = self.depth.clone().requires_grad_(), self.feat.clone().requires_grad_()

        def run() -> None:
            depth.grad = feat.grad = None
            pool(depth, feat).backward(self.grad)

        return run

    def _folded(self, flat: Tensor) -> Tensor:
        """[Y*X, C] to [1, C, Y, X]."""
        return flat.reshape(1, self.rows, self.columns, -1).permute(0, 3, 1, 2)

    def _node_model(self) -> onnx.ModelProto:
        register_schema()
        floats = {"depth": self.depth, "feat": self.feat}
        tensors = dict(zip(NODE_INPUTS, (self.depth, self.feat, *self.tables), strict=True))
        inputs = [
            helper.make_tensor_value_info(
                name, TensorProto.FLOAT if name in floats else TensorProto.INT32, list(tensor.shape)
            )
            for name, tensor in tensors.items()
        ]
        shape = [1, self.channels, self.rows, self.columns]
        output = helper.make_tensor_value_info("bev", TensorProto.FLOAT, shape)
        node = helper.make_node(NODE, list(NODE_INPUTS), ["bev"], domain=DOMAIN)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, NODE_VERSION)]
        model = helper.make_model(helper.make_graph([node], "pool", inputs, [output]), opset_imports=opsets)
        model.ir_version = 10
        attach_body(model)
        return model


def compare(
    configs: Sequence[Config], turns: Turns, threads: int
) -> tuple[list[Comparison], list[Goal], dict[str, Any]]:
    """Times and goals of each config; results are checked before anything is timed."""
    comparisons, goals, points = [], [], {}
    for config in configs:
        work = Workload(config, threads)
        work.check()
        points[config.name] = work.points
        for what, contenders in (
            ("forward", work.forward_contenders()),
            ("forward and backward", work.backward_contenders()),
        ):
            times = side_by_side(f"config {config.name}, {what}", contenders, turns)
            comparisons.append(times)
            goals += [
                goal_of_ratio(times, other, "ops.bev_pool", SPEEDUP) for other in ("index_add_", "cumulative sum")
            ]
    first = configs[0]
    rig = surround_rig()
    times = side_by_side(
        f"config {first.name}, index tables of a rig, one core",
        {
            "indices_from_rig": lambda: indices_from_rig(rig, first.view),
            "tables_from_rig": lambda: tables_from_rig(rig, first.view),
        },
        turns,
    )
    comparisons.append(times)
    for name, bound_ms in (("indices_from_rig", INDICES_MS), ("tables_from_rig", TABLES_MS)):
        what = f"config {first.name}: {name}"
        goals.append(Goal(what, times.median_ms(name), bound_ms, at_least=False, unit="ms"))
    return comparisons, goals, {"points": points}


def _check_equal(what: str, got: Tensor, want: Tensor, rtol: float) -> None:
    error = float((got.double() - want).norm() / want.norm())
    if got.shape != want.shape or not error <= rtol:
        raise ArithmeticError(f"{what}: {tuple(got.shape)}, relative L2 {error:.1e} against float64, not {rtol:g}")


def main() -> None:
    parser = arguments_of_benchmark("BEVPool against index_add_, the cumulative sum and embedding_bag.", rounds=15)
    parser.add_argument("--threads", type=int, default=1, help="threads inside one operator")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    turns = Turns(rounds=options.rounds)
    before = machine_state()
    comparisons, goals, more = compare(CONFIGS, turns, options.threads)
    versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    document = document_of(
        "BEVPool", comparisons, goals, turns, options.threads, versions, (before, machine_state()), **more
    )
    publish(document, "bev_pool", options.json, options.markdown)


if __name__ == "__main__":
    main()
