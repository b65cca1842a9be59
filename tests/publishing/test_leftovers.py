"""Results of an earlier model never stand beside a new one."""

import json

import pytest

from hf_anchornet.model.export_onnx import GRAPH_FILE
from hf_anchornet.publishing.leftovers import drop_results, refuse_other_kind


@pytest.mark.parametrize("are_weights_new", [True, False])
def test_results_and_graphs_of_earlier_weights_go(tmp_path, are_weights_new):
    (tmp_path / "onnx").mkdir()
    for name in ("evaluation.json", "scores.svg", GRAPH_FILE, "config.json", "notes.txt"):
        (tmp_path / name).write_text("{}")
    drop_results(tmp_path, are_weights_new)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert left == {"config.json", "notes.txt"} | (set() if are_weights_new else {GRAPH_FILE})
    drop_results(tmp_path / "none")


def test_a_folder_of_another_kind_of_model_is_refused(tmp_path):
    refuse_other_kind(tmp_path / "none", "anchornet_text")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "anchornet_text"}))
    refuse_other_kind(tmp_path, "anchornet_text")
    message = 'model of type "bert", got .*, that of a model of type "anchornet_text"; choose'
    with pytest.raises(ValueError, match=message):
        refuse_other_kind(tmp_path, "bert")
    (tmp_path / "cascade.json").write_text("{}")
    with pytest.raises(ValueError, match="that of a cascade; choose another folder"):
        refuse_other_kind(tmp_path, "anchornet_text")


def test_the_folder_of_a_build_is_refused(tmp_path):
    (tmp_path / "build.json").write_text("{}")
    with pytest.raises(ValueError, match="that of a build; choose another folder"):
        refuse_other_kind(tmp_path, "anchornet_text", may_be_cascade=True)
