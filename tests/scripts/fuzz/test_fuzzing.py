"""The run of the fuzzing: counts, failures, hangs, deaths, the same cases from the same seed."""

import os
import time

import pytest

from scripts.fuzz import fuzzing
from scripts.fuzz.fuzzing import TARGETS, FuzzOptions, Target, Worker, fuzz, replay


@pytest.fixture
def options(tmp_path):
    return FuzzOptions(cases=2000, targets=["geometry"], failures=str(tmp_path))


def put_target(monkeypatch, check):
    monkeypatch.setitem(TARGETS, "geometry", Target(1.0, lambda: check, lambda rng: rng.bytes(4)))


def run(options):
    worker = Worker(options, "geometry", 0)
    for step in range(100):
        if not worker.is_done():
            worker.attempt(worker.draw(step))
    return worker


def test_a_process_tries_as_many_cases_as_asked(options):
    worker = run(options)
    assert worker.cases >= 2000
    assert worker.inputs < 20
    assert worker.report()["failures"] == []


def test_cases_are_shared_out_over_targets_and_processes(tmp_path):
    options = FuzzOptions(
        cases=1000, processes=2, targets=["geometry", "boxes"], failures=str(tmp_path)
    )
    assert Worker(options, "geometry", 0).wanted == 300
    assert Worker(options, "boxes", 1).wanted == 200


def test_the_same_seed_draws_the_same_and_others_differ(options):
    first, again, other = (Worker(options, "geometry", number) for number in (0, 0, 1))
    assert first.draw(3) == again.draw(3)
    assert len({first.draw(0), first.draw(1), other.draw(0)}) == 3


def test_a_failure_is_noted_and_its_input_kept_to_try_again(options, monkeypatch):
    def check(data):
        if data[0] < 128:
            raise ValueError("small")
        return 100

    put_target(monkeypatch, check)
    worker = run(options)
    assert 0 < len(worker.failures) <= fuzzing.MOST_FAILURES
    failure = worker.failures[0]
    assert failure["error"] == "ValueError: small"
    with pytest.raises(ValueError, match="small"):
        replay("geometry", failure["input"])


def test_a_case_that_hangs_is_a_failure(options, monkeypatch):
    put_target(monkeypatch, lambda _: time.sleep(30))
    worker = Worker(FuzzOptions(time_limit=0.05, failures=options.failures), "geometry", 0)
    worker.attempt(b"")
    assert worker.failures[0]["error"] == "TimeLimitError: longer than 0.05 seconds"


def test_a_target_that_always_fails_is_given_up(options, monkeypatch):
    def fail(_):
        raise OSError("always")

    put_target(monkeypatch, fail)
    assert len(run(options).failures) == fuzzing.MOST_FAILURES


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cases": 0}, "`cases` must be at least 1, got 0"),
        ({"processes": 0}, "`processes` must be at least 1, got 0"),
        ({"targets": ["word"]}, "`targets` must be among geometry, .*, got"),
        ({"targets": []}, "`targets` must be among geometry"),
        ({"engine": "afl"}, "`engine` must be one of random, atheris, got 'afl'"),
    ],
)
def test_a_bad_option_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        FuzzOptions(**fields)


def die(*_):
    os._exit(3)


@pytest.mark.slow
def test_every_target_is_tried_in_processes_and_told(tmp_path):
    report = fuzz(FuzzOptions(cases=3000, processes=2, failures=str(tmp_path)))
    assert report["cases"] >= 3000
    assert report["failures"] == 0
    assert set(report["targets"]) == set(TARGETS)
    assert all(result["cases"] > 0 for result in report["targets"].values())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_process_that_dies_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzzing, "run_worker", die)
    report = fuzz(FuzzOptions(cases=10, targets=["geometry"], failures=str(tmp_path)))
    assert report["failures"] == 1
    assert report["targets"]["geometry"]["failures"][0]["error"] == "exit code 3"
