"""Planning: L2 error and collision rate at 1, 2 and 3 s, in the two protocols that must never share a column.

`at` is UniAD's: the error at the horizon, collisions with vehicles at the horizon. `avg` is ST-P3's and VAD's: the mean
over the steps up to the horizon, collisions with vehicles and pedestrians. One model has both: UniAD is 1.03 m in the
first and 0.69 m in the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate.footprints import EGO_CENTRE_M, Footprints, meets
from bevdeploy.evaluate.metric import Metric, mean_of, ratio
from bevdeploy.evaluate.motion import VEHICLES
from bevdeploy.tasks import TaskSpec

HORIZONS_S = (1.0, 2.0, 3.0)


@dataclass(frozen=True)
class Protocol:
    """How errors of steps become one number."""

    name: Literal["at", "avg"]
    source: str
    obstacles: tuple[str, ...]
    """Classes that the ego box may hit."""


AT = Protocol("at", "at the horizon, UniAD", VEHICLES)
AVG = Protocol("avg", "mean up to the horizon, ST-P3 and VAD", (*VEHICLES, "pedestrian"))
PROTOCOLS = (AT, AVG)


class PlanningScore:
    """Sums over frames, per step of the plan.

    A step counts where the true plan is valid; `avg` takes frames that are valid all the way to the horizon. For
    collisions, steps at which the true plan itself meets a box are left out: the box stands where the ego car went, so
    the cells or the annotation are too coarse. (ST-P3 and UniAD count such a step as a frame without collision.)
    """

    def __init__(self, tasks: TaskSpec, ego_centre_m: float = EGO_CENTRE_M) -> None:
        self.tasks = tasks
        self.ego_centre_m = ego_centre_m
        steps = tasks.plan_steps
        self.frames = {protocol.name: np.zeros(steps, np.int64) for protocol in PROTOCOLS}
        self.errors_m = {protocol.name: np.zeros(steps) for protocol in PROTOCOLS}
        self.checked = {protocol.name: np.zeros(steps, np.int64) for protocol in PROTOCOLS}
        self.collisions = {protocol.name: np.zeros(steps, np.int64) for protocol in PROTOCOLS}
        self.left_out = {protocol.name: np.zeros(steps, np.int64) for protocol in PROTOCOLS}

    def add(
        self,
        plan_m: NDArray[np.float32],
        true_plan_m: NDArray[np.float32],
        valid: NDArray[np.bool_],
        footprints: Footprints,
    ) -> None:
        """One frame; positions of the rear axle in the ego frame of its key time.

        Args:
            plan_m: [steps, 2] the plan of the command that was given.
            true_plan_m: [steps, 2].
            valid: [steps] where the true plan is known.
            footprints: true boxes at the same steps.

        Raises:
            DataSetError: a shape is not that of the tasks, or the plan is not finite.
        """
        steps = self.tasks.plan_steps
        shapes = plan_m.shape, true_plan_m.shape, valid.shape, footprints.rectangles.shape[:1]
        if shapes != ((steps, 2), (steps, 2), (steps,), (steps,)):
            raise DataSetError(
                f"planning: expected {steps} steps, got plan {shapes[0]}, true plan {shapes[1]}, valid {shapes[2]}, "
                f"footprints of {shapes[3][0]} steps"
            )
        if not np.isfinite(plan_m).all():
            raise DataSetError("planning: the plan is not finite; the network that made it overflows")
        plan, true = plan_m.astype(np.float64), true_plan_m.astype(np.float64)  # [steps, 2] each
        gaps_m = np.linalg.norm(plan - true, axis=1)  # [steps]
        whole = np.logical_and.accumulate(valid)  # [steps], valid all the way
        for protocol in PROTOCOLS:
            hit, own = self._hits(plan, true, footprints, protocol)  # [steps] each
            if protocol is AT:
                self._add(protocol, valid, gaps_m, valid & ~own, hit & valid & ~own, valid & own)
            else:
                until = np.arange(1, steps + 1)
                free, both, owns = ~own, hit & ~own, own
                self._add(
                    protocol,
                    whole,
                    gaps_m.cumsum() / until,
                    np.where(whole, free.cumsum(), 0),
                    np.where(whole, both.cumsum(), 0),
                    np.where(whole, owns.cumsum(), 0),
                )

    def _add(
        self,
        protocol: Protocol,
        counted: NDArray[np.bool_],
        errors_m: NDArray[np.float64],
        checked: NDArray[np.int64] | NDArray[np.bool_],
        collisions: NDArray[np.int64] | NDArray[np.bool_],
        left_out: NDArray[np.int64] | NDArray[np.bool_],
    ) -> None:
        self.frames[protocol.name] += counted
        self.errors_m[protocol.name] += np.where(counted, errors_m, 0.0)
        self.checked[protocol.name] += checked
        self.collisions[protocol.name] += collisions
        self.left_out[protocol.name] += left_out

    def _hits(
        self, plan: NDArray[np.float64], true: NDArray[np.float64], footprints: Footprints, protocol: Protocol
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Per step whether the plan, and whether the true plan, meets an obstacle of the protocol."""
        members = [index for index, name in enumerate(footprints.classes) if name in protocol.obstacles]
        obstacles = footprints.valid & np.isin(footprints.labels, members)  # [steps, n]
        standing = [boxes[there] for boxes, there in zip(footprints.rectangles, obstacles, strict=True)]
        hit = [meets(at, boxes, self.ego_centre_m) for at, boxes in zip(plan, standing, strict=True)]
        own = [meets(at, boxes, self.ego_centre_m) for at, boxes in zip(true, standing, strict=True)]
        return np.array(hit, np.bool_), np.array(own, np.bool_)

    def metrics(self) -> tuple[Metric, ...]:
        """For each protocol L2 and collision rate at each horizon, and their means over the horizons."""
        rows = []
        for protocol in PROTOCOLS:
            lengths = [self._l2(protocol, horizon_s) for horizon_s in HORIZONS_S]
            shares = [self._collision(protocol, horizon_s) for horizon_s in HORIZONS_S]
            for parts in (lengths, shares):
                rows += parts
                known = [part.value for part in parts if part.value is not None]
                whole = len(known) == len(parts)
                first = parts[0]
                what = first.name.split(" ")[0]
                rows.append(
                    Metric(
                        task="planning",
                        name=f"{what} {protocol.name} mean of {', '.join(f'{h:g}' for h in HORIZONS_S)} s",
                        value=mean_of(known) if whole else None,
                        unit=first.unit,
                        better="down",
                        protocol=first.protocol,
                        count=sum(part.count for part in parts),
                        reason=None if whole else next(part.reason for part in parts if part.value is None),
                        headline=True,
                    )
                )
        return tuple(rows)

    def _l2(self, protocol: Protocol, horizon_s: float) -> Metric:
        step = self._step(horizon_s)
        frames = 0 if step is None else int(self.frames[protocol.name][step])
        value = None if step is None else ratio(float(self.errors_m[protocol.name][step]), frames)
        reason = self._why(step, "no frame has a true plan so far") if value is None else None
        name = f"L2 {protocol.name} {horizon_s:g} s"
        return Metric("planning", name, value, "m", "down", protocol.source, frames, reason)

    def _collision(self, protocol: Protocol, horizon_s: float) -> Metric:
        step = self._step(horizon_s)
        checked = 0 if step is None else int(self.checked[protocol.name][step])
        value = None if step is None else ratio(int(self.collisions[protocol.name][step]), checked)
        reason = self._why(step, "no step without a box on the true plan") if value is None else None
        with_whom = "vehicles" if protocol is AT else "vehicles and pedestrians"
        what = f"{protocol.source}, ego box with {with_whom} in cells of 0.5 m"
        name = f"collision {protocol.name} {horizon_s:g} s"
        return Metric("planning", name, value, "share", "down", what, checked, reason)

    def _step(self, horizon_s: float) -> int | None:
        """Index of the step at a horizon; None beyond the plan."""
        step = round(horizon_s / self.tasks.step_s) - 1
        return step if 0 <= step < self.tasks.plan_steps else None

    def _why(self, step: int | None, otherwise: str) -> str:
        return f"the plan ends at {self.tasks.plan_steps * self.tasks.step_s:g} s" if step is None else otherwise
