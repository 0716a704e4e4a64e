"""TaskObjective: supervised training on all five tasks and on depth. METHOD `none`, and the base of every distiller."""

from __future__ import annotations

import torch
from torch import Tensor

from bevdeploy.models import Student, StudentOutputs
from bevdeploy.models.heads.detection import cell_positions, gathered_codes
from bevdeploy.models.heads.outputs_of_heads import HasHeads
from bevdeploy.train.batch import TargetTensors, TrainBatch
from bevdeploy.train.box_loss import box_loss
from bevdeploy.train.depth_loss import depth_loss, tapped_depth
from bevdeploy.train.heatmap_loss import heatmap_loss
from bevdeploy.train.map_loss import map_loss
from bevdeploy.train.motion_loss import motion_loss
from bevdeploy.train.occupancy_loss import occupancy_loss
from bevdeploy.train.planning_loss import collision_loss, planning_loss
from bevdeploy.train.task_weights import TaskWeights


class TaskObjective:
    """The annotations alone."""

    def __init__(self, weights: TaskWeights) -> None:
        self.weights = weights

    def terms(self, student: Student, batch: TrainBatch) -> dict[str, Tensor]:
        """Weighted terms by the names of `TaskWeights`."""
        with tapped_depth(student) as depth_logits:
            outputs: StudentOutputs = student(batch.inputs(student.spec.ego_state))
        with torch.autocast(outputs.bev.device.type, enabled=False):
            return task_terms(student, outputs, depth_logits[0].float(), batch.targets, self.weights)


def task_terms(
    model: HasHeads, outputs: StudentOutputs, depth_logits: Tensor | None, targets: TargetTensors, weights: TaskWeights
) -> dict[str, Tensor]:
    """Weighted terms of a forward, of the tasks that the model has; terms of weight 0 are left out.

    Args:
        model: student or teacher whose outputs they are.
        outputs: of the batch.
        depth_logits: [B*N, D, Hf, Wf]; None for a model without cameras.
        targets: of the same batch; without lidar points there is no depth term.
        weights: of the terms.
    """
    terms: dict[str, Tensor] = {}
    if outputs.heatmap is not None and weights.heatmap:
        groups = [len(group) for group in model.spec.tasks.detection_tasks]
        terms["heatmap"] = weights.heatmap * heatmap_loss(outputs.heatmap, targets.heatmap, groups)
    if outputs.box_codes is not None and weights.boxes:
        terms["boxes"] = weights.boxes * box_loss(outputs.box_codes, targets.cells, targets.codes, targets.weights)
    if outputs.map_logits is not None and weights.map:
        terms["map"] = weights.map * map_loss(outputs.map_logits, targets.map_masks, targets.map_valid)
    if outputs.occupancy_logits is not None and weights.occupancy:
        terms["occupancy"] = weights.occupancy * occupancy_loss(
            outputs.occupancy_logits, targets.occupancy, targets.occupancy_valid
        )
    if outputs.trajectory_offsets is not None and outputs.trajectory_logits is not None:
        if weights.motion or weights.modes:
            positions_m = agent_positions_m(model, outputs)
            paths, modes = motion_loss(outputs.trajectory_offsets, outputs.trajectory_logits, positions_m, targets)
            terms |= {"motion": weights.motion * paths, "modes": weights.modes * modes}
    if outputs.plans is not None and weights.plan:
        terms["plan"] = weights.plan * planning_loss(outputs.plans, targets)
    if outputs.plans is not None and weights.collision:
        terms["collision"] = weights.collision * collision_loss(outputs.plans, targets)
    if depth_logits is not None and targets.depth_bins is not None and weights.depth:
        terms["depth"] = weights.depth * depth_loss(depth_logits, targets.depth_bins)
    return terms


def agent_positions_m(model: HasHeads, outputs: StudentOutputs) -> Tensor:
    """Centres [B, K, 2] of the model's own boxes, metres, without gradient."""
    heatmap, box_codes, agents = outputs.heatmap, outputs.box_codes, outputs.agents
    assert heatmap is not None and box_codes is not None and agents is not None
    rows, columns = heatmap.shape[-2:]
    codes = gathered_codes(box_codes.detach(), agents, model.group_of_class)  # [B, K, 10]
    cells = cell_positions(agents, codes, columns, rows)  # [B, K, 2]
    grid = model.spec.geometry.grid
    return cells * cells.new_tensor(grid.cell_m[:2]) + cells.new_tensor(grid.lower_m[:2])
