"""Taps are exact, change nothing, belong to one thread, and leave the module as it was."""

from __future__ import annotations

import copy
import threading
import time

import pytest
import torch

from bevdeploy.batch import StudentInputs
from bevdeploy.distill import StudentTaps, Taps, form_of_taps, student_form
from bevdeploy.distill.taps import FEATURES
from bevdeploy.errors import TrainingError
from bevdeploy.models import Student


def hooks(student: Student) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in student.modules())


@torch.no_grad()
def test_features_are_those_of_a_forward_written_out(student: Student, inputs: StudentInputs) -> None:
    student.eval()
    with StudentTaps(student) as tapping:
        outputs = student(inputs)
        taps = tapping.taps(outputs)
    features = student.image_encoder(inputs.images.flatten(0, 1))
    lift = student.view_transform.splat(*student.view_transform.lift(features, 6), inputs.pool)
    stages = [student.bev_encoder.stage1(lift)]
    stages.append(student.bev_encoder.stage2(stages[-1]))
    stages.append(student.bev_encoder.stage3(stages[-1]))
    for name, want in zip(FEATURES, [lift, *stages, outputs.bev], strict=True):
        assert torch.equal(taps.feature(name), want), name
    assert taps.outputs.keys() == set(outputs._fields) - {"bev_state"}
    assert taps.output("plans") is outputs.plans


def test_outputs_and_gradients_are_the_same_to_the_bit(student: Student, inputs: StudentInputs) -> None:
    twin = copy.deepcopy(student)
    plain = twin(inputs)
    with StudentTaps(student) as tapping:
        outputs = student(inputs)
        taps = tapping.taps(outputs)
    for ours, theirs in zip(outputs.present().values(), plain.present().values(), strict=True):
        assert torch.equal(ours, theirs)
    (gradient,) = torch.autograd.grad(outputs.heatmap.sum(), taps.feature("lift"), retain_graph=True)
    assert gradient.abs().sum() > 0, "the taps are part of the graph"
    plain.plans.sum().backward()
    outputs.plans.sum().backward()
    for ours, theirs in zip(student.parameters(), twin.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        assert ours.grad is None or torch.equal(ours.grad, theirs.grad)


def test_the_module_is_left_as_it_was(student: Student, inputs: StudentInputs) -> None:
    keys = list(student.state_dict())
    seen: list[str] = []
    own = student.bev_encoder.register_forward_hook(lambda *_: seen.append("own"))
    with pytest.raises(ZeroDivisionError), StudentTaps(student) as tapping:
        assert hooks(student) == 1 + len(FEATURES)
        tapping.taps(student(inputs))
        raise ZeroDivisionError
    assert hooks(student) == 1 and seen == ["own"]
    own.remove()
    assert list(student.state_dict()) == keys


def test_threads_do_not_see_each_other(student: Student, inputs: StudentInputs) -> None:
    """Two threads forward one student at the same time, over and over; each finds its own features."""
    student.eval()
    failures: list[str] = []
    barrier = threading.Barrier(2)
    batches = [inputs._replace(images=inputs.images * scale) for scale in (1.0, -0.5)]
    wanted = []
    with torch.no_grad():
        for batch in batches:
            with StudentTaps(student) as tapping:
                wanted.append(tapping.taps(student(batch)))

    @torch.no_grad()
    def work(index: int) -> None:
        barrier.wait()
        for _ in range(4):
            with StudentTaps(student) as tapping:
                outputs = student(batches[index])
                time.sleep(0.002 * index)
                taps = tapping.taps(outputs)
            for name in FEATURES:
                if not torch.equal(taps.feature(name), wanted[index].feature(name)):
                    failures.append(f"{index} {name}")

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and hooks(student) == 0


def test_the_form_is_that_of_the_taps(student: Student, tapped: Taps) -> None:
    spec = student.spec
    written, measured = student_form(student), form_of_taps(tapped, spec.geometry.grid, spec.tasks)
    assert written.features == measured.features and written.outputs == measured.outputs


def test_misuse_is_told(student: Student, tapped: Taps) -> None:
    tapping = StudentTaps(student)
    with pytest.raises(TrainingError, match="in use"), tapping as entered, entered:
        pass
    with pytest.raises(TrainingError, match="no forward has passed lift"), StudentTaps(student) as fresh:
        fresh.taps(None)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="no feature 'bev_s9' was tapped, there are lift"):
        tapped.feature("bev_s9")
    del student.bev_encoder.stage2
    with pytest.raises(TrainingError, match=r"no module 'bev_encoder\.stage2'"):
        StudentTaps(student)
