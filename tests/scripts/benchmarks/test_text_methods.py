"""What may read a text: each method on a planted localizer and a random classifier."""

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.text_controls import CONTROLS
from scripts.benchmarks.methods import measure_size
from scripts.benchmarks.speed import BenchmarkOptions, run_benchmark
from scripts.benchmarks.text_methods import Classify, TextModels, load_texts, make_text_methods

LONG = "the film was a film . " * 30 + "good film , not bad " + "was the café a film ? " * 30
LABELS = ["positive", "negative"]


@pytest.fixture
def localizer(localizer_folder):
    return localizer_folder


@pytest.fixture
def folders(localizer, classifier_folder, tmp_path):  # the localizer's tokenizer first
    """A localizer and a classifier with the same labels."""
    config = tmp_path / "classifier" / "config.json"
    text = config.read_text("utf-8").replace('"sad"', '"negative"').replace('"glad"', '"positive"')
    config.write_text(text, "utf-8")
    return localizer, classifier_folder


@pytest.fixture
def methods(folders):
    return make_text_methods(TextModels(folders[0], [f"full={folders[1]}"], 12), LABELS)


@pytest.fixture
def classify(folders):
    return Classify.load(folders[1], LABELS, "float32")


def test_there_is_a_row_for_each_thing_that_people_do(methods):
    others = {"full", "windows", "int8", "random", "localizer", "spans", "spans_and_localizer"}
    assert set(methods) == others | set(CONTROLS)


def test_the_size_of_a_method_is_that_of_its_files(methods, folders):
    files = ("model.safetensors", "tokenizer.json")
    sizes = [sum((Path(folder) / file).stat().st_size for file in files) for folder in folders]
    assert (methods["localizer"].size, methods["full"].size) == tuple(sizes)
    assert methods["spans"].size == sum(sizes)
    assert methods["int8"].size is None
    assert measure_size("some/hub_id") is None


def test_every_method_gives_probabilities_alone_and_in_a_batch(methods):
    texts = [LONG, "good", "", "not a bad film"]
    for name, method in methods.items():
        together = method.predict(texts)
        alone = np.concatenate([method.predict([text]) for text in texts])
        np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
        # int8 scales by the largest value of a batch.
        np.testing.assert_allclose(together, alone, atol=0.05 if name == "int8" else 1e-5)


def test_labels_come_in_the_order_asked_for(methods):
    probs = methods["localizer"].predict(["good film", "bad film"])
    assert probs.argmax(axis=1).tolist() == [0, 1]


def test_the_classifier_reads_the_spans(methods, classify):
    views = methods["spans"].steps["localize"]([LONG])
    (chosen,), probs = methods["spans"].steps["select"](views)
    assert {"good", "bad"} <= set(chosen.split())
    np.testing.assert_allclose(methods["spans"].predict([LONG]), classify([chosen]), atol=1e-6)
    mean = (classify([chosen]) + probs) / 2
    np.testing.assert_allclose(methods["spans_and_localizer"].predict([LONG]), mean, atol=1e-6)


def test_all_windows_of_a_text_are_averaged(classify):
    classify.full_tokens = 6  # 4 and 2 special ones
    parts = classify(["good film was the", "bad film not a", "café"])
    probs = classify.classify_windows(["good film was the bad film not a café", "a film"])
    np.testing.assert_allclose(probs[0], parts.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(probs[1], classify(["a film"])[0], atol=1e-6)


def test_random_spans_are_the_same_each_time_and_differ_between_texts(methods):
    select = methods["random"].steps["select"]
    first, again, other = select([LONG, LONG, f"a {LONG}"])
    assert first == again != other


def test_int8_costs_what_the_full_model_does(methods, classify):
    options = BenchmarkOptions([1], [1], num_timed=1, num_counted=1, rounds=1)
    report = run_benchmark(methods, [LONG], [0], options)
    assert report["int8"]["multiply_adds"] == report["full"]["multiply_adds"] > 0
    assert report["head"]["multiply_adds"] < report["full"]["multiply_adds"]
    spans, localizer = (report[name]["multiply_adds"] for name in ("spans", "localizer"))
    assert localizer < spans <= localizer + report["head"]["multiply_adds"]


def test_another_backend_gives_the_same_and_is_counted_as_torch_computes_it(folders, methods):
    chosen = TextModels(folders[0], [f"full={folders[1]}"], 12)
    options = BenchmarkOptions([1], [1], num_timed=1, num_counted=1, rounds=1, backend="onnx")
    fast = make_text_methods(chosen, LABELS, options.backend)
    for name in ("full", "windows", "localizer", "spans_and_localizer"):
        expected = methods[name].predict([LONG, "good"])
        np.testing.assert_allclose(fast[name].predict([LONG, "good"]), expected, atol=1e-5)
    fast = {name: fast[name] for name in ("full", "spans")}
    report = run_benchmark(fast, [LONG], [0], options, methods)
    eager = run_benchmark(methods, [LONG], [0], BenchmarkOptions([1], [1], 1, 1, 1))
    for name in fast:
        assert report[name]["multiply_adds"] == eager[name]["multiply_adds"] > 0


def test_weights_may_have_half_the_precision(folders):
    classify = Classify.load(folders[1], LABELS, "bfloat16")
    assert classify.reader.model.dtype == torch.bfloat16
    assert classify([LONG]).dtype == np.float32


def test_texts_come_from_short_to_long(tmp_path):
    rows = {"text": ["a long one", "short", ""], "label": ["x", "y", "x"]}
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    texts, targets = load_texts(DataOptions(str(tmp_path / "data.parquet")), "train", ["y", "x"])
    assert texts == ["", "short", "a long one"]
    assert targets == [1, 0, 1]


def test_models_of_other_labels_are_refused(folders):
    with pytest.raises(ValueError, match=r"a model has the labels \['negative', 'positive'\]"):
        Classify.load(folders[1], ["a", "b"], "float32")


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match='`precision` must be "float32" or "bfloat16", got'):
        TextModels("unused", ["full=unused"], precision="int4")
