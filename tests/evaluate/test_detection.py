from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import DetectionScore, score_detection
from bevdeploy.evaluate.result_file import Row

Results = dict[str, list[Row]]


def test_a_perfect_detector_on_mini_val(database: Any, annotations_as_results: Results) -> None:
    score = score_detection(database, annotations_as_results, "mini_val")
    assert score.mean_ap == pytest.approx(0.7, abs=1e-9)  # seven of ten classes occur, each with AP 1
    assert score.nds == pytest.approx(0.706667, abs=5e-7)
    assert score.mean_ap_present == pytest.approx(1.0, abs=1e-12)
    assert score.complete and (score.samples, score.samples_of_split) == (81, 81)
    for name, errors in score.class_errors.items():
        assert all(value is None or value < 1e-7 for value in errors.values()), name
    absent = {name for name, by in score.ap.items() if by is None}
    assert absent == {"trailer", "construction_vehicle", "barrier"}


@pytest.fixture(scope="module")
def real_score(database: Any, real_detections: Path) -> DetectionScore:
    return score_detection(database, real_detections, "mini_val")


def test_a_real_detector_on_mini_val(real_score: DetectionScore) -> None:
    score = real_score
    assert score.mean_ap == pytest.approx(0.21900294044212032, abs=1e-9)
    assert score.nds == pytest.approx(0.2691458250371378, abs=1e-9)
    rows = {metric.key: metric for metric in score.metrics()}
    assert rows["detection/mAP"].value == score.mean_ap
    assert rows["detection/AP barrier"].value is None
    assert "never occurs" in (rows["detection/AP barrier"].reason or "")
    assert "all samples" in rows["detection/NDS"].protocol


def test_equal_to_the_devkits_own_run(
    database: Any, real_detections: Path, real_score: DetectionScore, tmp_path: Path
) -> None:
    import contextlib
    import io
    import warnings

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        from nuscenes.eval.common.config import config_factory
        from nuscenes.eval.detection.evaluate import DetectionEval

        config = config_factory("detection_cvpr_2019")
        metrics, _ = DetectionEval(
            database, config, str(real_detections), "mini_val", str(tmp_path), verbose=False
        ).evaluate()
    ours = real_score
    assert ours.mean_ap == pytest.approx(metrics.mean_ap, abs=1e-12)
    assert ours.nds == pytest.approx(metrics.nd_score, abs=1e-12)
    assert ours.errors == pytest.approx(metrics.tp_errors, abs=1e-12)
    for name, by_distance in ours.ap.items():
        for distance_m, ap in (by_distance or {}).items():
            assert ap == pytest.approx(metrics.get_label_ap(name, distance_m), abs=1e-12)
        for error, value in ours.class_errors[name].items():
            theirs = metrics.get_label_tp(name, error)
            assert value is None if np.isnan(theirs) or by_distance is None else value == pytest.approx(theirs)


def test_a_subset_is_scored_over_its_own_samples(database: Any, annotations_as_results: Results) -> None:
    some = dict(list(annotations_as_results.items())[3:6])
    score = score_detection(database, some, "mini_val")
    assert not score.complete
    assert (score.samples, score.samples_of_split) == (3, 81)
    assert score.mean_ap_present == pytest.approx(1.0, abs=1e-12)  # no miss in the samples that were not predicted
    assert "3 of 81 samples" in score.protocol
    assert score_detection(database, some).samples_of_split == 82


def one_car(database: Any, results: Results) -> tuple[str, Row]:
    """A sample and a car of it within range and alone within 10 m."""
    for token, rows in results.items():
        cars = [row for row in rows if row["detection_name"] == "car"]
        places = np.array([row["translation"][:2] for row in cars])
        sample = database.get("sample_data", database.get("sample", token)["data"]["LIDAR_TOP"])
        ego = np.array(database.get("ego_pose", sample["ego_pose_token"])["translation"][:2])
        for index, place in enumerate(places):
            others = np.delete(places, index, 0)
            if np.linalg.norm(place - ego) < 40 and (np.linalg.norm(others - place, axis=1) > 10).all():
                return token, cars[index]
    raise AssertionError("no lone car")


