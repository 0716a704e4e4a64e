"""The contract of a student's graph: what goes in, what comes out, in which order and unit."""

from __future__ import annotations

from dataclasses import replace

from bevdeploy.export.deploy_graph import decoded_outputs
from bevdeploy.geometry import CameraRig, TableSizes
from bevdeploy.geometry.pool_tables import FAN_IN, ROW_POINTS, TABLE_NAMES
from bevdeploy.models import StudentSpec
from bevdeploy.models.heads.detection import CODES
from bevdeploy.models.outputs import dense_outputs
from bevdeploy.runtime.contract import Contract, IoMode, Preprocessing, TensorSpec
from bevdeploy.tasks import BOX_FIELDS, EGO_STATE


def contract_of_student(
    spec: StudentSpec,
    rig: CameraRig,
    sizes: TableSizes,
    io: IoMode,
    preprocessing: Preprocessing,
) -> Contract:
    """The contract of a student exported for a rig's cameras and image size, with runtime geometry."""
    image = _frames_input(rig) if io == "frames" else _images_input(spec, rig)
    ego = (_ego_input(),) if spec.ego_state else ()
    return Contract(
        student=spec.name,
        io=io,
        geometry_mode="runtime",
        inputs=(image, *_table_inputs(spec, sizes), *ego),
        outputs=_outputs(spec, io),
        cameras=rig.names,
        raw_hw=rig.image_hw,
        geometry=spec.geometry,
        table_sizes=sizes,
        tasks=spec.tasks,
        preprocessing=preprocessing,
    )


def baked_contract(runtime: Contract, rig: CameraRig) -> Contract:
    """The same contract with the rig's tables inside the graph."""
    inputs = tuple(spec for spec in runtime.inputs if spec.name not in TABLE_NAMES)
    return replace(runtime, geometry_mode="baked", inputs=inputs, rig_digest=rig.digest())


def _frames_input(rig: CameraRig) -> TensorSpec:
    shape = (len(rig.cameras), *rig.image_hw, 3)
    return TensorSpec("frames", shape, "uint8", "RGB, 0..255", "raw camera frames in the order of `cameras`")


def _images_input(spec: StudentSpec, rig: CameraRig) -> TensorSpec:
    shape = (1, len(rig.cameras), 3, *spec.geometry.net_hw)
    return TensorSpec("images", shape, "float32", "(RGB - mean) / std", "resized, cropped, normalised images")


def _table_inputs(spec: StudentSpec, sizes: TableSizes) -> tuple[TensorSpec, ...]:
    z, y, x = spec.geometry.grid.shape_zyx
    return (
        TensorSpec("row_depth", (sizes.rows, ROW_POINTS), "int32", "index", "depth entry of each point of a row"),
        TensorSpec("row_feat", (sizes.rows, ROW_POINTS), "int32", "index", "feature pixel of each point of a row"),
        TensorSpec("sum1", (sizes.sums1, FAN_IN), "int32", "index", "rows that a first sum adds"),
        TensorSpec("sum2", (sizes.sums2, FAN_IN), "int32", "index", "first sums that a second sum adds"),
        TensorSpec("cell_row", (z * y, x), "int32", "index", "partial that is the whole BEV cell"),
    )


def _ego_input() -> TensorSpec:
    return TensorSpec(
        "ego_state", (1, EGO_STATE), "float32", "m/s, m/s2, rad/s", "velocity, acceleration, rotation rate"
    )


def _outputs(spec: StudentSpec, io: IoMode) -> tuple[TensorSpec, ...]:
    """Those of the tasks that the student has."""
    names = decoded_outputs(spec.tasks) if io == "frames" else dense_outputs(spec.tasks)
    specs = _decoded_outputs(spec) if io == "frames" else _dense_outputs(spec)
    return tuple(each for each in specs if each.name in names)


def _decoded_outputs(spec: StudentSpec) -> tuple[TensorSpec, ...]:
    tasks, k = spec.tasks, spec.tasks.detections
    _, rows, columns = spec.geometry.grid.shape_zyx
    side = tasks.occupancy_side
    motion = (k, tasks.motion_modes, tasks.motion_steps, 2)
    return (
        TensorSpec("boxes", (k, len(BOX_FIELDS)), "float32", "m, rad, m/s", f"{', '.join(BOX_FIELDS)}; ego frame"),
        TensorSpec("scores", (k,), "float32", "probability", "best first"),
        TensorSpec("labels", (k,), "int32", "class", f"index into {', '.join(tasks.classes)}"),
        TensorSpec("cells", (k,), "int32", "index", "BEV cell y * X + x of the class centre"),
        TensorSpec("trajectories", motion, "float32", "m", "positions x, y of each mode and step; ego frame"),
        TensorSpec("trajectory_probabilities", motion[:2], "float32", "probability", "of each mode"),
        TensorSpec(
            "map_probabilities", (len(tasks.map_classes), rows, columns), "float32", "probability", "[class, Y, X]"
        ),
        TensorSpec(
            "occupancy_probabilities",
            (len(tasks.occupancy_steps_s), side, side),
            "float32",
            "probability",
            f"[step, y, x] over +-{tasks.occupancy_half_extent_m:g} m",
        ),
        TensorSpec(
            "plans", (len(tasks.plan_commands), tasks.plan_steps, 2), "float32", "m", "ego positions per command"
        ),
    )


def _dense_outputs(spec: StudentSpec) -> tuple[TensorSpec, ...]:
    tasks, k = spec.tasks, spec.tasks.detections
    _, rows, columns = spec.geometry.grid.shape_zyx
    groups, side = len(tasks.detection_tasks), tasks.occupancy_side
    bev = (1, spec.bev_channels, rows, columns)
    motion = (1, k, tasks.motion_modes, tasks.motion_steps, 2)
    return (
        TensorSpec("bev", bev, "float32", "feature", "shared BEV features [B, C, Y, X]"),
        TensorSpec("heatmap", (1, len(tasks.classes), rows, columns), "float32", "logit", "class centres"),
        TensorSpec(
            "box_codes",
            (1, groups, CODES, rows, columns),
            "float32",
            "cells, m, log m, m/s",
            "offset x, y; z; log width, length, height; sin, cos of yaw; velocity x, y; per class group",
        ),
        TensorSpec("map_logits", (1, len(tasks.map_classes), rows, columns), "float32", "logit", "map classes"),
        TensorSpec("occupancy_logits", (1, len(tasks.occupancy_steps_s), side, side), "float32", "logit", "per step"),
        TensorSpec("agents", (1, k), "int32", "index", "class*Y*X + y*X + x of the highest peaks, best first"),
        TensorSpec("trajectory_offsets", motion, "float32", "m", "displacement of each step"),
        TensorSpec("trajectory_logits", motion[:3], "float32", "logit", "of each mode"),
        TensorSpec(
            "plans", (1, len(tasks.plan_commands), tasks.plan_steps, 2), "float32", "m", "ego positions per command"
        ),
    )
