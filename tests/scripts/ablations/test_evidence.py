"""Ideas for better evidence: what each changes, and their comparison from end to end."""

import pytest
import torch
from datasets import Dataset
from torch.testing import assert_close

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_options import TextLocalizerOptions
from scripts.ablations.evidence import (
    CONTINUITY,
    ENTROPY,
    IDEAS,
    ByContinuityForSequenceClassification,
    ByEntropyForSequenceClassification,
    BySizeForSequenceClassification,
    EvidenceAblationOptions,
    compare_evidence,
    merge_reports,
)
from scripts.benchmarks.evidence_tables import make_idea_table

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")

# Two windows of one text, two labels: 2 and -2 once centred, and nothing.
EVIDENCE = [torch.tensor([[[2.0, -2.0], [0.0, 0.0]]])]


def test_evidence_costs_what_its_windows_cover(config):
    config.evidence_penalty, config.ngram_penalty = 0.1, 0.01
    model = BySizeForSequenceClassification(config)
    sizes = [window.size for window in model.windows]
    plain = super(BySizeForSequenceClassification, model).branch_penalties
    expected = [penalty * size for penalty, size in zip(plain, sizes, strict=True)]
    assert model.branch_penalties == pytest.approx(expected)


def test_entropy_is_least_if_one_window_has_all(config):
    config.evidence_penalty = config.ngram_penalty = 0.0
    model = ByEntropyForSequenceClassification(config)
    assert_close(_penalize(model, EVIDENCE), torch.tensor(0.0))
    nothing = [torch.zeros(1, 2, 2, requires_grad=True)]
    _penalize(model, nothing).backward()
    assert nothing[0].grad.isfinite().all()
    even = [torch.tensor([[[2.0, -2.0], [-2.0, 2.0]]])]
    assert_close(_penalize(model, even), ENTROPY * torch.tensor(2.0).log())


def test_continuity_counts_the_steps_between_neighbours(config):
    config.evidence_penalty = config.ngram_penalty = 0.0
    assert_close(
        _penalize(ByContinuityForSequenceClassification(config), EVIDENCE),
        torch.tensor(4 * CONTINUITY),
    )


def _penalize(model, evidence):
    """The penalty of one branch."""
    model.config.ngram_sizes = []
    model.windows = model.windows[:1]
    return model.penalize(evidence)


@pytest.fixture
def reviews(tmp_path):
    texts = [f"a {word} film number {row}" for row in range(8) for word in ("good", "bad")]
    columns = {"text": texts, "label": ["positive", "negative"] * 8}
    folder = tmp_path / "reviews"
    folder.mkdir()
    for split in ("train", "validation"):
        rows = Dataset.from_dict(columns | {"spans": [[[2, 5]]] * 16})
        rows.to_parquet(folder / f"{split}.parquet")
    return str(folder)


def test_ideas_are_trained_and_judged_alike(reviews, tmp_path):
    options = EvidenceAblationOptions([reviews], ["default", "learned gate"], smoothing=1.0)
    localizer = TextLocalizerOptions(vocab_size=60, hidden_size=8, ngram_min_count=2)
    training = TrainingOptions(str(tmp_path / "runs"), num_epochs=1, batch_size=4)
    seen = []
    report = compare_evidence(
        DataOptions(reviews),
        options,
        localizer,
        training,
        lambda part: seen.append(len(part["ideas"])),
    )
    assert seen == [1, 2]
    assert list(report["ideas"]) == ["default", "learned gate"]
    for found in report["ideas"].values():
        assert 0 <= found["accuracy"] <= 1
        for judged in ("evidence", "refined_evidence"):
            assert found["sets"]["reviews"][judged]["num_documents"] == 16
    table = make_idea_table(report)
    assert table.startswith("| idea | accuracy | reviews: pointing / AUPRC / smoothed / refined |")
    assert len(table.splitlines()) == 4


def test_an_idea_with_a_teacher_needs_one(reviews, tmp_path):
    options = EvidenceAblationOptions([reviews], ["teacher, phrases"])
    training = TrainingOptions(str(tmp_path))
    with pytest.raises(ValueError, match="`teacher` must be a classifier for these `ideas`"):
        compare_evidence(DataOptions(reviews), options, TextLocalizerOptions(), training)


def test_an_unknown_idea_is_refused():
    with pytest.raises(ValueError, match=r"`ideas` must be among .* got \['luck'\]"):
        EvidenceAblationOptions([], ["luck"])


def test_every_idea_is_a_change_of_known_options():
    known = set(TextLocalizerOptions.__dataclass_fields__)
    assert all(set(idea.changes) <= known for idea in IDEAS.values())


def test_processes_that_share_the_ideas_make_one_report():
    settings = {"ablation": {"ideas": ["entropy"], "smoothing": 3.0}}
    known = {"settings": settings, "ideas": {"entropy": 1}}
    other = {
        "settings": {"ablation": {"ideas": ["default"], "smoothing": 3.0}},
        "ideas": {"default": 2},
    }
    assert merge_reports({}, known) == known
    merged = merge_reports(known, other)
    assert list(merged["ideas"].items()) == [("default", 2), ("entropy", 1)]
    assert merged["settings"]["ablation"]["ideas"] == ["default", "entropy"]
    other["settings"]["ablation"]["smoothing"] = 1.0
    with pytest.raises(ValueError, match=r"`output` must hold ideas of the same options.*ablation"):
        merge_reports(known, other)
