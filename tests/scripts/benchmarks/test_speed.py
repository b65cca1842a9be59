"""Methods side by side: what is measured of each, with methods made of plain functions."""

import time

import numpy as np
import pytest
import torch
from PIL import Image

from scripts.benchmarks.method_quality import score
from scripts.benchmarks.methods import (
    CascadeMethod,
    Models,
    Steps,
    combine_steps,
    parse_folders,
)
from scripts.benchmarks.speed import BenchmarkOptions, merge_reports, run_benchmark

FEW = BenchmarkOptions(batch_sizes=[1, 3], threads=[1], num_timed=4, num_counted=5, rounds=2)


def one_hot(numbers):
    return np.eye(3, dtype=np.float32)[list(numbers)]


class Guess:
    """A method without steps, always right, of 8 x 8 multiply-adds an input."""

    def predict(self, inputs):
        torch.ones(len(inputs), 8) @ torch.ones(8, 8)
        return one_hot(inputs)


def test_each_method_gets_its_numbers():
    methods = {
        "full": Guess(),
        "wrong": Steps({"shift": lambda inputs: [0 for _ in inputs], "answer": one_hot}),
        "small": Steps({"answer": one_hot}, counted_as=Guess()),
    }
    report = run_benchmark(methods, [0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2], FEW)
    assert [row["accuracy"] for row in report.values()] == [1.0, pytest.approx(1 / 3), 1.0]
    assert [row["multiply_adds"] for row in report.values()] == [64, 0, 64]
    # Of the largest batch, three rows: two matrices and their product, of 4 bytes a number.
    assert [row["peak_memory"] for row in report.values()] == [4 * (24 + 64 + 24), 0, 0]
    assert [list(row["stages"]) for row in report.values()] == [[], ["shift", "answer"], ["answer"]]
    assert sum(report["wrong"]["stages"].values()) == pytest.approx(1)
    for row in report.values():
        assert [times["batch_size"] for times in row["times"]] == [1, 3]
        assert all(times["milliseconds"] > 0 for times in row["times"])
    assert report["full"]["times"][0]["speed_up"] == {"median": 1.0, "min": 1.0, "max": 1.0}


def test_only_the_methods_asked_for_are_measured():
    methods = {"full": Guess(), "small": Guess(), "other": Guess()}
    options = BenchmarkOptions([1], [1], 1, 1, 1, methods=["other", "full"])
    assert list(run_benchmark(methods, [0, 1], [0, 1], options)) == ["other", "full"]
    for wanted, message in (
        (["full", "none"], r"`methods` must be of .*, got \['full', 'none'\]"),
        (["other"], "`methods` must hold 'full', the baseline"),
    ):
        options = BenchmarkOptions(methods=wanted)
        with pytest.raises(ValueError, match=message):
            run_benchmark(methods, [0, 1], [0, 1], options)


def test_a_later_report_adds_to_an_earlier_one():
    def run(**options):
        return run_benchmark(
            {"full": Guess(), "small": Guess()},
            [0, 1],
            [0, 1],
            BenchmarkOptions(num_timed=1, num_counted=1, rounds=1, **options),
        )

    before = run(threads=[1], batch_sizes=[1, 2], methods=["full"])
    now = run(threads=[1, 0], batch_sizes=[1], times_only=True)
    merged = merge_reports(before, now)
    assert merged["full"]["accuracy"] == 1
    conditions = [(time["threads"], time["batch_size"]) for time in merged["full"]["times"]]
    assert conditions == [(1, 1), (1, 2), (0, 1)]
    assert merged["full"]["times"][0] == now["full"]["times"][0]
    assert merged["small"] == now["small"]


def test_times_may_be_all_that_is_measured():
    options = BenchmarkOptions([1], [1], num_timed=1, rounds=1, times_only=True)
    report = run_benchmark({"full": Guess()}, [0, 1], [0, 1], options)
    assert set(report["full"]) == {"times", "stages"}


def test_each_input_is_predicted_once_and_in_order():
    seen = []
    keep = Steps({"keep": lambda inputs: seen.append(list(inputs)) or one_hot([0] * len(inputs))})
    run_benchmark({"full": keep}, list(range(40)), [0] * 40, FEW)
    assert [0, 1, 2] in [batch[:3] for batch in seen if len(batch) == 32]
    assert [32, 33] in [batch[:2] for batch in seen if len(batch) == 8]


def test_models_are_opened_with_the_first_number_of_threads():
    before = torch.get_num_threads()
    try:
        BenchmarkOptions(threads=[3], backend="onnx").set_threads()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    options = BenchmarkOptions([1], [before + 1], num_timed=1, num_counted=1, rounds=1)
    seen = set()
    method = Steps({"look": lambda inputs: seen.add(torch.get_num_threads()) or one_hot([0])})
    run_benchmark({"full": method}, [0], [0], options)
    assert seen == {before, before + 1}
    assert torch.get_num_threads() == before


