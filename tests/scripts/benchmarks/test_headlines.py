"""The numbers on the first screen of the README come from the reports."""

from scripts.benchmarks.headlines import make_headlines


def measure(accuracy, ratio):
    times = [
        {"threads": 1, "batch_size": size, "speed_up": {"median": ratio * size}} for size in (1, 32)
    ]
    return {"accuracy": accuracy, "times": times}


def test_each_line_holds_its_numbers():
    evidence = {"plausibility": {"pointing": 0.5}, "times_slower": 1.0}
    explainers = {
        "evidence": evidence,
        "random": {"plausibility": {"pointing": 0.125}},
        "lime": {"times_slower": 40.4},
    }
    explained = {
        name: {
            "milliseconds": milliseconds,
            "faithfulness": {"cut": {"comprehensiveness": drop}},
        }
        for name, milliseconds, drop in (("span_shapley", 500.0, 0.5), ("lime", 40_000.0, 0.3))
    }
    found = {
        "evidence_imdb_rationales": {"explanations": {"explainers": explainers}},
        "evidence_movie_rationales_minilm": {
            "explanations": {"num_explained": 40, "explainers": explained}
        },
        "speed_imdb": {
            "methods": {
                "full": measure(0.9, 1),
                "shipped_cascade": measure(0.8, 2),
                "nb_lr": measure(0.7, 9),
            }
        },
        "speed_fod_a": {
            "methods": {
                "full": measure(0.97, 1),
                "cascade": measure(0.96, 3),
                "small": measure(0.93, 4),
            }
        },
        "speed_megapixel_mnist": {
            "methods": {
                "full": measure(0.125, 1) | {"multiply_adds": 1.6e9},
                "small_224": measure(0.115, 1),
                "localizer": measure(0.95, 1) | {"multiply_adds": 1.4e9},
            }
        },
        "speed_pcb_panels": {
            "methods": {
                "full": measure(0.31, 1) | {"multiply_adds": 1.5e9},
                "small_224": measure(0.21, 1),
                "patches_and_localizer": measure(0.61, 1) | {"multiply_adds": 0.6e9},
            }
        },
    }
    evidence, saving, photos, sheets = make_headlines(found).splitlines()
    assert "0.500" in evidence
    assert "(0.125 by chance), 40 times" in evidence
    assert "on 40 long reviews" in evidence
    assert "80 times faster than LIME (comprehensiveness 0.500 / 0.300)." in evidence
    assert "accuracy 0.800" in saving
    assert "has 0.900, 2.0 / 64.0 times faster" in saving
    assert saving.endswith("0.700 (NB-LR).")
    assert "accuracy 0.960, 3.0 / 96.0 times faster" in photos
    assert "(0.970); resized to 96 px it has 0.930, 4.0 / 128.0 times faster." in photos
    assert "1.4 G multiply-adds has accuracy 0.950" in sheets
    assert "resized to 448 px (1.6 G) has 0.125, to 224 px 0.115, where" in sheets
    assert "points at (0.6 G): 0.610; EfficientNet-Lite0 on the board resized" in sheets
    assert "to 448 px (1.5 G): 0.310, to 224 px: 0.210." in sheets
