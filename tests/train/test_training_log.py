"""The log: a line per row, terms that come and go, and what lies beyond a resumed step is cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bevdeploy.errors import OutputError
from bevdeploy.train.step_meter import StepMeter
from bevdeploy.train.training_log import StepRow, TrainingLog, read_log


def row(step: int, **terms: float) -> StepRow:
    return StepRow(step, step / 10, 1e-3, sum(terms.values()), terms, 2.0, 7.5, 0.1, 900.0)


def test_terms_that_come_later_get_their_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    log = TrainingLog(path, 0)
    assert path.read_text() == ""
    log.add(row(1, map=0.5))
    log.add(row(2, map=0.25))
    assert path.read_text().splitlines()[2].startswith("2,0.2,0.001,0.25,2,7.5,0.1,900,0.25")
    log.add(row(3, map=0.25, feature=1.0))
    log.add(row(4, feature=0.5))
    log.close()
    rows = read_log(path)
    assert [each.get("feature_loss") for each in rows] == [None, None, 1.0, 0.5]
    assert [each.get("map_loss") for each in rows] == [0.5, 0.25, 0.25, None]


def test_a_resumed_log_drops_what_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    log = TrainingLog(path, 0)
    for step in range(1, 6):
        log.add(row(step, map=1 / step))
    with path.open("a") as file:
        file.write("6,0.6,0.0")  # killed in the middle of a line
    again = TrainingLog(path, 3)
    again.add(row(4, map=9.0))
    assert [(each["step"], each["map_loss"]) for each in read_log(path)] == [
        (1, 1),
        (2, 0.5),
        (3, pytest.approx(1 / 3, rel=1e-5)),
        (4, 9),
    ]
    assert TrainingLog(path, 0).rows == [] and path.read_text() == ""


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("step,loss\nx,y\n")
    with pytest.raises(OutputError, match=r"a\.csv: cannot be read as a training log"):
        read_log(path)


def test_tensorboard_gets_every_value(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = TrainingLog(tmp_path / "a.csv", 0, tmp_path / "events")
    log.add(row(1, map=0.5))
    log.add(row(2, map=0.25))
    log.close()
    events = accumulator.EventAccumulator(str(tmp_path / "events")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("map_loss")] == [(1, 0.5), (2, 0.25)]
    assert set(events.Tags()["scalars"]) == set(row(1, map=1.0).columns()) - {"step"}


def test_rows_are_means_since_the_row_before() -> None:
    meter = StepMeter(4, 40, torch.device("cpu"))
    meter.add({"map": 1.0}, 2.0)
    meter.add({"map": 3.0, "feature": 5.0}, 4.0)
    with meter.loading():
        pass
    made = meter.row(2, 0.5)
    assert (made.terms, made.loss, made.gradient_norm) == ({"map": 2.0, "feature": 5.0}, 7.0, 3.0)
    assert (made.step, made.epoch, made.learning_rate) == (2, 0.2, 0.5)
    assert made.memory_mb > 50 and made.keyframes_per_s > 0 and 0 <= made.loading_share <= 1
    meter.add({"map": 8.0}, 1.0)
    assert meter.row(3, 0.5).terms == {"map": 8.0}
