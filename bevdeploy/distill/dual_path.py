"""Dual-path loss: teacher to assistant and assistant to student instead of teacher to student (BridgeTA's bound).

The published idea (arXiv 2508.09599); that the form is this one follows from Young's inequality. With
T - S = (T - A) + (A - S) and any eps > 0,

    |T - S|^2  <=  (1 + eps) |T - A|^2 + (1 + 1/eps) |A - S|^2,

with equality at A = (eps T + S) / (1 + eps). Divided by (1 + eps)^2 / eps the coefficients add up to 1.
"""

from __future__ import annotations

from torch import Tensor

EPS_RANGE = (0.1, 10.0)
"""Bounds of an adaptive eps: outside of them one path is all but switched off."""


def young_bound(teacher_assistant: Tensor, assistant_student: Tensor, eps: float | Tensor) -> Tensor:
    """The right side of the inequality, from the two squared distances."""
    return (1 + eps) * teacher_assistant + (1 + 1 / eps) * assistant_student


def dual_path(teacher_assistant: Tensor, assistant_student: Tensor, eps: float | Tensor) -> Tensor:
    """The bound with coefficients eps / (1 + eps) and 1 / (1 + eps), from the two squared distances."""
    towards_teacher, towards_student = coefficients(eps)
    return towards_teacher * teacher_assistant + towards_student * assistant_student


def coefficients(eps: float | Tensor) -> tuple[float | Tensor, float | Tensor]:
    """Weights of the teacher's and of the student's path."""
    return eps / (1 + eps), 1 / (1 + eps)


def tightest_eps(teacher_assistant: Tensor, assistant_student: Tensor) -> Tensor:
    """The eps with the smallest bound, |A - S| / |T - A|, within `EPS_RANGE`; no gradient passes it."""
    ratio = assistant_student.detach().clamp(min=1e-12) / teacher_assistant.detach().clamp(min=1e-12)
    return ratio.sqrt().clamp(*EPS_RANGE)