def test_a_misplaced_box_loses_the_distances_it_misses(database: Any, annotations_as_results: Results) -> None:
    """All cars of one sample right but one, 1.5 m off: found at 2 and 4 m, missed at 0.5 and 1 m."""
    token, car = one_car(database, annotations_as_results)
    rows = copy.deepcopy([row for row in annotations_as_results[token] if row["detection_name"] == "car"])
    moved = next(row for row in rows if row["translation"] == car["translation"])
    moved["translation"] = [car["translation"][0] + 1.5, *car["translation"][1:]]
    moved["detection_score"] = 0.5  # the last in the ranking
    ap = score_detection(database, {token: rows}).ap["car"]
    assert ap is not None
    assert ap[2.0] == ap[4.0] == pytest.approx(1.0)
    assert ap[0.5] == ap[1.0] < 1.0
    n = score_detection(database, {token: rows}).true_boxes["car"]
    # Over the 90 recalls 0.11 .. 1.00 precision is 1 below recall (n - 1) / n, (n - 1) / n at it, where the false box
    # comes, and 0 beyond; a precision p counts (p - 0.1) / 0.9.
    below = sum(recall * n < 100 * (n - 1) for recall in range(11, 101))
    at = sum(recall * n == 100 * (n - 1) for recall in range(11, 101))
    assert ap[0.5] == pytest.approx((below + at * ((n - 1) / n - 0.1) / 0.9) / 90, abs=1e-12)


def test_a_wrong_size_and_speed_show_in_their_errors(database: Any, annotations_as_results: Results) -> None:
    token, _ = one_car(database, annotations_as_results)
    rows = copy.deepcopy([row for row in annotations_as_results[token] if row["detection_name"] == "car"])
    for row in rows:
        row["size"] = [row["size"][0] * 2, *row["size"][1:]]
        row["attribute_name"] = "pedestrian.moving"
        row["velocity"] = [row["velocity"][0] + 3.0, row["velocity"][1] + 4.0]
    errors = score_detection(database, {token: rows}).class_errors["car"]
    assert errors["scale_err"] == pytest.approx(0.5)
    assert errors["attr_err"] == pytest.approx(1.0)
    assert errors["vel_err"] == pytest.approx(5.0)
    assert errors["trans_err"] == pytest.approx(0.0)


def test_no_boxes_at_all_score_nothing(database: Any, annotations_as_results: Results) -> None:
    score = score_detection(database, {token: [] for token in annotations_as_results}, "mini_val")
    assert (score.mean_ap, score.nds, score.boxes) == (0.0, 0.0, 0)
    assert score.errors["trans_err"] == 1.0


def test_without_true_boxes_nothing_can_be_said(
    database: Any, annotations_as_results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = next(iter(annotations_as_results))
    monkeypatch.setitem(database.get("sample", token), "anns", [])
    score = score_detection(database, {token: annotations_as_results[token]})
    assert (score.mean_ap, score.nds, score.mean_ap_present) == (None, None, None)
    assert all(metric.value is None and metric.reason for metric in score.metrics())


def test_what_cannot_be_scored_is_refused(database: Any, annotations_as_results: Results, tmp_path: Path) -> None:
    token, rows = next(iter(annotations_as_results.items()))
    with pytest.raises(DataSetError, match="not in the split 'mini_train'"):
        score_detection(database, {token: rows}, "mini_train")
    with pytest.raises(DataSetError, match="unknown split 'vall'"):
        score_detection(database, {token: rows}, "vall")
    with pytest.raises(DataSetError, match="no sample of the split 'test'"):
        score_detection(database, {token: rows}, "test")
    with pytest.raises(DataSetError, match="nothing can be scored"):
        score_detection(database, {})
    with pytest.raises(DataSetError, match="'x' is not in the data set"):
        score_detection(database, {"x": []})
    with pytest.raises(DataSetError, match="cannot be read"):
        score_detection(database, tmp_path / "none.json")


def test_damaged_tables_are_our_error(
    database: Any, annotations_as_results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = next(iter(annotations_as_results))
    monkeypatch.setitem(database.get("sample", token), "data", {})
    with pytest.raises(DataSetError, match="LIDAR_TOP"):
        score_detection(database, {token: annotations_as_results[token]})
