"""Numbers of JSON files as tables."""

from hf_anchornet.result_tables import join, make_ablation_table


def test_each_idea_has_a_row_with_both_accuracies():
    scores = {"localizer": 0.5, "classifier": 0.61234, "mean": 0.7}
    report = {
        "settings": {"ablation": {"max_tokens": 16}},
        "num_rows": 1200,
        "ideas": {"windows": scores, "sentences": scores | {"mean": 0.8}},
    }
    text = make_ablation_table(report)
    assert "16 tokens" in text
    assert "1,200 rows" in text
    assert "alone has\n0.5000." in text
    assert text.endswith("| windows | 0.6123 | 0.7000 |\n| sentences | 0.6123 | 0.8000 |\n")


def test_values_share_a_cell():
    assert join(["a", "b"]) == "a / b"
