"""A damaged or hostile `cascade.json`."""

import json

import pytest

from hf_anchornet import Cascade
from hf_anchornet.model.cascade_file import read_cascade_file

SOUND = {
    "stages": [4],
    "thresholds": [0.9],
    "temperatures": [1.0, 1.0],
    "classifier": None,
    "full_size": None,
    "calibration": {},
}

GLANCE = {"size": 96, "is_classifier": True, "reference": None}


def test_a_sound_file_says_what_was_written(tmp_path):
    path = tmp_path / "cascade.json"
    path.write_text(json.dumps(SOUND))
    assert read_cascade_file(path) == SOUND | {"glance": None}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "invalid JSON"),
        ("", "invalid JSON"),
        ("[]", "no calibration, classifier, full_size, stages"),
        ("{}", "no calibration, classifier, full_size, stages"),
        (json.dumps(SOUND | {"calibration": 5}), "calibration 5"),
        (json.dumps(SOUND | {"classifier": ["a"]}), r"classifier \['a'\]"),
        (json.dumps(SOUND | {"glance": "a"}), "glance 'a'"),
        (json.dumps(SOUND | {"glance": GLANCE | {"reference": 3}}), "glance {'size': 96"),
        (json.dumps(SOUND | {"glance": GLANCE | {"is_classifier": "no"}}), "glance {'size': 96"),
        (json.dumps(SOUND | {"glance": {"size": 96}}), "glance {'size': 96"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, content, what):
    path = tmp_path / "cascade.json"
    path.write_text(content)
    with pytest.raises(OSError, match=f"`source` must hold a cascade.json .*{what}.*; save"):
        read_cascade_file(path)


@pytest.mark.parametrize("full_size", [-3, 0, "x", 1.5, True])
def test_a_size_that_is_none_is_refused(tmp_path, full_size):
    path = tmp_path / "cascade.json"
    path.write_text(json.dumps(SOUND | {"full_size": full_size}))
    with pytest.raises(ValueError, match="`full_size` must be a whole number of at least 1"):
        read_cascade_file(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stages": [-1]}, "`stages` must be a list of"),
        ({"stages": "x"}, "`stages` must be a list of"),
        ({"thresholds": [float("nan")] * 3}, r"`exit_threshold` must be a number in \[0, 1\]"),
        ({"temperatures": [0.0] * 4}, "`temperatures` must be a positive number"),
        ({"glance": GLANCE | {"size": 0}}, "`glance_size` must be a whole number of at least 1"),
        ({"classifier": "/nowhere"}, "`classifier` must be the Hub id or folder"),
    ],
)
def test_a_cascade_with_a_hostile_file_is_refused(text_cascade, tmp_path, changed, message):
    text_cascade.save_pretrained(tmp_path)
    path = tmp_path / "cascade.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises((OSError, ValueError), match=message):
        Cascade.from_pretrained(tmp_path)
