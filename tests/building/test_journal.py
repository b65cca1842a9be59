"""The journal of a build."""

import json

import pytest

from hf_anchornet.building.journal import Journal, say_seconds


def test_a_finished_step_is_not_run_again(tmp_path):
    calls = []

    def work():
        calls.append(1)
        return {"found": len(calls)}

    for _ in range(2):
        assert Journal(tmp_path, {"seed": 0}).run("one", work) == {"found": 1}
    assert len(calls) == 1


def test_the_plan_of_an_interrupted_build_is_kept(tmp_path):
    journal = Journal(tmp_path, {"seed": 0})
    journal.content |= {"plan": {"adapt_rows": 7}}
    journal.write()
    assert Journal(tmp_path, {"seed": 0}).content["plan"] == {"adapt_rows": 7}


def test_a_step_that_fails_leaves_no_trace(tmp_path):
    def fail():
        raise OSError("no disk")

    journal = Journal(tmp_path, {"seed": 0})
    journal.run("one", dict)
    with pytest.raises(OSError, match="no disk"):
        journal.run("two", fail)
    content = json.loads((tmp_path / "build.json").read_text())
    assert (list(content["steps"]), content["finished"]) == (["one"], False)


def test_other_options_are_refused_by_name(tmp_path):
    Journal(tmp_path, {"seed": 0, "classifier": None}).run("one", dict)
    with pytest.raises(ValueError, match=r"`seed` must be 0 as in the build .* got 1; give the"):
        Journal(tmp_path, {"seed": 1, "classifier": None})


def test_a_build_goes_on_with_the_rows_it_was_started_from_only(tmp_path):
    journal = Journal(tmp_path, {"seed": 0})
    journal.keep_rows("first")
    journal.write()
    Journal(tmp_path, {"seed": 0}).keep_rows("first")
    with pytest.raises(ValueError, match=r"`dataset` must hold the rows that the build in"):
        Journal(tmp_path, {"seed": 0}).keep_rows("second")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"options": {}}'])
def test_a_damaged_journal_is_named(tmp_path, content):
    (tmp_path / "build.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"must hold a build\.json that a build wrote, got .*build"
    ):
        Journal(tmp_path, {"seed": 0})


def test_durations_are_said_in_seconds_or_minutes():
    assert [say_seconds(45), say_seconds(600)] == ["45 s", "10 min"]
