"""Images and samples from a nuScenes root on one core, beside a plain Pillow loop; pixels are compared first.

The plain loop is how BEV training code usually reads an image: open, convert, bilinear resize (Pillow's, with
antialias), crop, to an array; augmented, it also flips and rotates (lift-splat-shoot, BEVDet), written here from that
description.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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
from bevdeploy.data.augment import Augmentation, draw_augmentation, net_from_image
from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import SampleIndex, open_index
from bevdeploy.data.network_images import fitted_image, warped_image
from bevdeploy.data.nuscenes import CAMERAS
from bevdeploy.data.samples import Samples, camera_pose
from bevdeploy.data.truth_of import truth_of
from bevdeploy.engines.machine import machine_state
from bevdeploy.geometry import BEVGrid, Camera, DepthBins, ImageTransform, ViewGeometry
from bevdeploy.geometry.ranks import indices_from_views
from bevdeploy.runtime.contract import Preprocessing
from bevdeploy.runtime.preprocess import images_from_frames
from bevdeploy.tasks import TaskSpec

VIEW = ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 60.0, 0.5), (256, 704), (16, 44))
ROOT = Path(os.environ.get("BEVDEPLOY_TEST_DATA", "../shared/data")) / "nuscenes_mini"
NO_SLOWER = 1.0


class Workload:
    """The six images of one keyframe, in the file system's cache."""

    def __init__(self, index: SampleIndex) -> None:
        self.samples = Samples(index, TaskSpec(), VIEW)
        self.augmented = Samples(index, TaskSpec(), VIEW, augmentation=Augmentation())
        self.keyframe = keyframe = self.samples.keyframes[0]
        self.index = index
        self.paths, self.cameras = [], []
        for column, name in enumerate(CAMERAS):
            height, width = (int(side) for side in index.arrays.image_hw[keyframe, column])
            pose = camera_pose(index, keyframe, column, True)
            self.cameras.append(Camera(name, width, height, np.array(index.arrays.K[keyframe, column]), pose))
            self.paths.append(index.root / index.arrays.image_path[keyframe, column].decode())
        self.draw = draw_augmentation(Augmentation(), (0,), len(CAMERAS))
        sample = self.samples[0]
        self.view = sample.view

    def fitted(self) -> list[np.ndarray]:
        return [fitted_image(path, camera, VIEW.net_hw) for path, camera in zip(self.paths, self.cameras, strict=True)]

    def warped(self) -> list[np.ndarray]:
        images = []
        for path, camera, draw in zip(self.paths, self.cameras, self.draw.images, strict=True):
            net_from_raw = net_from_image(draw, (camera.height_px, camera.width_px), VIEW.net_hw)
            images.append(warped_image(path, camera, net_from_raw, VIEW.net_hw))
        return images

    def plain(self) -> list[np.ndarray]:
        return [self._plain(path, camera) for path, camera in zip(self.paths, self.cameras, strict=True)]

    def plain_augmented(self) -> list[np.ndarray]:
        images = []
        for path, camera, draw in zip(self.paths, self.cameras, self.draw.images, strict=True):
            fit = ImageTransform.fit((camera.height_px, camera.width_px), VIEW.net_hw)
            height, width = (round(side * draw.scale) for side in fit.resized_hw)
            image = Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
            left, top = round(draw.shift * (width - VIEW.net_hw[1])), height - VIEW.net_hw[0]
            image = image.crop((left, top, left + VIEW.net_hw[1], top + VIEW.net_hw[0]))
            if draw.flip:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            images.append(np.asarray(image.rotate(-np.rad2deg(draw.rotation_rad))))
        return images

    def decoded_only(self) -> None:
        for path in self.paths:
            Image.open(path).load()

    def half_size(self) -> list[np.ndarray]:
        """Pillow's draft: the decoder itself halves the image, which changes its pixels."""
        images = []
        for path, camera in zip(self.paths, self.cameras, strict=True):
            image = Image.open(path)
            image.draft("RGB", (camera.width_px // 2, camera.height_px // 2))
            fit = ImageTransform.fit((camera.height_px, camera.width_px), VIEW.net_hw)
            reduced = image.convert("RGB").resize(fit.resized_hw[::-1], Image.Resampling.BILINEAR)
            images.append(self._cropped(reduced, fit))
        return images

    def deployed(self) -> np.ndarray:
        """[N, H, W, 3] as deployment resizes."""
        frames = [np.array(Image.open(path).convert("RGB")) for path in self.paths]
        plain = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        return images_from_frames(frames, VIEW.net_hw, plain)[0].transpose(0, 2, 3, 1)

    def check(self) -> dict[str, float]:
        """Mean difference to deployment's pixels, of 255.

        Raises:
            ArithmeticError: training's image is not deployment's, rounded.
        """
        want = self.deployed()
        if (np.stack(self.fitted()) != np.rint(want)).any():
            raise ArithmeticError("fitted_image: other pixels than deployment's")
        others = {"plain Pillow loop": self.plain(), "draft at half size": self.half_size()}
        return {name: float(np.abs(np.stack(images) - want).mean()) for name, images in others.items()}

    def _plain(self, path: Path, camera: Camera) -> np.ndarray:
        fit = ImageTransform.fit((camera.height_px, camera.width_px), VIEW.net_hw)
        return self._cropped(
            Image.open(path).convert("RGB").resize(fit.resized_hw[::-1], Image.Resampling.BILINEAR), fit
        )

    @staticmethod
    def _cropped(image: Image.Image, fit: ImageTransform) -> np.ndarray:
        top, left = fit.crop_yx
        return np.asarray(image.crop((left, top, left + fit.net_hw[1], top + fit.net_hw[0])))


def compare(work: Workload, turns: Turns) -> tuple[list[Comparison], list[Goal], dict[str, Any]]:
    """Times of six images and of whole samples; rates in images per second and core."""
    differences = work.check()
    images = side_by_side(
        "six images of 1600 x 900 px to 704 x 256",
        {
            "fitted_image": work.fitted,
            "plain Pillow loop": work.plain,
            "warped_image": work.warped,
            "plain Pillow loop, augmented": work.plain_augmented,
            "draft at half size, other pixels": work.half_size,
            "JPEG decoding alone": work.decoded_only,
        },
        turns,
    )
    parts: dict[str, Callable[[], object]] = {
        "sample": lambda: work.samples[0],
        "sample, augmented": lambda: work.augmented[0],
        "truth alone": lambda: truth_of(work.index, work.keyframe, TaskSpec(), VIEW.grid),
        "pool indices alone": lambda: indices_from_views(work.view.K, work.view.bev_from_cam, VIEW),
        "open the index": lambda: open_index(work.index.folder, root=work.index.root),
    }
    samples = side_by_side("one keyframe, six images, all truths", parts, turns)
    goals = [
        goal_of_ratio(images, "plain Pillow loop", "fitted_image", NO_SLOWER),
        goal_of_ratio(images, "plain Pillow loop, augmented", "warped_image", NO_SLOWER),
    ]
    rates = {name: 6e3 / images.median_ms(name) for name in images.times_ms}
    rates |= {name: 6e3 / samples.median_ms(name) for name in ("sample", "sample, augmented")}
    return [images, samples], goals, {"images_per_second_and_core": rates, "mean_pixel_difference": differences}


def main() -> None:
    parser = arguments_of_benchmark("Loading a nuScenes root beside a plain Pillow loop, on one core.", rounds=15)
    parser.add_argument("--root", type=Path, default=ROOT, help="nuScenes root with images")
    options = parser.parse_args()
    turns, before = Turns(rounds=options.rounds, calls=1), machine_state()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        index = open_index(build_index(options.root, out=Path(folder) / "index"), root=options.root)
        build_s = time.perf_counter() - began
        comparisons, goals, more = compare(Workload(index), turns)
    more |= {"index_build_s": build_s, "keyframes": len(index)}
    more["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    versions = {"pillow": Image.__version__}
    document = document_of("Data", comparisons, goals, turns, 1, versions, (before, machine_state()), **more)
    publish(document, "data", options.json, options.markdown)
    for name, rate in more["images_per_second_and_core"].items():
        print(f"{name}: {rate:.0f} images/s on one core")
    for name, difference in more["mean_pixel_difference"].items():
        print(f"{name}: {difference:.2f} of 255 from deployment's pixels on average")


if __name__ == "__main__":
    main()
