"""Only a graph that this user exported from the model's own weights answers for the model."""

import onnx
import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModelForSequenceClassification

from hf_anchornet.model import backend, graph_seal
from hf_anchornet.model.backend import OnnxNetwork, make_network
from hf_anchornet.model.export_onnx import export_onnx, fingerprint
from hf_anchornet.model.graph_seal import KEY_FILE, SEAL, is_sealed, seal_graph

IDS = torch.tensor([[5, 6, 7]])


@pytest.fixture
def classifier(classifier_folder, trace_once):
    return AutoModelForSequenceClassification.from_pretrained(classifier_folder).eval()


@pytest.fixture
def graph(classifier, classifier_folder):
    """The classifier's own graph, beside its weights."""
    return export_onnx(classifier, classifier_folder)


@pytest.fixture
def opened(monkeypatch):
    """What sessions are opened of: paths of files or their content."""
    sources = []

    class Spied(OnnxNetwork):
        def __init__(self, source):
            sources.append(source)
            super().__init__(source)

    monkeypatch.setattr(backend, "OnnxNetwork", Spied)
    return sources


@pytest.fixture
def new_key(monkeypatch, tmp_path):
    """Another user, with a key of their own."""

    def become(name):
        graph_seal._read_key.cache_clear()
        monkeypatch.setenv("HF_HOME", str(tmp_path / name))

    yield become
    graph_seal._read_key.cache_clear()


def negate(content):
    """A graph that answers the opposite, with all metadata of the original."""
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        node.output[:] = [name if name != "logits" else "before" for name in node.output]
    model.graph.node.append(onnx.helper.make_node("Neg", ["before"], ["logits"]))
    return model.SerializeToString()


def check_own_answers(network, classifier):
    with torch.no_grad():
        assert_close(network(IDS).logits, classifier(IDS).logits, rtol=1e-4, atol=1e-5)


def test_a_forged_graph_with_a_copied_seal_is_left_out_before_it_is_opened(
    classifier, graph, opened, caplog
):
    content = graph.read_bytes()
    forged = negate(content)
    length = len(graph_seal._encode_seal("0" * 64))
    for attack in (forged, forged + content[-length:]):
        graph.write_bytes(attack)
        opened.clear()
        check_own_answers(make_network(classifier, "onnx"), classifier)
        (source,) = opened
        assert source not in (str(graph), attack)
        assert "you did not export it" in caplog.text
        assert "export it again" in caplog.text


def test_a_forged_graph_that_another_user_sealed_is_left_out(classifier, graph, new_key):
    new_key("theirs")
    graph.write_bytes(seal_graph(negate(graph.read_bytes()), fingerprint(classifier)))
    new_key("mine")
    check_own_answers(make_network(classifier, "onnx"), classifier)


def test_a_graph_from_elsewhere_answers_only_when_asked_for(classifier, graph):
    graph.write_bytes(negate(graph.read_bytes()))
    with torch.no_grad():
        expected = -classifier(IDS).logits
    found = make_network(classifier, "onnx-unchecked")(IDS).logits
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_no_graph_to_use_unchecked_is_refused(classifier):
    with pytest.raises(ValueError, match=r'"onnx-unchecked" for .* which has no onnx/model.onnx'):
        make_network(classifier, "onnx-unchecked")


def test_an_own_graph_is_opened_as_it_was_checked(classifier, graph, opened, monkeypatch):
    monkeypatch.setattr(backend, "trace_graph", None)
    check_own_answers(make_network(classifier, "onnx"), classifier)
    assert opened == [graph.read_bytes()]


def test_a_graph_with_the_fingerprint_of_an_earlier_version_is_exported_again(
    classifier, graph, caplog
):
    old = onnx.load(graph)
    del old.metadata_props[:]
    old.metadata_props.add(key="anchornet_fingerprint", value=fingerprint(classifier))
    graph.write_bytes(old.SerializeToString())
    check_own_answers(make_network(classifier, "onnx"), classifier)
    assert "export it again" in caplog.text


def test_the_seal_is_an_entry_of_the_metadata(graph):
    assert onnx.load(graph).metadata_props[-1].key == SEAL
    assert SEAL in OnnxNetwork(graph).metadata


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 1000])
def test_other_files_are_not_sealed(content):
    assert not is_sealed(content, "a")
    assert is_sealed(seal_graph(content, "a"), "a")
    assert not is_sealed(seal_graph(content, "a"), "b")


def test_the_key_is_for_this_user_only_and_stays(new_key, tmp_path):
    new_key("home")
    sealed = seal_graph(b"body", "a")
    file = tmp_path / "home" / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [KEY_FILE]
    new_key("home")
    assert is_sealed(sealed, "a")


def test_without_a_home_graphs_are_known_to_their_own_process(new_key, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    new_key("file")
    assert is_sealed(seal_graph(b"body", "a"), "a")
    assert "cannot be used" in caplog.text
