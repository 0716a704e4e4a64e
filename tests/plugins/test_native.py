"""The native part of plugins/bev_pool on a machine without a GPU: its harness, and its arithmetic beside torch's.

The kernels' device functions are compiled for the host, so what runs here is the arithmetic of the kernels, not the
kernels. Headers of TensorRT are taken from the folder in TENSORRT_INCLUDE_DIR, where that is set.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from bevdeploy import ops
from bevdeploy.geometry import BEVGrid, CameraRig, DepthBins, TableSizes, ViewGeometry, surround_rig, tables_from_rig
from bevdeploy.geometry.pool_tables import PoolTables
from bevdeploy.ops.bev_pool_node import pool_table_tensors

SOURCES = Path(__file__).resolve().parents[2] / "plugins" / "bev_pool"
HEADERS = os.environ.get("TENSORRT_INCLUDE_DIR")
ARCHITECTURES = ("87", "90", "110")
KERNELS = {"reference": 0, "gather": 1, "runs": 2}
FP32, FP16 = 0, 1
RTOL = {FP32: 1e-6, FP16: 5e-4}
"""Relative L2 against float64: float32 sums of a thousand products; the rounding of a float16 output."""

needs_compiler = pytest.mark.skipif(
    not all(map(shutil.which, ("cmake", "g++", "make"))), reason="needs cmake, make and g++"
)
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")


def build(folder: Path, *options: str, targets: tuple[str, ...] = ()) -> None:
    """CMake project in `folder`; a warning fails it."""
    configure = ["cmake", "-S", str(SOURCES), "-B", str(folder), "-G", "Unix Makefiles", *options]
    make = ["cmake", "--build", str(folder), *(f"--target={target}" for target in targets)]
    for command in (configure, make):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def harness(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(folder / "tests" / "bev_pool_harness"), *arguments], capture_output=True, text=True)


def assert_passed(done: subprocess.CompletedProcess[str]) -> int:
    """Checks that were made."""
    counted = re.search(r"^(\d+) checks, (\d+) failed$", done.stdout, re.MULTILINE)
    assert done.returncode == 0 and counted, done.stdout[-3000:] + done.stderr[-3000:]
    assert int(counted[2]) == 0
    return int(counted[1])


@pytest.fixture(scope="module")
def host_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    build(folder, "-DBEVDEPLOY_CUDA=off", "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O1")
    return folder


@pytest.fixture(scope="module")
def emulation(host_build: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(host_build / "tests" / "libbev_pool_emulation.so"))
    library.bevdeploy_emulate.restype = ctypes.c_char_p
    return library


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def emulated(
    emulation: ctypes.CDLL,
    kernel: str,
    depth: np.ndarray,
    feat: np.ndarray,
    tables: PoolTables,
    out_vector: int = 1,
) -> np.ndarray:
    """[1, C, Y, X] float32 of depth [1, N, D, H, W] and feat [1, N, H, W, C], computed in their type."""
    (_, n, d, h, w), channels = depth.shape, feat.shape[-1]
    rows, columns = tables.cell_row.shape
    groups = -(-channels // out_vector)
    out = np.full((groups, rows, columns, out_vector), np.nan, depth.dtype)
    arrays = [np.ascontiguousarray(table) for table in tables.arrays().values()]
    refused = emulation.bevdeploy_emulate(
        KERNELS[kernel],
        FP32 if depth.dtype == np.float32 else FP16,
        (ctypes.c_int32 * 8)(1, n, d, h, w, channels, rows, columns),
        pointer(depth),
        pointer(feat),
        pointer(out),
        (ctypes.c_void_p * 5)(*(array.ctypes.data for array in arrays)),
        (ctypes.c_int32 * 3)(*(len(table) for table in arrays[:1] + arrays[2:4])),
        (ctypes.c_int32 * 3)(0, out_vector, 0),
    )
    assert refused is None, refused
    planes = out.transpose(0, 3, 1, 2).reshape(1, groups * out_vector, rows, columns)  # [1, C padded, Y, X]
    assert (planes[:, channels:] == 0).all()
    return planes[:, :channels].astype(np.float32)


def relative_l2(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want))


VIEWS = {
    "A, quarter": ViewGeometry(
        BEVGrid.centred(51.2, 1.6, (-5.0, 3.0)), DepthBins(1.0, 60.0, 1.0), (256, 704), (16, 44)
    ),
    "fine": ViewGeometry(BEVGrid.centred(20.4, 0.6, (-5.0, 3.0)), DepthBins(1.0, 30.0, 0.5), (128, 352), (8, 22)),
    "tall": ViewGeometry(
        BEVGrid((-20.0, -12.0, -5.0), (2.0, 2.0, 4.0), (20, 12, 2)), DepthBins(1.0, 25.0, 2.0), (64, 128), (4, 8)
    ),
}


@needs_compiler
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("storage", "out_vector"), [(FP32, 1), (FP32, 24), (FP16, 1), (FP16, 24), (FP16, 16)])
def test_kernels_equal_the_node_in_torch(
    emulation: ctypes.CDLL, kernel: str, view: str, storage: int, out_vector: int, rng: np.random.Generator
) -> None:
    geometry, rig, channels = VIEWS[view], surround_rig(), 24
    tables = tables_from_rig(rig, geometry)
    (h, w), dtype = geometry.feature_hw, np.float32 if storage == FP32 else np.float16
    shape = (1, len(rig.cameras), geometry.depth_bins.count, h, w)
    depth = torch.from_numpy(rng.normal(size=shape)).softmax(2).numpy().astype(dtype)
    feat = rng.normal(size=(*shape[:2], h, w, channels)).astype(dtype)
    exact = ops.bev_pool_node(
        torch.from_numpy(depth).double(), torch.from_numpy(feat).double(), pool_table_tensors(tables)
    ).numpy()
    got = emulated(emulation, kernel, depth, feat, tables, out_vector)
    assert relative_l2(got, exact) <= RTOL[storage]
    empty = tables.cell_row == 0
    assert empty.any() and (got[..., empty] == 0).all()


@needs_compiler
def test_kernels_agree_on_real_rigs(
    emulation: ctypes.CDLL, real_rigs: tuple[CameraRig, ...], config_a: ViewGeometry, rng: np.random.Generator
) -> None:
    """Real calibrations on config A, 16 channels."""
    depth = torch.from_numpy(rng.normal(size=(1, 6, 118, 16, 44))).softmax(2).numpy().astype(np.float32)
    feat = rng.normal(size=(1, 6, 16, 44, 16)).astype(np.float32)
    for rig in real_rigs[:2]:
        tables = tables_from_rig(rig, config_a)
        assert len(tables.sum2) > 1, "no cell of more than 128 points"
        exact = ops.bev_pool_node(
            torch.from_numpy(depth).double(), torch.from_numpy(feat).double(), pool_table_tensors(tables)
        ).numpy()
        for kernel in KERNELS:
            assert relative_l2(emulated(emulation, kernel, depth, feat, tables), exact) <= RTOL[FP32]


@needs_compiler
def test_tables_with_head_room_give_the_same_bits(emulation: ctypes.CDLL, rng: np.random.Generator) -> None:
    """Padding moves the numbers of the sums, not the order of additions."""
    geometry, rig = VIEWS["fine"], surround_rig()
    tight = tables_from_rig(rig, geometry)
    sizes = TableSizes(len(tight.row_depth) + 37, len(tight.sum1) + 5, len(tight.sum2) + 3)
    padded = tables_from_rig(rig, geometry, sizes)
    depth = rng.random((1, 6, geometry.depth_bins.count, 8, 22), np.float32)
    feat = rng.normal(size=(1, 6, 8, 22, 40)).astype(np.float32)
    for kernel in KERNELS:
        got = [emulated(emulation, kernel, depth, feat, tables) for tables in (tight, padded)]
        assert got[0].tobytes() == got[1].tobytes()


@needs_compiler
def test_half_numbers_round_as_numpy(emulation: ctypes.CDLL, rng: np.random.Generator) -> None:
    values = (rng.normal(size=200_000) * 10.0 ** rng.uniform(-9, 5, 200_000)).astype(np.float32)
    halves = np.empty(values.size, np.uint16)
    emulation.bevdeploy_half_from_float(pointer(values), pointer(halves), ctypes.c_int64(values.size))
    with np.errstate(over="ignore"):
        assert (halves == values.astype(np.float16).view(np.uint16)).all()
    back = np.empty(values.size, np.float32)
    emulation.bevdeploy_float_from_half(pointer(halves), pointer(back), ctypes.c_int64(values.size))
    assert back.tobytes() == halves.view(np.float16).astype(np.float32).tobytes()


@needs_compiler
def test_the_harness_passes(host_build: Path) -> None:
    assert assert_passed(harness(host_build)) > 15_000


@needs_compiler
def test_without_a_device_the_gpu_part_is_skipped_not_passed(host_build: Path) -> None:
    done = harness(host_build, "--gpu")
    assert (done.returncode, done.stdout) == (77, "skipped: this harness was built without CUDA\n")
    assert harness(host_build, "--nonsense").returncode == 2


MUTANTS = {
    "carries are not added": ("kernels/gather.h", "slot <= last; ++slot", "slot <= first; ++slot"),
    "a share loses a row": ("kernels/gather.h", "begin = slot * share < n", "begin = slot * share + 1 < n"),
    "second sums are not followed": ("kernels/gather.h", "if (line >= t.sums2) return 0;", "if (line < ~0u) return 0;"),
    "an empty slot has a weight": ("kernels/gather.h", ") : 0.f;\n    any", ") : 1.f;\n    any"),
    "empty cells are not written": ("kernels/gather.h", "if (cell >= op.out", "if (!s.count[i] || cell >= op.out"),
    "parts of a cell are dropped": ("kernels/emulate.cpp", "part < parts_of(infos[k])", "part < 1"),
    "the second bin is dropped": ("kernels/runs.h", "first[i] + second[i]", "first[i]"),
    "the camera is dropped": ("kernels/layouts.h", "by_plane.quotient(pixel) * (bins_plane - plane)", "0"),
}


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_harness_fails_on_a_mutant(mutant: str, tmp_path: Path) -> None:
    """A harness that passes everything would show nothing."""
    name, old, new = MUTANTS[mutant]
    copy = tmp_path / "bev_pool"
    shutil.copytree(SOURCES, copy)
    source = copy / name
    text = source.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{name} no longer has {old!r}"
    source.write_text(text.replace(old, new), encoding="utf-8")
    sources = [
        *(copy / "kernels" / f"{stem}.cpp" for stem in ("call_shape", "emulate", "pack_runs")),
        *(
            copy / "tests" / f"{stem}.cpp"
            for stem in ("harness", "kernel_checks", "problem", "adversarial", "no_gpu_checks", "no_plugin_checks")
        ),
    ]
    program = tmp_path / "harness"
    subprocess.run(["g++", "-std=c++17", "-O1", "-w", *map(str, sources), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True)
    assert done.returncode != 0


@needs_compiler
@pytest.mark.slow
def test_the_harness_passes_under_sanitizers(tmp_path: Path) -> None:
    """Addresses inside a block's memory too: no test of values sees a read that is thrown away."""
    headers = (f"-DTENSORRT_INCLUDE_DIR={HEADERS}",) if HEADERS else ()
    build(
        tmp_path, "-DBEVDEPLOY_CUDA=off", "-DBEVDEPLOY_SANITIZE=address,undefined", "-DCMAKE_BUILD_TYPE=Debug", *headers
    )
    assert_passed(harness(tmp_path))


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile_without_warnings_or_spills(architecture: str) -> None:
    known = subprocess.run(["nvcc", "--list-gpu-arch"], capture_output=True, text=True).stdout
    if f"compute_{architecture}" not in known:
        pytest.skip(f"this nvcc does not know sm_{architecture}")
    done = subprocess.run([str(SOURCES / "ptxas_check.sh"), architecture], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^sm_{architecture} +34 kernels, 0 with spills$", done.stdout, re.MULTILINE), done.stdout


@needs_compiler
@needs_nvcc
@pytest.mark.slow
@pytest.mark.skipif(HEADERS is None, reason="set TENSORRT_INCLUDE_DIR to the folder of NvInfer.h")
def test_the_plugin_library_needs_no_tensorrt_and_exports_two_functions(tmp_path: Path) -> None:
    build(tmp_path, "-DBEVDEPLOY_CUDA=on", "-DCMAKE_CUDA_ARCHITECTURES=87-real", f"-DTENSORRT_INCLUDE_DIR={HEADERS}")
    library = tmp_path / "libbevdeploy_bev_pool.so"

    def symbols(which: str) -> set[str]:
        listed = subprocess.run(["nm", "-D", which, str(library)], capture_output=True, text=True, check=True)
        return {line.split()[-1] for line in listed.stdout.splitlines()}

    assert symbols("--defined-only") == {"getCreators", "setLoggerFinder"}
    assert not {name for name in symbols("--undefined-only") if "nvinfer" in name or "TensorRT" in name}
    linked = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=True).stdout
    assert "nvinfer" not in linked and "libcuda" not in linked
    assert assert_passed(harness(tmp_path, "--plugin", str(library))) > 25_000

    rtx = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    logger = rtx.Logger(rtx.Logger.ERROR)
    assert logger is not None
    registry = rtx.get_plugin_registry()
    registry.load_library(str(library))
    made = [(c.plugin_version, c.plugin_namespace) for c in registry.all_creators if c.name == "BevPool"]
    assert sorted(made) == [("1", ""), ("1", "bevdeploy")]
