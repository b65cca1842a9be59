"""Passages of long texts and what people marked in them, by hand counts."""

import pytest
from datasets import Dataset, Features, List, Value

from hf_anchornet.data.splits import DataOptions
from scripts.benchmarks.retrieval import RetrievalOptions, measure_retrieval

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")

LONG = "the film was " * 40
TEXTS = [f"{LONG}a good plot {LONG}", f"{LONG}bad", f"{LONG}good {LONG}", "the film was", "good"]
LABELS = ["positive", "negative", "positive", "negative", "positive"]
SPANS = [[[len(LONG), len(LONG) + 6]], [], [[0, 3]], [], []]


@pytest.fixture
def contracts(tmp_path):
    features = {"text": Value("string"), "label": Value("string")}
    features["spans"] = List(List(Value("int32")))
    rows = Dataset.from_dict(
        {"text": TEXTS, "label": LABELS, "spans": SPANS}, features=Features(features)
    )
    (tmp_path / "contracts").mkdir()
    rows.to_parquet(tmp_path / "contracts" / "test.parquet")
    return DataOptions(str(tmp_path / "contracts"))


def test_the_best_passage_holds_the_word_that_decides(localizer_folder, contracts):
    options = RetrievalOptions(localizer_folder, "positive", passage_tokens=6, top_k=1)
    report = measure_retrieval(contracts, options)
    assert report["accuracy"] == 1.0
    # The first is found; of the third another word was marked; the last has no mark.
    assert report["num_documents"] == 2
    assert report["hit_rate"]["evidence"] == 1 / 2
    assert report["half_hit_rate"]["evidence"] == 1 / 2
    assert report["hit_rate"]["head"] == 1 / 2
    assert 0 <= report["hit_rate"]["random"] < 1 / 2
    assert report["median_words"] == (243 + 241) / 2


def test_a_label_that_nobody_knows_is_refused(localizer_folder, contracts):
    with pytest.raises(ValueError, match="`labels` must be one or more of this model's labels"):
        measure_retrieval(contracts, RetrievalOptions(localizer_folder, "insurance"))


def test_documents_without_marks_are_refused(localizer_folder, contracts):
    with pytest.raises(ValueError, match="`references` must hold a human span for at least one"):
        measure_retrieval(contracts, RetrievalOptions(localizer_folder, "negative"))


@pytest.mark.parametrize("name", ["passage_tokens", "top_k"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
        RetrievalOptions("unused", "positive", **{name: 0})
