"""Card, page and JSON of an evaluation say the same: headlines, what fell, on how many keyframes."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import Metric, Scores, difference
from bevdeploy.evaluate.metric import TASKS
from bevdeploy.report import html_from_page, jpeg_bytes
from bevdeploy.report.eval_card import eval_card
from bevdeploy.report.eval_page import eval_page
from bevdeploy.report.eval_report import EvalReport, Scored, ShownFrame, scores_of_document
from bevdeploy.report.metric_cells import TITLES

METRICS = (
    Metric("detection", "mAP", 0.2190, "share", "up", "devkit", 3393, None, True),
    Metric("detection", "mATE", 0.814, "m", "down", "devkit", 3393),
    Metric("detection", "AP car", 0.417, "share", "up", "devkit", 1913),
    Metric("detection", "AP bus", None, "share", "up", "devkit", 0, "the class never occurs in the true boxes"),
    Metric("map", "mean IoU", 0.40, "share", "up", "best of 7", 1000, None, True),
    Metric("planning", "L2 at 3 s", 1.65, "m", "down", "UniAD", 6, None, True),
)


def scores(metrics: tuple[Metric, ...] = METRICS, frames: int = 81) -> Scores:
    return Scores(metrics, frames, "digest", "mini_val", True)


def changed(**values: float | None) -> tuple[Metric, ...]:
    """The metrics with some values replaced, by the last word of their names."""
    made = []
    for metric in METRICS:
        key = metric.name.split()[-1]
        if key in values:
            reason = None if values[key] is not None else "gone"
            metric = replace(metric, value=values[key], reason=reason)
        made.append(metric)
    return tuple(made)


def report(theirs: tuple[Metric, ...] | None = None, floor: float = 0.2, **changes: object) -> EvalReport:
    other = None if theirs is None else Scored("other.pth", "student, fp32", scores(theirs))
    made = EvalReport(
        scored=Scored("s.onnx", "student, fp16", scores()),
        data="nuscenes_mini",
        version="v1.0-mini",
        split="mini_val",
        keyframes_of_split=81,
        without_images=0,
        against=other,
        difference=None if other is None else difference(other.scores, scores(), floor),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def card(made: EvalReport, width: int = 160) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(eval_card(made))
    return out.getvalue()


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.strip().startswith(name)]
    return line.split()


def test_the_tasks_are_those_of_the_evaluation() -> None:
    assert tuple(TITLES) == TASKS


def test_headlines_and_the_parts_of_detection_are_shown() -> None:
    text = card(report())
    assert row(text, "mAP") == ["mAP", "↑", "21.90", "%", "3,393", "devkit"]
    assert row(text, "mATE")[:4] == ["mATE", "↓", "0.814", "m"]
    assert row(text, "L2 at 3 s")[-2:] == ["6", "UniAD"]
    assert "AP car" not in text
    assert "2 more metrics, such as single classes" in text
    assert "\nscored on 81 of 81 keyframes of mini_val" in text
    assert "✓" not in text and "✗" not in text


def test_a_part_of_the_split_is_a_warning() -> None:
    text = card(report(keyframes_of_split=6019, without_images=5938, notes=("no map expansion",)))
    assert "! scored on 81 of 6019 keyframes of mini_val (5938 lack an image): not to be compared" in text
    assert "! no map expansion" in text


def test_a_fall_of_any_metric_is_shown_and_fails() -> None:
    """AP of one class is no headline, and still stands on the card once it fell; the error that shrank is better."""
    made = report(changed(mATE=0.9, car=0.45))
    assert [change.key for change in made.failures] == ["detection/AP car"]
    assert not made.passed
    text = card(made)
    assert row(text, "AP car") == ["AP", "car", "↑", "41.70", "%", "45.00", "%", "-3.30", "✗", "1,913", "devkit"]
    assert row(text, "mATE")[3:8] == ["m", "0.900", "m", "+8.60", "3,393"]
    verdict = "1 of 6 metrics worse than other.pth by more than 0.2 points: detection/AP car -3.30"
    assert made.verdict == verdict and f"✗ {verdict}" in text


def test_within_the_floor_nothing_is_said() -> None:
    theirs = changed(mAP=0.2190 + 0.0019, mATE=0.814 - 0.0019)
    made = report(theirs)
    assert made.passed
    assert made.verdict == "none of 5 metrics worse than other.pth by more than 0.2 points"
    assert row(card(made), "mAP")[6] == "-0.19"
    assert len(report(theirs, floor=0.1).failures) == 2
    assert row(card(report(changed(mAP=0.2190 + 1e-6))), "mAP")[6] == "0.00"


def test_a_value_that_is_lost_fails_and_a_new_one_does_not() -> None:
    ours = Scored("s.onnx", "student", scores(changed(mAP=None)))
    made = report(METRICS)
    lost = replace(made, scored=ours, difference=difference(scores(), ours.scores, 0.2))
    assert [change.verdict for change in lost.failures] == ["lost"]
    assert lost.verdict is not None and "detection/mAP lost" in lost.verdict
    assert report(changed(mAP=None)).passed


def test_no_metric_in_common_is_said() -> None:
    other = tuple(replace(metric, protocol="another") for metric in METRICS)
    assert report(other).verdict == "no metric in common with other.pth: nothing was compared"


def test_json_scores_can_be_read_back(tmp_path: Path) -> None:
    made = report(changed(car=0.5))
    document = json.loads(json.dumps(made.document()))
    assert scores_of_document(document, "a.json") == made.scored.scores
    assert scores_of_document(made.scored.scores.document(), "b.json") == made.scored.scores
    assert (document["passed"], document["verdict"], document["keyframes"]) == (False, made.verdict, 81)
    assert "passed" not in document["difference"], "an AP that fell fails the report; one document has one verdict"
    for damaged in ({}, {"format": "bevdeploy.eval/1"}, {"format": "bevdeploy.eval/1", "scores": 3}):
        with pytest.raises(DataSetError, match=r"c\.json"):
            scores_of_document(damaged, "c.json")


def test_the_page_has_every_metric_and_picture() -> None:
    pytest.importorskip("jinja2")
    image = pytest.importorskip("PIL.Image")
    picture = jpeg_bytes(image.fromarray(np.zeros((8, 8, 3), np.uint8)))
    shown = (ShownFrame("a", "best", 0.91, picture, "left true"), ShownFrame("b", "worst", 0.12, picture, "left true"))
    made = report(changed(car=0.5), shown=shown, score_meaning="what it means", notes=("a note",))
    page = html_from_page(eval_page(made))
    for metric in METRICS:
        assert metric.name in page
    assert page.count("data:image/jpeg") == 2
    for words in ("Best frame: 0.91", "Worst frame: 0.12", "what it means", "a note", "41.70 %", "-8.30"):
        assert words in page, words
    assert "the class never occurs in the true boxes" in page
    assert '<li class="verdict fail">' in page and made.coverage in page
    numeric = eval_page(report()).sections[1].table
    assert numeric is not None and numeric.numeric == (False, True, True, False)
    assert numeric.notes == "devkit."


def test_without_a_comparison_the_page_has_none() -> None:
    headings = [section.heading for section in eval_page(report()).sections]
    assert headings == ["In short", "Detection", "Map", "Planning"]
    assert [verdict.level for verdict in eval_page(report()).verdicts] == ["info"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_number_gives_way_on_a_narrow_terminal(width: int) -> None:
    text = io.StringIO()
    Console(file=text, width=width).print(eval_card(report()))
    for value in ("21.90 %", "0.814 m", "40.00 %", "1.650 m", "3,393"):
        assert value in text.getvalue(), f"{value} is gone at {width} columns"
