"""Without the extra, explainers say what to install."""

import sys

import pytest

from hf_anchornet.explain.captum_extra import import_captum
from hf_anchornet.explain.text_explainers import explain_text
from hf_anchornet.explain.text_subject import TextSubject


@pytest.mark.parametrize("missing", ["captum.attr", "sklearn.linear_model"])
def test_a_missing_library_names_the_extra(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"pip install 'hf-anchornet\[explain\]'"):
        import_captum()


def test_evidence_needs_no_extra(monkeypatch, planted, tokenizer):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    subject = TextSubject(planted, tokenizer)
    assert explain_text(subject, "a good film", 1).argmax() == 1
    with pytest.raises(ImportError, match="explain"):
        explain_text(subject, "a good film", 1, "occlusion")
