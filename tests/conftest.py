"""Fixtures of all tests: random numbers, rigs, and the real calibration where its folder is present."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.geometry import BEVGrid, Camera, CameraRig, DepthBins, ViewGeometry, surround_rig
from bevdeploy.geometry.frames import compose, rotation_from_quaternion

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240917)


@pytest.fixture(scope="session")
def nuscenes_root() -> Path:
    """The nuScenes-format folder of real frames; it is not part of the repository."""
    root = Path(os.environ.get("BEVDEPLOY_TEST_DATA", REPOSITORY.parent / "shared" / "data")) / "nuscenes_mini"
    if not (root / "v1.0-mini" / "sample_data.json").is_file():
        pytest.skip(f"no real data at {root}; set BEVDEPLOY_TEST_DATA to the folder that holds nuscenes_mini")
    return root


@pytest.fixture(scope="session")
def real_rigs(nuscenes_root: Path) -> tuple[CameraRig, ...]:
    """The different six-camera rigs of the data set, in the order of its samples."""

    def table(name: str) -> list[dict]:
        return json.loads((nuscenes_root / "v1.0-mini" / f"{name}.json").read_text())

    sensors = {row["token"]: row["channel"] for row in table("sensor")}
    calibrations = {row["token"]: row for row in table("calibrated_sensor")}
    samples: dict[str, dict[str, Camera]] = {}
    for row in table("sample_data"):
        calibration = calibrations[row["calibrated_sensor_token"]]
        channel = sensors[calibration["sensor_token"]]
        if channel in surround_rig().names:
            ego_from_cam = compose(rotation_from_quaternion(calibration["rotation"]), calibration["translation"])
            camera = Camera(
                channel, row["width"], row["height"], np.array(calibration["camera_intrinsic"]), ego_from_cam
            )
            samples.setdefault(row["sample_token"], {})[channel] = camera
    complete = [cameras for cameras in samples.values() if len(cameras) == 6]
    rigs = [CameraRig(tuple(cameras[name] for name in surround_rig().names)) for cameras in complete]
    different: dict[str, CameraRig] = {}
    for rig in rigs:
        different.setdefault(rig.digest(), rig)
    return tuple(different.values())


@pytest.fixture(scope="session")
def config_a() -> ViewGeometry:
    """128 x 128 cells of 0.8 m, 118 depth bins of 0.5 m, images of 704 x 256 px."""
    return ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 60.0, 0.5), (256, 704), (16, 44))


@pytest.fixture
def small_rig() -> CameraRig:
    """Six cameras of 64 x 36 px."""
    return surround_rig(64, 36)


@pytest.fixture
def small_view() -> ViewGeometry:
    """A rectangular grid, 20 x 12 cells along x and y."""
    return ViewGeometry(
        BEVGrid((-20.0, -12.0, -5.0), (2.0, 2.0, 8.0), (20, 12, 1)), DepthBins(1.0, 25.0, 2.0), (16, 32), (4, 8)
    )


@pytest.fixture(scope="session")
def random_rig() -> Callable[[np.random.Generator, int], CameraRig]:
    """Rigs of any number of cameras, each with its own image size, focal length, position and direction."""

    def rig(rng: np.random.Generator, cameras: int) -> CameraRig:
        made = []
        for n in range(cameras):
            width, height = (int(size) for size in rng.integers(40, 400, 2))
            focal = rng.uniform(0.4, 1.5) * width
            K = np.array([[focal, 0, width * 0.5], [0, focal * 1.02, height * 0.5], [0, 0, 1]])
            turn = rotation_from_quaternion(rng.normal(size=4))
            made.append(Camera(f"CAM_{n}", width, height, K, compose(turn, rng.uniform(-2, 2, 3))))
        return CameraRig(tuple(made))

    return rig


@pytest.fixture(scope="session")
def random_view() -> Callable[[np.random.Generator], ViewGeometry]:
    """Rectangular grids of one to three layers, cells of unlike sides, images and feature maps of any proportion."""

    def view(rng: np.random.Generator) -> ViewGeometry:
        count = tuple(int(n) for n in rng.integers((3, 3, 1), (25, 25, 4)))
        cell_m = rng.uniform(0.5, 4, 2)
        size_m = np.array([*cell_m, rng.uniform(4, 10) / count[2]])
        centre_m = np.array([*rng.uniform(-5, 5, 2), 0.0])
        lower_m = tuple(float(v) for v in centre_m - size_m * count / 2)
        net_h, net_w = (int(n) for n in rng.integers(20, 200, 2))
        feature_h, feature_w = (int(n) for n in rng.integers(1, 6, 2))
        grid = BEVGrid(lower_m, tuple(float(v) for v in size_m), count)
        bins = DepthBins(1.0, float(rng.uniform(6, 25)), 2.0)
        return ViewGeometry(grid, bins, (net_h, net_w), (feature_h, feature_w))

    return view


@pytest.fixture(scope="session")
def synthetic_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up world as a nuScenes root: 2 scenes of 6 keyframes, images of 352 x 198 px, lidar, map, CAN bus."""
    pytest.importorskip("PIL", reason="Pillow is not installed")
    from bevdeploy.data.world import WorldOptions, write_world

    root = tmp_path_factory.mktemp("synthetic") / "world"
    write_world(root, WorldOptions(scenes=2, keyframes=6, width_px=352, height_px=198, sweeps=2))
    return root
