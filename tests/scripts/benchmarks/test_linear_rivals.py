"""Linear rivals on planted texts: what they learn, and that their evidence is exact."""

import sys

import numpy as np
import pytest
import torch
from datasets import Dataset
from scipy.special import softmax

from hf_anchornet.data.splits import DataOptions
from scripts.benchmarks.linear_rivals import LinearRival, center, compute_log_ratios, solve_svm
from scripts.benchmarks.ngram_features import split_words
from scripts.benchmarks.rivals import NGRAM_RIVALS, RivalOptions, fit_rivals
from scripts.benchmarks.speed import BenchmarkOptions, run_benchmark
from scripts.benchmarks.static_features import StaticFeatures

LABELS = ["bad", "good", "dull"]
TEXTS = {
    "bad": "a bad film, not good at all",
    "good": "a good film: it's not bad!",
    "dull": "the dull film was long ...",
}
TRICKY = "İstanbul's film: NOT BAD! it's a good, good film 映画 ... \U0001f600"


def write(folder, labels):
    folder.mkdir(exist_ok=True)
    rows = [(f"{TEXTS[label]} {row}", label) for row in range(4) for label in labels]
    texts, names = zip(*rows, strict=True)
    for split in ("train", "validation", "test"):
        path = folder / f"{split}.parquet"
        Dataset.from_dict({"text": texts, "label": names}).to_parquet(path)
    return DataOptions(str(folder))


def fit(name, labels=LABELS):
    texts = [f"{TEXTS[label]} {row}" for row in range(4) for label in labels]
    targets = [number for _ in range(4) for number in range(len(labels))]
    return NGRAM_RIVALS[name]().fit((texts, targets), (texts, targets), len(labels))


@pytest.mark.parametrize("name", NGRAM_RIVALS)
@pytest.mark.parametrize("num_labels", [2, 3])
def test_a_rival_learns_any_number_of_labels(name, num_labels):
    rival = fit(name, LABELS[:num_labels])
    probs = rival.predict([TEXTS[label] for label in LABELS[:num_labels]])
    assert probs.argmax(axis=1).tolist() == list(range(num_labels))
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-6)
    assert rival.fitted["validation_accuracy"] == 1
    assert rival.fitted["C"] == min(rival.strengths)  # the smallest of those that are as good
    assert rival.fitted["num_features"] == len(rival.weights)


