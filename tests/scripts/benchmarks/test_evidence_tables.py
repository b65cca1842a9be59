"""What explainers are worth, in Markdown."""

from scripts.benchmarks.evidence_tables import (
    describe_explainers,
    make_evidence_table,
    make_retrieval_table,
    make_weight_table,
)


def make_row(score, slower, name="token_auprc"):
    return {
        "plausibility": {"pointing": 0.75, name: score},
        "faithfulness": {
            "cut": {"comprehensiveness": 0.5, "sufficiency": 0.25},
            "blur": {"comprehensiveness": 0.125, "sufficiency": 0.0},
        },
        "milliseconds": 12.5,
        "peak_mib": 3.0,
        "times_slower": slower,
    }


REPORT = {
    "num_explained": 1200,
    "explainers": {
        "evidence": make_row(0.5, 1.0),
        "refined_evidence": make_row(0.6, 2.5),
        "lime": make_row(0.375, 170.0),
        "integrated_gradients": make_row(0.4, 65.0),
        "random": make_row(0.1, 0.5),
    },
}


def test_a_set_has_one_row_with_the_best_other_explainer():
    alone = {"explainers": {"evidence": make_row(0.3, 1.0, "energy")}}
    linear = {
        name: {"explainers": {"evidence": make_row(score, 1.0)}}
        for name, score in (("nb_lr", 0.41), ("tfidf_svm", 0.4))
    }
    table = make_evidence_table({"reviews": REPORT, "photos": alone}, {"reviews": linear})
    assert table.splitlines()[2:] == [
        "| reviews | 0.750 | 0.500 | 0.600 | 0.400 (integrated gradients) "
        "| 0.750 / 0.410 (NB-LR) | 0.100 | 0.500 / 0.250 | 65 / 170 |",
        "| photos | 0.750 | 0.300 | not measured | not measured | not measured | not measured "
        "| 0.500 / 0.250 | not measured |",
    ]


def test_a_section_has_a_table_for_each_model():
    page = describe_explainers("reviews", {"the localizer": REPORT, "MiniLM-L6": REPORT})
    assert page.startswith("\n## Explanations: reviews\n\nOf the localizer, 1,200 examples")
    assert page.count("| integrated gradients | 0.400 | 0.750 |") == 2
    assert "| 0.500 / 0.250 | 0.125 / 0.000 | 12.5 | 3 | 170 |" in page


def test_contracts_have_numbers_for_any_and_for_half_of_a_clause():
    rates = {"evidence": 0.8, "random": 0.1, "head": 0.05}
    report = {
        "settings": {"retrieval": {"top_k": 3}},
        "num_documents": 36,
        "hit_rate": rates,
        "half_hit_rate": rates | {"evidence": 0.75},
    }
    assert make_retrieval_table(report).splitlines()[2:] == [
        "| a clause among the best 3 (half of it in one of them) | 0.800 (0.750) "
        "| 0.100 (0.100) | 0.050 (0.050) |",
    ]


def test_weights_of_a_linear_model_are_rows_with_the_chosen_one_beside_what_was_learned():
    agreement = {"raw_pointing": 0.7, "raw_token_auprc": 0.4, "pointing": 0.5, "token_auprc": 0.2}
    sets = {"a": {"evidence": agreement, "refined_evidence": agreement}}
    scores = {"accuracy": 0.9, "ngrams": 0.8, "loss": 0.25, "sets": sets}
    weights = {
        "0.5": scores | {"weight": 0.5, "learned_weight": 1.0},
        "chosen": scores | {"weight": 0.6, "learned_weight": 0.5},
    }
    table = make_weight_table({"weights": weights})
    row = "0.9000 | 0.8000 | 0.2500 | 0.700 / 0.400 / 0.200 / 0.400 |"
    assert f"| 0.5 | {row}" in table
    assert f"| chosen (1.20) | {row}" in table


def test_a_cascade_adds_a_column_for_its_own_answer_with_intervals():
    answer = make_row(0.55, 4.0) | {
        "intervals": {"plausibility": {"pointing": [0.7, 0.8], "token_auprc": [0.5, 0.625]}}
    }
    cascades = {"reviews": {"explainers": {"answer": answer}}}
    alone = {"explainers": {"evidence": make_row(0.3, 1.0, "energy")}}
    table = make_evidence_table({"reviews": REPORT, "photos": alone}, {}, cascades).splitlines()
    assert table[0].endswith("| the cascade's own answer: pointing / AUPRC or energy |")
    assert table[2].endswith("| 0.750 (0.700 to 0.800) / 0.550 (0.500 to 0.625) |")
    assert table[3].endswith("| not measured |")
