"""Numbers of JSON files as tables."""

from scripts.benchmarks.result_tables import (
    describe_pointing,
    join,
    make_ablation_table,
    make_builds_table,
    make_few_labels_table,
    make_int8_table,
    make_speed_table,
    make_starts_table,
    make_ways_table,
)


def make_row(accuracy, multiply_adds, *speed_ups):
    times = [
        {"threads": threads, "speed_up": {"median": ratio}}
        for ratio in speed_ups
        for threads in (1, 0)
    ]
    return {"accuracy": accuracy, "multiply_adds": multiply_adds, "times": times}


def test_each_cascade_has_a_row_with_what_it_gives_and_takes():
    methods = {
        "full": make_row(0.9, 40e6, 1.0, 1.0),
        "windows": make_row(0.95, 80e6, 0.5, 0.5),
        "localizer": make_row(0.85, 1e6, 30.0, 40.0),
        "head": make_row(0.7, 4e6, 2.0, 3.0),
        "head_and_tail": make_row(0.8, 4e6, 2.0, 3.0),
        "tfidf": make_row(0.99, 81e6, 2.0, 3.0),  # no control: it costs more
        "cascade": make_row(0.91, 8e6, 7.0, 9.0),
    }
    rivals = {"nb_lr": make_row(0.905, None, 90.0, 90.0), "tfidf_svm": make_row(0.92, None, 80.0)}
    quick = methods | rivals | {"quick_cascade": make_row(0.89, 5e6, 11.0, 12.0)}
    reports = {
        "reviews": {"methods": quick, "settings": {"baseline": "full"}},
        "letters": {"methods": methods, "settings": {"baseline": "windows"}},
        "photos": {
            "methods": {name: methods[name] for name in ("full", "localizer", "cascade")},
            "settings": {"baseline": "full"},
        },
    }
    fast = {"letters": {"methods": {"cascade": make_row(None, None, 2.0, 3.0)}}}
    best = "0.800 (head and tail)"
    linear = "0.920 (TF-IDF SVM)"
    assert make_speed_table(reports, fast).splitlines()[2:] == [
        f"| reviews | 0.900 | 0.910 | 0.850 | {best} | {linear} | 8.0 of 40.0 | 7.0 / 9.0 "
        "| not measured |",
        f"| reviews, quick | 0.900 | 0.890 | 0.850 | {best} | {linear} | 5.0 of 40.0 "
        "| 11.0 / 12.0 | not measured |",
        f"| letters | 0.950 | 0.910 | 0.850 | {best} | not measured | 8.0 of 80.0 | 7.0 / 9.0 "
        "| 2.0 / 3.0 |",
        "| photos | 0.900 | 0.910 | 0.850 | not measured | not measured | 8.0 of 40.0 "
        "| 7.0 / 9.0 | not measured |",
    ]


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


def test_weights_in_8_bits_are_compared_with_float32():
    report = {
        "num_rows": 1000,
        "split": "validation",
        "bytes": 5_569_341,
        "accuracy": {"model": 0.901, "graph": 0.903},
        "same_label": 0.998,
    }
    assert make_int8_table({"reviews": report}).splitlines()[2] == (
        "| reviews, 1,000 rows of validation | 0.9010 | 0.9030 | 0.9980 | 5.6 |"
    )


def test_ways_to_count_have_their_accuracy_on_each_set():
    way = {"accuracy": 0.91, "ngrams": 1234, "megabytes": 5.67}
    reports = {"reviews": {"ways": {"words": way}}, "news": {"ways": {"words": way}}}
    lines = make_ways_table(reports).splitlines()
    assert lines[0] == "| n-grams | reviews | news | n-grams, reviews | MB, reviews |"
    assert lines[2] == "| words | 0.9100 | 0.9100 | 1,234 | 5.7 |"


def test_methods_on_few_labels_have_their_mean_and_range():
    row = {"setfit": {"accuracy": [0.5, 0.7], "mean": 0.6}}
    lines = make_few_labels_table({"counts": {"8": row, "64": row}}).splitlines()
    assert lines[0] == "| method | 8 a label | 64 a label |"
    assert lines[2] == "| setfit | 0.600 (0.500 to 0.700) | 0.600 (0.500 to 0.700) |"


def test_builds_have_their_means_and_how_often_the_verdict_was_right():
    draw = {"accuracy": 0.8, "linear": 0.7, "linear_all": 0.75, "majority": 0.5}
    draw |= {"seconds": 90.0, "right": True}
    entry = {"num_rows": 1400, "draws": [draw, draw | {"accuracy": 0.6, "right": False}]}
    lines = make_builds_table({"sets": {"news": entry}}).splitlines()
    assert lines[2] == (
        "| news, 1,400 rows | 0.700 (0.600 to 0.800) | 0.700 (0.700 to 0.700) | "
        "0.750 (0.750 to 0.750) | 0.500 (0.500 to 0.500) | 1.5 | 1 of 2 |"
    )


def test_pointing_is_told_beside_that_of_random_patches():
    shares = {"localizer": 0.6254, "random_boxes": 0.001, "23_px": 0.7, "47_px": 0.5}
    told = describe_pointing({"boxes": {"num_located": 1800, "pointing": shares}})
    assert "in 0.625 of 1,800 images (of the best one of each size alone: 0.700 with 23" in told
    assert "0.500 with 47 px); that of a random patch in 0.001." in told


def test_each_start_has_a_row():
    found = {"accuracy": 0.7, "pointing": 0.65, "multiply_adds": 51.4e6, "seconds": 90}
    assert make_starts_table({"starts": {"new weights": found}}).splitlines()[2:] == [
        "| new weights | 0.7000 | 0.6500 | 51 | 1.5 |"
    ]
