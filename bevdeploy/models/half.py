"""Half precision: convolutions in float16, everything that names a place in float32.

What stays float32: normalisation of the images, index tables, box codes and their decoding, coordinates, camera
parameters and what is made of them, the BEV of an earlier frame until it is warped, the two query decoders and every
output. The depth distribution is float16, its weighted sums
are accumulated in float32.
"""

from __future__ import annotations

import copy

from torch import nn

from bevdeploy.errors import CheckpointError
from bevdeploy.models.student import Student

CAMERA_ENCODER = "view_transform.depth_context.camera"
"""Of camera-aware students; stays float32."""
HALF_MODULES = ("image_encoder", "view_transform", "bev_encoder", "detection", "map", "occupancy.layers")


def half_student(student: Student) -> Student:
    """A copy of a student whose convolutions are float16; for tracing, since few CPUs compute in it.

    Raises:
        CheckpointError: a weight lies beyond float16's range, or the student has other modules than `Student`.
    """
    half = copy.deepcopy(student)
    for name in HALF_MODULES:
        if getattr(half, name.split(".")[0], half) is None:
            continue  # a task that the student does not have
        try:
            module: nn.Module = half.get_submodule(name)
        except AttributeError as error:
            raise CheckpointError(
                f"{student.spec.name} has no module {name!r}: fp16 knows only the modules of bevdeploy's own students"
            ) from error
        for key, weight in module.state_dict().items():
            if weight.is_floating_point() and float(weight.abs().max()) > 65504:
                raise CheckpointError(f"{name}.{key} holds values beyond float16's range (65504); export fp32")
        module.half()
    if half.spec.camera_aware:
        half.get_submodule(CAMERA_ENCODER).float()
    return half
