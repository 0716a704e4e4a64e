"""Configs A to E on the GPU: inputs, plain ranks, tables and runs, in as many copies as it takes to leave the L2."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.bev_pool_cuda.libraries import ContenderCall
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry, indices_from_rig, surround_rig, tables_from_rig

GATHER, RUNS = 1, 2
"""Kernels as in plugins/bev_pool/kernels/bev_pool.h."""


@dataclass(frozen=True)
class Config:
    """A workload; the letters are those of the field's usual grids."""

    name: str
    view: ViewGeometry


def _config(
    name: str, half_m: float, cell_m: float, z_m: tuple[float, float], bin_m: float, feature_hw: tuple[int, int]
) -> Config:
    grid, bins = BEVGrid.centred(half_m, cell_m, z_m), DepthBins(1.0, 60.0, bin_m)
    return Config(name, ViewGeometry(grid, bins, (256, 704), feature_hw))


CONFIGS = (
    _config("A", 51.2, 0.8, (-5.0, 3.0), 0.5, (16, 44)),
    _config("B", 51.2, 0.8, (-5.0, 3.0), 1.0, (16, 44)),
    _config("C", 54.0, 0.6, (-10.0, 10.0), 1.0, (16, 44)),
    _config("D", 54.0, 0.6, (-10.0, 10.0), 0.5, (16, 44)),
    _config("E", 54.0, 0.3, (-10.0, 10.0), 0.5, (32, 88)),
)
"""A: 128 x 128 cells of 0.8 m, 118 bins; B: 59 bins; C: 180 x 180 of 0.6 m, 59 bins; D: 118 bins; E: 360 x 360 of 0.3
m, 118 bins, feature maps of 32 x 88."""


@dataclass
class Buffers:
    """One copy of inputs and output."""

    depth: Tensor
    feat: Tensor
    out: Tensor


