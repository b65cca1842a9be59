"""From records to a report, by hand sums."""

import math

import pytest
from explanation_records import make_image, make_text, summarize

from hf_anchornet.evaluation.tables import make_explainer_table


def test_a_report_has_agreement_faithfulness_and_cost_of_each_explainer():
    records = []
    for row, slower in ((0, 2), (1, 4), (2, 9)):
        records.append(make_text(row))
        records.append(make_text(row, "lime", 0.1 * slower, scores=[5.0, 0, 0, 0, 0, 0]))
    report = summarize(records)
    assert report["num_explained"] == 3
    assert report["accuracy"] == 1.0
    assert report["expected_calibration_error"] == pytest.approx(0.2)
    own, lime = report["explainers"]["evidence"], report["explainers"]["lime"]
    assert own["plausibility"]["pointing"] == 1.0
    assert lime["plausibility"]["pointing"] == 0.0
    faith = own["faithfulness"]["cut"]
    assert faith["comprehensiveness"] == pytest.approx((0.5 + 0.7) / 2)
    assert faith["sufficiency_by_bin"] == pytest.approx([0.0, -0.1])
    assert own["milliseconds"] == pytest.approx(100)
    assert lime["times_slower"] == pytest.approx(4)  # the middle of 2, 4 and 9
    assert own["peak_mib"] == 2.0


def test_smoothing_and_mass_reach_the_metrics():
    record = make_text(0, scores=[0.0, 0.0, 3.0, 0.0, 0.0, 1.0], spans=[[4, 13]])
    plain = summarize([record], mass=0.5)["explainers"]["evidence"]["plausibility"]
    smooth = summarize([record], smoothing=1.0)["explainers"]["evidence"]["plausibility"]
    assert plain["chosen_share"] == pytest.approx(1 / 6)
    assert smooth["chosen_share"] > plain["chosen_share"]


def test_without_human_spans_only_faithfulness_is_reported():
    blank = make_text(0)["text"].index(" ")
    for spans in ([], [[blank, blank + 1]]):
        row = summarize([make_text(0, spans=spans)])["explainers"]["evidence"]
        assert row["plausibility"] is None
        assert row["faithfulness"]["cut"]["comprehensiveness"] == pytest.approx(0.6)


def test_a_map_is_compared_with_boxes_in_pixels_of_the_image():
    other = make_image(1, boxes=[[60, 0, 80, 40]])
    report = summarize([make_image(0), other])["explainers"]["evidence"]["plausibility"]
    assert report["num_images"] == 2
    assert report["pointing"] == 1 / 2
    assert report["energy"] < 0.5  # at this size the cell is blurred beyond the box
    assert report["box_area"] == pytest.approx((1 / 32 + 1 / 4) / 2, abs=0.01)
    assert 0 < report["max_box_acc_v2"] <= 1 / 2


@pytest.mark.parametrize("make", [make_text, make_image])
def test_scores_that_are_no_numbers_are_refused_with_their_row(make):
    scores = make(5)["scores"]
    scores[0] = math.nan
    with pytest.raises(ValueError, match="`scores` of evidence must be finite, got nan in row 5"):
        summarize([make(5, scores=scores)])


def test_no_records_are_refused():
    with pytest.raises(ValueError, match="`records` must hold at least one example"):
        summarize([])


def test_costs_nobody_measured_are_none():
    row = summarize([make_text(0, "lime", peak_mib=None)])["explainers"]["lime"]
    assert (row["peak_mib"], row["times_slower"]) == (None, None)


def test_a_table_has_a_row_an_explainer():
    report = summarize([make_text(0), make_text(0, "integrated_gradients", 1.234, peak_mib=None)])
    head, _, own, other = make_explainer_table(report).splitlines()
    assert head.startswith("| explainer | token AUPRC | pointing | token-F1 | IoU-F1 |")
    assert own.startswith("| evidence | 1.000 | 1.000 |")
    assert own.endswith("| 0.600 / -0.050 | 100.0 | 2 | 1 |")
    assert other.endswith("| 1,234.0 | not measured | 12 |")


def test_a_table_of_images_has_what_images_have():
    table = make_explainer_table(summarize([make_image(0)]))
    assert "| energy in boxes | MaxBoxAccV2 |" in table
    assert "AUPRC" not in table


def test_a_table_without_marks_has_faithfulness_only():
    table = make_explainer_table(summarize([make_text(0, spans=[])]))
    assert table.startswith("| explainer | comprehensiveness / sufficiency, best words cut | ms |")