@pytest.mark.parametrize("name", NGRAM_RIVALS)
@pytest.mark.parametrize("text", [TEXTS["good"], TRICKY, "good", "", "nothing known"])
def test_evidence_and_bias_add_up_to_the_logits(name, text):
    rival = fit(name)
    located = rival.locate(text)
    total = located.attribution.sum(axis=0) + rival.bias / rival.temperature
    np.testing.assert_allclose(total, rival.decide([text])[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(located.attribution.sum(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(softmax(total), rival.predict([text])[0], atol=1e-5)


def test_an_ngram_is_shared_out_over_its_occurrences_and_words():
    features = fit("nb_lr").features
    weights = np.zeros((len(features.counter.vocabulary_), 1))
    weights[features.counter.vocabulary_["not bad"]] = 3.0
    weights[features.counter.vocabulary_["film"]] = 1.0
    located = features.locate("not bad film, Not Bad", weights)
    values = features(["not bad film, not bad"]).toarray()[0]
    share = values[features.counter.vocabulary_["not bad"]] * 3 / 4
    film = values[features.counter.vocabulary_["film"]]
    expected = [share, share, film, 0, share, share]
    np.testing.assert_allclose(located.attribution[:, 0], expected, rtol=1e-6)


def test_words_keep_their_characters_where_lower_case_is_longer():
    words, offsets = split_words("İa Straße's!")
    assert "".join(words) == "i̇astraße's!".replace(" ", "")
    assert offsets[-2:] == [(3, 11), (11, 12)]
    assert {start for start, _ in offsets[:-2]} <= {0, 1}


def test_log_ratios_are_those_of_a_sum_by_hand():
    features = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
    found = compute_log_ratios(features, np.array([True, False, False]))
    np.testing.assert_allclose(found, np.log([3 / 4 / (2 / 7), 1 / 4 / (5 / 7)]), rtol=1e-6)


def test_weights_of_two_labels_become_two_columns_around_zero():
    weights, bias = center(np.array([[2.0, -4.0]]), np.array([1.0]))
    assert weights.tolist() == [[-1, 1], [2, -2]]
    assert bias.tolist() == [-0.5, 0.5]
    weights, _ = center(np.array([[1.0], [2.0], [6.0]]), np.zeros(3))
    assert weights.tolist() == [[-2, -1, 3]]


def test_the_strength_is_that_of_the_best_validation_accuracy():
    asked = []

    def solve(features, targets, strength):
        asked.append(strength)
        return np.array([[{1.0: -1.0, 2.0: 1.0, 3.0: 2.0}[strength]]]), np.zeros(1)

    class Value:
        size = 7

        def learn(self, texts):
            return self(texts)

        def __call__(self, texts):
            return np.array([[float(text)] for text in texts], dtype=np.float32)

    rival = LinearRival(Value(), solve, (3.0, 1.0, 2.0))
    rival.fit((["-1", "1"], [0, 1]), (["-2", "2"], [0, 1]), 2)
    assert asked == [1.0, 2.0, 3.0]
    assert rival.fitted["C"] == 2
    assert rival.size == 7 + 4 * 2  # one column of one weight and one bias
    with pytest.raises(TypeError, match="`features` must be n-grams for exact evidence, got Value"):
        rival.locate("1")


def test_a_rival_is_a_method_whose_multiply_adds_are_not_invented(tmp_path):
    data = write(tmp_path, LABELS)
    rivals = fit_rivals(data, LABELS, RivalOptions(["nb_lr", "tfidf_svm"]))
    options = BenchmarkOptions([1, 2], [1], 2, 2, 1, baseline="nb_lr")
    report = run_benchmark(rivals, list(TEXTS.values()), [0, 1, 2], options)
    for name, row in report.items():
        assert row["accuracy"] == row["macro_f1"] == 1
        assert row["multiply_adds"] is None
        assert row["size"] == rivals[name].size > 1000
        assert row["fitted"]["seconds"] > 0
        assert list(row["stages"]) == ["look up", "add"]


def test_rivals_are_fitted_on_all_rows_of_the_training_split_of_any_set(tmp_path):
    few = DataOptions(write(tmp_path / "few", LABELS[:2]).dataset, max_rows=2)
    other = write(tmp_path / "other", LABELS)
    alone = fit_rivals(few, LABELS[:2], RivalOptions(["tfidf_svm"]))["tfidf_svm"]
    assert len(alone.weights) == len(fit("tfidf_svm", LABELS[:2]).weights)
    options = RivalOptions(["tfidf_svm"], fit_on=other.dataset)
    assert fit_rivals(few, LABELS, options)["tfidf_svm"].weights.shape[1] == 3


def test_only_the_rivals_asked_for_are_fitted(tmp_path):
    data = write(tmp_path, LABELS)
    assert list(fit_rivals(data, LABELS, RivalOptions(), ["full", "nb_lr"])) == ["nb_lr"]
    assert fit_rivals(data, LABELS, RivalOptions([""])) == {}
    with pytest.raises(ValueError, match=r"`rivals` must be among .*, got 'svm'"):
        RivalOptions(["svm"])


def test_static_embeddings_are_distilled_from_an_encoder(classifier_folder):
    texts = ["good film", "bad film", "a good film", "a bad film", "good", "bad"] * 2
    targets = [1, 0] * 6
    rival = LinearRival(StaticFeatures(classifier_folder), solve_svm, (1.0, 100.0))
    rival.fit((texts, targets), (texts, targets), 2)
    assert rival.predict(["the good film", "the bad film"]).argmax(axis=1).tolist() == [1, 0]
    np.testing.assert_allclose(rival.features(["", "good"])[0], 0)
    assert rival.size > rival.features.model.embedding.nbytes


def test_static_embeddings_without_the_library_name_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "model2vec.distill", None)
    with pytest.raises(ImportError, match=r"which needs model2vec .*hf-anchornet\[bench\]"):
        fit_rivals(write(tmp_path, LABELS), LABELS, RivalOptions(["nb_lr", "static"]))


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        ((["a"], [0]), (["a"], [0]), r"`train_split` must hold .* numbers \[1\]"),
        ((["a", "b"], [0, 1]), ([], []), "`validation_split` must hold texts, got none"),
        ((["a"], [[0.0, 1.0]]), (["a"], [[1.0, 0.0]]), "`rivals` must be .* several labels"),
    ],
)
def test_texts_that_cannot_be_learned_from_are_refused(train, validation, message):
    with pytest.raises(ValueError, match=message):
        NGRAM_RIVALS["nb_lr"]().fit(train, validation, 2)


def test_probabilities_have_the_temperature_of_the_validation_split():
    rival = fit("tfidf_svm")
    logits = rival.features(["good bad"]) @ rival.weights + rival.bias
    expected = torch.from_numpy(logits / rival.temperature).softmax(dim=-1)
    np.testing.assert_allclose(rival.predict(["good bad"]), expected, atol=1e-6)
    assert rival.temperature == pytest.approx(0.05)  # all answers are right: the lower bound