class Workload:
    """A config at C channels in one dtype."""

    def __init__(self, config: Config, channels: int, dtype: torch.dtype, library: ctypes.CDLL) -> None:
        view, rig = config.view, surround_rig()
        self.view, self.channels, self.dtype = view, channels, dtype
        _, self.rows, self.columns = view.grid.shape_zyx
        cameras, (h, w), bins = len(rig.cameras), view.feature_hw, view.depth_bins.count
        indices, tables = indices_from_rig(rig, view), tables_from_rig(rig, view)
        generator = torch.Generator().manual_seed(0)
        depth = torch.randn(1, cameras, bins, h, w, generator=generator).softmax(2)
        feat = torch.randn(1, cameras, h, w, channels, generator=generator)
        ends = indices.interval_starts + indices.interval_lengths
        cells = indices.ranks_bev[indices.interval_starts]
        plain = {
            **{name: getattr(indices, name) for name in ("ranks_depth", "ranks_feat", "ranks_bev")},
            **{name: getattr(indices, name) for name in ("interval_starts", "interval_lengths")},
            "interval_triples": np.stack([indices.interval_starts, ends, cells], 1).astype(np.int32),
        }
        sizes = dict(cameras=cameras, bins=bins, height=h, width=w, channels=channels)
        counts = dict(zip(("row_count", "sum1_count", "sum2_count"), map(len, self._table_lines(tables)), strict=True))
        self.numbers: dict[str, int] = {
            "half": int(dtype == torch.float16),
            "rows": self.rows,
            "columns": self.columns,
            "points": len(indices.ranks_depth),
            "intervals": len(indices.interval_starts),
            **sizes,
            **counts,
        }
        runs = self._runs(library, tables.arrays())
        arrays = {**plain, **tables.arrays(), **runs}
        self.index: dict[str, Tensor] = {
            name: torch.from_numpy(np.ascontiguousarray(array).view(np.int32)).cuda() for name, array in arrays.items()
        }
        self.table_bytes = sum(array.nbytes for array in tables.arrays().values())
        self.run_bytes = sum(array.nbytes for array in runs.values())
        cells_of = self.rows * self.columns
        value = torch.finfo(dtype).bits // 8
        self.value_bytes = value * (depth.numel() + feat.numel() + cells_of * channels)
        copies = int(2 * torch.cuda.get_device_properties(0).L2_cache_size // self.value_bytes) + 2
        self.copies = [
            Buffers(
                depth.to("cuda", dtype),
                feat.to("cuda", dtype),
                torch.empty(cells_of * channels, device="cuda", dtype=dtype),
            )
            for _ in range(copies)
        ]
        offsets = np.searchsorted(indices.ranks_bev, np.arange(cells_of + 1)).astype(np.int32)
        self.offsets = torch.from_numpy(offsets).cuda()
        self.long = {name: self.index[name].long() for name in ("ranks_depth", "ranks_feat", "ranks_bev")}
        self.exact = self._index_add(depth.cuda().to(dtype).double(), feat.cuda().to(dtype).double())  # [Y*X, C]

    @staticmethod
    def _table_lines(tables: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return tables.row_depth, tables.sum1, tables.sum2

    def _runs(self, library: ctypes.CDLL, tables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        arrays = {name: np.ascontiguousarray(table) for name, table in tables.items()}
        call = ContenderCall(**self.numbers, **{name: array.ctypes.data for name, array in arrays.items()})
        groups, slots = ctypes.c_int32(), ctypes.c_int32()
        refused = library.pack(ctypes.byref(call), ctypes.byref(groups), ctypes.byref(slots))
        if refused is not None:
            raise RuntimeError(f"not packed: {refused.decode()}")
        self.numbers |= {"groups": groups.value, "slots": slots.value}
        shapes = {"words": groups.value * 4, "slot_start": slots.value + 1, "slot_info": slots.value}
        runs = {name: np.zeros(size, np.uint32) for name, size in shapes.items()}
        library.packed(*(ctypes.c_void_p(array.ctypes.data) for array in runs.values()))
        return runs

    def launcher(
        self, library: ctypes.CDLL, kernel: int = 0, channels_last: bool = False, line_cells: int = 0
    ) -> Callable[[Buffers], None]:
        """Launches a library's contender on the current stream."""
        index = {name: tensor.data_ptr() for name, tensor in self.index.items()}

        def launch(buffers: Buffers) -> None:
            call = ContenderCall(
                **self.numbers,
                **index,
                depth=buffers.depth.data_ptr(),
                feat=buffers.feat.data_ptr(),
                out=buffers.out.data_ptr(),
                kernel=kernel,
                channels_last=int(channels_last),
                line_cells=line_cells,
            )
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            status = library.contender(ctypes.byref(call), stream)
            if status != 0:
                raise RuntimeError(f"CUDA error {status}")

        return launch

    def index_add(self, buffers: Buffers) -> None:
        """As eager code has it, in float32 sums where torch's own are."""
        buffers.out.copy_(self._index_add(buffers.depth, buffers.feat).reshape(-1))

    def embedding_bag(self, buffers: Buffers) -> None:
        """One bag a cell, weighted by depth."""
        weights = buffers.depth.reshape(-1).index_select(0, self.index["ranks_depth"])
        table = buffers.feat.reshape(-1, self.channels)
        flat = F.embedding_bag(
            self.index["ranks_feat"],
            table,
            self.offsets,
            mode="sum",
            per_sample_weights=weights,
            include_last_offset=True,
        )
        buffers.out.copy_(flat.reshape(-1))

    def _index_add(self, depth: Tensor, feat: Tensor) -> Tensor:
        points = feat.reshape(-1, self.channels).index_select(0, self.long["ranks_feat"])  # [P, C]
        points = points * depth.reshape(-1).index_select(0, self.long["ranks_depth"])[:, None]
        flat = points.new_zeros(self.rows * self.columns, self.channels)
        return flat.index_add_(0, self.long["ranks_bev"], points)  # [Y*X, C]

    def error(self, buffers: Buffers, channels_last: bool) -> float:
        """Relative L2 of what was written."""
        flat = buffers.out.double()
        shaped = flat.reshape(-1, self.channels) if channels_last else flat.reshape(self.channels, -1).T
        return float((shaped - self.exact).norm() / self.exact.norm())