def test_macro_f1_is_the_mean_over_labels():
    quality = score(one_hot([0, 0, 0, 1]), [0, 0, 1, 1])
    assert quality == {"accuracy": 0.75, "macro_f1": pytest.approx((0.8 + 2 / 3) / 2)}


def test_a_localizer_and_a_classifier_answer_alone_and_together():
    methods = combine_steps(
        "spans",
        localize=lambda inputs: [2 * value for value in inputs],
        rate=lambda views: one_hot([0 for _ in views]),
        choose=lambda views: [value // 2 for value in views],
        classify=one_hot,
    )
    assert methods["spans"].predict([1]).tolist() == [[0, 1, 0]]
    assert methods["spans_and_localizer"].predict([1]).tolist() == [[0.5, 0.5, 0]]
    assert list(methods["spans"].steps) == ["localize", "select", "classify"]


def test_a_benchmark_without_its_baseline_is_refused():
    with pytest.raises(ValueError, match=r"`baseline` must be of .*'head'.*got \['full'\]"):
        run_benchmark({"head": Guess()}, [0], [0], FEW)


def test_any_method_may_be_the_baseline():
    options = BenchmarkOptions([1], [1], num_timed=1, num_counted=1, rounds=3, baseline="slow")

    def spend(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return one_hot([0])

    methods = {
        "full": Steps({"spend": lambda inputs: spend(0.002)}),
        "slow": Steps({"spend": lambda inputs: spend(0.02)}),
    }
    report = run_benchmark(methods, [0], [0], options)
    assert report["slow"]["times"][0]["speed_up"]["median"] == 1
    assert report["full"]["times"][0]["speed_up"]["median"] == pytest.approx(10, rel=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "`rounds` must be at least 1, got 0"),
        ({"num_timed": 0}, "`num_timed` must be at least 1, got 0"),
        ({"batch_sizes": []}, r"`batch_sizes` must be at least 1, got \[\]"),
        ({"threads": [-1]}, r"`threads` must be at least 0, got \[-1\]"),
        ({"backend": "onnx"}, r'`threads` must be one number with `backend` "onnx", got \[1, 0\]'),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BenchmarkOptions(**options)


def test_a_reading_without_a_classifier_gets_that_of_the_mix_or_of_full_inputs():
    models = Models("unused", ["full=a", "head=b=c"])
    assert models.find_folder("head") == "b=c"
    assert models.find_folder("spans") == "a"
    assert Models("unused", ["full=a", "mix=d"]).find_folder("spans") == "d"


@pytest.mark.parametrize("classifiers", [[], ["head=a"], ["full"], ["full=a", "full=b"]])
def test_classifiers_without_a_name_or_without_the_full_one_are_refused(classifiers):
    with pytest.raises(ValueError, match="`classifiers` must be given as reading=folder"):
        parse_folders(classifiers)


def test_a_cascade_is_a_method_that_counts_what_each_input_took(text_cascade, tmp_path):
    texts = ["a good film", "bad " * 30]
    labels = text_cascade.labels[::-1]
    text_cascade.save_pretrained(tmp_path)
    method = CascadeMethod(str(tmp_path), labels)
    traces = text_cascade.follow(texts)
    expected = [trace.probs.flip(0).tolist() for trace in traces]
    np.testing.assert_allclose(method.predict(texts), expected, rtol=1e-5)
    costs = [answer["cost"] for answer in text_cascade(texts)]
    spent = [cost["localizer_multiply_adds"] + cost["classifier_multiply_adds"] for cost in costs]
    report = run_benchmark({"full": method}, texts, [0, 1], FEW)
    assert report["full"]["multiply_adds"] == sum(spent) / 2 > 0
    stages = [trace.stage for trace in traces]
    names = ["localizer", "4", "6", "full"]
    expected = {name: stages.count(stage) / 2 for stage, name in enumerate(names)}
    assert report["full"]["exits"] == expected


def test_a_cascade_that_opens_with_a_glance_counts_it_too(glance_cascade, tmp_path):
    pictures = [Image.new("RGB", (40, 32), color) for color in ("red", "grey")]
    glance_cascade.save_pretrained(tmp_path)
    method = CascadeMethod(str(tmp_path), glance_cascade.labels)
    spent = sum(trace.multiply_adds for trace in glance_cascade.follow(pictures))
    report = run_benchmark({"full": method}, pictures, [0, 1], FEW)
    assert report["full"]["multiply_adds"] == spent / 2
    assert [*report["full"]["exits"]] == ["glance", "localizer", "1", "full"]
