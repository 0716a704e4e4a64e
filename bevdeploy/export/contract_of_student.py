"""The contract of a student's graph: what goes in, what comes out, in which order and unit."""

from __future__ import annotations

from dataclasses import replace

from bevdeploy.export.deploy_graph import decoded_outputs
from bevdeploy.export.graph_inputs import extra_inputs
from bevdeploy.geometry import CameraRig, TableSizes, map_grid
from bevdeploy.geometry.camera_parameters import CAMERA_PARAMETERS
from bevdeploy.geometry.pool_tables import FAN_IN, ROW_POINTS, TABLE_NAMES
from bevdeploy.models import StudentSpec
from bevdeploy.models.heads.detection import CODES
from bevdeploy.models.outputs import dense_outputs
from bevdeploy.runtime.contract import Contract, IoMode, Preprocessing, StateSpec, TensorSpec
from bevdeploy.tasks import BOX_FIELDS, EGO_STATE, TaskSpec

KEYFRAMES_APART_S = 0.5
"""Time between the two frames of a temporal student in training: between keyframes of nuScenes."""
MAX_GAP_S = 1.0
"""A frame between may be missing; what is older has moved too far."""


def contract_of_student(
    spec: StudentSpec,
    rig: CameraRig,
    sizes: TableSizes,
    io: IoMode,
    preprocessing: Preprocessing,
) -> Contract:
    """The contract of a student exported for a rig's cameras and image size, with runtime geometry."""
    image = _frames_input(rig) if io == "frames" else _images_input(spec, rig)
    extra = _extra_inputs(spec, len(rig.cameras))
    return Contract(
        student=spec.name,
        io=io,
        geometry_mode="runtime",
        inputs=(image, *_table_inputs(spec, sizes), *(extra[name] for name in extra_inputs(spec))),
        outputs=_outputs(spec, io),
        cameras=rig.names,
        raw_hw=rig.image_hw,
        geometry=spec.geometry,
        table_sizes=sizes,
        tasks=spec.tasks,
        preprocessing=preprocessing,
        state=(_state(),) if spec.temporal else (),
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
    z, y, x = spec.geometry.pool_grid.shape_zyx
    return (
        TensorSpec("row_depth", (sizes.rows, ROW_POINTS), "int32", "index", "depth entry of each point of a row"),
        TensorSpec("row_feat", (sizes.rows, ROW_POINTS), "int32", "index", "feature pixel of each point of a row"),
        TensorSpec("sum1", (sizes.sums1, FAN_IN), "int32", "index", "rows that a first sum adds"),
        TensorSpec("sum2", (sizes.sums2, FAN_IN), "int32", "index", "first sums that a second sum adds"),
        TensorSpec("cell_row", (z * y, x), "int32", "index", "partial that is the whole BEV cell"),
    )


def _extra_inputs(spec: StudentSpec, cameras: int) -> dict[str, TensorSpec]:
    """All inputs besides images and tables that a student may have, by name."""
    inputs = (
        TensorSpec("ego_state", (1, EGO_STATE), "float32", "m/s, m/s2, rad/s", "velocity, acceleration, rotation rate"),
        TensorSpec(
            "camera_parameters",
            (1, cameras, CAMERA_PARAMETERS),
            "float32",
            "px, 1, m",
            "fx, fy, cx, cy of the network image; image augmentation [2, 3]; BEV augmentation xx, xy, yx, yy, zz; "
            "ego_from_cam [3, 4]; both augmentations are the identity",
        ),
        TensorSpec(
            "previous_bev", _state_shape(spec), "float32", "feature", "bev_state of an earlier frame; zeros first"
        ),
        TensorSpec("previous_from_current", (1, 2, 3), "float32", "1, m", "BEV plane now to BEV plane of previous_bev"),
    )
    return {each.name: each for each in inputs}


def _state() -> StateSpec:
    return StateSpec("bev_state", "previous_bev", "previous_from_current", KEYFRAMES_APART_S, MAX_GAP_S)


def _state_shape(spec: StudentSpec) -> tuple[int, ...]:
    _, rows, columns = spec.geometry.grid.shape_zyx
    return (1, spec.state_channels, rows, columns)


def _state_outputs(spec: StudentSpec) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec("bev_state", _state_shape(spec), "float32", "feature", "pooled BEV, previous_bev of a later frame"),
    )


def _outputs(spec: StudentSpec, io: IoMode) -> tuple[TensorSpec, ...]:
    """Those of the tasks that the student has."""
    temporal = spec.temporal
    names = decoded_outputs(spec.tasks, temporal) if io == "frames" else dense_outputs(spec.tasks, temporal)
    specs = _decoded_outputs(spec) if io == "frames" else _dense_outputs(spec)
    return tuple(each for each in (*specs, *_state_outputs(spec)) if each.name in names)


def _decoded_outputs(spec: StudentSpec) -> tuple[TensorSpec, ...]:
    tasks, k = spec.tasks, spec.tasks.detections
    _, map_rows, map_columns = map_grid(spec.geometry.grid, tasks).shape_zyx
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
            "map_probabilities",
            (len(tasks.map_classes), map_rows, map_columns),
            "float32",
            "probability",
            f"[class, Y, X]{_own_extent(tasks)}",
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
    _, map_rows, map_columns = map_grid(spec.geometry.grid, tasks).shape_zyx
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
        TensorSpec(
            "map_logits",
            (1, len(tasks.map_classes), map_rows, map_columns),
            "float32",
            "logit",
            f"map classes{_own_extent(tasks)}",
        ),
        TensorSpec("occupancy_logits", (1, len(tasks.occupancy_steps_s), side, side), "float32", "logit", "per step"),
        TensorSpec("agents", (1, k), "int32", "index", "class*Y*X + y*X + x of the highest peaks, best first"),
        TensorSpec("trajectory_offsets", motion, "float32", "m", "displacement of each step"),
        TensorSpec("trajectory_logits", motion[:3], "float32", "logit", "of each mode"),
        TensorSpec(
            "plans", (1, len(tasks.plan_commands), tasks.plan_steps, 2), "float32", "m", "ego positions per command"
        ),
    )


def _own_extent(tasks: TaskSpec) -> str:
    """Of a map with its own grid."""
    return "" if tasks.map_half_extent_m is None else f" over +-{tasks.map_half_extent_m:g} m"
