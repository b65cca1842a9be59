"""Few labels: the draws, what each method learns from, and the report."""

import json
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset

from hf_anchornet.data.splits import DataOptions
from scripts.benchmarks import few_labels
from scripts.benchmarks.few_labels import (
    Draw,
    FewLabelsOptions,
    compare_methods,
    draw_rows,
    keep_earlier,
)


def make_rows(count, seed=0):
    random = np.random.default_rng(seed)
    labels = [("good", "bad")[row % 2] for row in range(count)]
    words = {"good": ["superb", "fine", "lovely"], "bad": ["dull", "poor", "weak"]}
    texts = [
        f"The film was {random.choice(words[label])} in part {row}."
        for row, label in enumerate(labels)
    ]
    return Dataset.from_dict({"text": texts, "label": labels})


@pytest.fixture
def data(tmp_path):
    for split, seed in {"train": 0, "test": 1}.items():
        make_rows(60, seed).to_parquet(tmp_path / f"{split}.parquet")
    return DataOptions(str(tmp_path))


def test_a_draw_has_as_many_rows_of_each_label_and_depends_on_its_seed():
    rows = make_rows(60)
    drawn = draw_rows(rows, "label", 5, 0)
    assert sorted(drawn["label"]) == ["bad"] * 5 + ["good"] * 5
    assert drawn["text"] == draw_rows(rows, "label", 5, 0)["text"]
    assert list(drawn["text"]) != list(draw_rows(rows, "label", 5, 1)["text"])
    with pytest.raises(ValueError, match="`counts` must be at most 30"):
        draw_rows(rows, "label", 31, 0)


def test_the_report_holds_every_draw_and_its_mean(data, tmp_path):
    options = FewLabelsOptions("no encoder", [4, 16], 2, 20, ["unigrams"])
    seen = []
    report = compare_methods(data, options, lambda found: seen.append(json.dumps(found)))
    assert len(seen) == 4
    assert report["num_rows"] == 20
    assert list(report["counts"]) == ["4", "16"]
    for row in report["counts"].values():
        assert row["unigrams"]["mean"] == np.mean(row["unigrams"]["accuracy"])
        assert len(row["unigrams"]["accuracy"]) == 2
    assert report["counts"]["16"]["unigrams"]["mean"] == 1.0


def test_methods_of_an_earlier_run_on_the_same_draws_stay(data):
    first = compare_methods(data, FewLabelsOptions("encoder", [4, 16], 2, 20, ["unigrams"]))
    second = json.loads(json.dumps(first))
    second["counts"] = {"4": {"setfit": {"accuracy": [1.0, 1.0], "mean": 1.0}}}
    both = keep_earlier(first, second)
    assert both["counts"]["4"] == first["counts"]["4"] | second["counts"]["4"]
    assert both["counts"]["16"] == first["counts"]["16"]
    assert list(both["counts"]) == ["4", "16"]
    second["settings"]["comparison"]["draws"] = 5
    with pytest.raises(ValueError, match="`output` holds a comparison"):
        keep_earlier(first, second)


def test_the_localizer_learns_from_the_draw_alone(data, tmp_path, monkeypatch):
    rows = draw_rows(make_rows(60), "label", 16, 0)
    trained = []

    def train(dataset, output_dir, encoder, **options):
        found = [
            Dataset.from_parquet(f"{dataset}/{name}.parquet") for name in ("train", "validation")
        ]
        trained.append([text for part in found for text in part["text"]])
        return original(dataset, output_dir, hidden_size=16, num_epochs=3, **options)

    original = few_labels.hf_anchornet.train
    monkeypatch.setattr(few_labels.hf_anchornet, "train", train)
    options = FewLabelsOptions("no encoder", methods=["localizer"])
    texts = make_rows(20, seed=2)
    answers = few_labels.answer_by_localizer(Draw(rows, list(texts["text"]), data, options, 0))
    assert sorted(trained[0]) == sorted(rows["text"])
    assert set(answers) <= {"good", "bad"}
    assert len(answers) == 20


def test_methods_are_named():
    with pytest.raises(ValueError, match="`methods` must be among"):
        FewLabelsOptions("encoder", methods=["setfit", "magic"])
    with pytest.raises(ValueError, match="`setfit_iterations` must have one number for each"):
        FewLabelsOptions("encoder", [8, 16, 32])
    assert replace(FewLabelsOptions("encoder"), draws=1).methods == list(few_labels.METHODS)
