"""Ideas for a shorter text: what each takes, and their comparison from end to end."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.testing import assert_close
from transformers import AutoConfig, AutoTokenizer

from hf_anchornet import DEFAULT_TEXT_CLASSIFIER, DEFAULT_TEXT_LOCALIZER, SpanReader
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.model.text_localizer import TextLocalizer
from hf_anchornet.training.options import TrainingOptions
from scripts.ablations.readings import (
    IDEAS,
    AblationOptions,
    collate,
    compare_readings,
    compute_logits,
    encode,
    judge,
    view_texts,
)

TEXT = (
    "We saw it on a Monday, late in the evening. The cast is superb and wonderful, which I did "
    "not expect. Then we went home by bus. The script is awful and boring! It took an hour."
)


@pytest.fixture(scope="module")
def view():
    return view_texts(TextLocalizer.load(DEFAULT_TEXT_LOCALIZER), [TEXT])[0]


@pytest.fixture(scope="module")
def reader():
    return SpanReader.load(DEFAULT_TEXT_CLASSIFIER)


@pytest.fixture
def read(view, reader):
    """The text that an idea makes of `TEXT`, special tokens included."""

    def read(name, max_tokens=16):
        row = encode(IDEAS[name], reader, view, max_tokens)
        return reader.tokenizer.decode(row["input_ids"])

    return read


@pytest.mark.parametrize("name", IDEAS)
@pytest.mark.parametrize("max_tokens", [3, 8, 16, 400])
def test_an_idea_stays_within_the_budget(name, max_tokens, view, reader):
    row = encode(IDEAS[name], reader, view, max_tokens)
    assert 2 < len(row["input_ids"]) <= max_tokens
    assert len(row["position_ids"]) == len(row["input_ids"])


def test_what_speaks_against_the_predicted_label_is_read_unless_only_that_label_counts(read):
    assert {"superb", "awful"} <= set(read("windows").split())
    one_sided = set(read("predicted").split())
    assert len({"superb", "awful"} & one_sided) == 1


def test_sentences_are_whole(read):
    assert read("sentences", 12) == "[CLS] the script is awful and boring ! [SEP]"


def test_clauses_are_whole(read):
    chosen = read("clauses", 20)
    assert "the cast is superb and wonderful , " in chosen
    assert "which" not in chosen


def test_the_separator_stands_between_parts_only(read, reader):
    sep = reader.tokenizer.sep_token
    inner = read("separated").removesuffix(sep)
    assert sep in inner
    assert not inner.rstrip().endswith(sep)
    assert sep not in read("windows").removesuffix(sep)


def test_kept_positions_are_those_of_the_full_text(view, reader):
    full = reader.tokenizer(TEXT)["input_ids"]
    row = encode(IDEAS["positions"], reader, view, 16)
    own = list(zip(row["position_ids"], row["input_ids"], strict=True))
    assert own[0][0] == 0
    assert all(full[place] == token for place, token in own[:-1])
    assert own[-1][0] == own[-2][0] + 1


def test_positions_count_from_zero_without_gaps_unless_kept(view, reader):
    row = encode(IDEAS["windows"], reader, view, 16)
    assert row["position_ids"] == list(range(len(row["input_ids"])))


def test_padding_changes_no_logits(view, reader):
    rows = Dataset.from_list(
        [encode(IDEAS["positions"], reader, view, size) | {"labels": 0} for size in (8, 32)]
    )
    together = compute_logits(reader.model, rows)
    alone = torch.cat([compute_logits(reader.model, rows.select([row])) for row in range(2)])
    assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_batch_is_padded_on_the_right():
    rows = [
        {"input_ids": [5, 6, 7], "position_ids": [0, 4, 5], "labels": 1},
        {"input_ids": [8], "position_ids": [0], "labels": 0},
    ]
    batch = collate(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 4, 5], [0, 0, 0]]
    assert batch["labels"].tolist() == [1, 0]


def test_models_are_judged_alone_and_together():
    localizer = torch.tensor([[4.0, 0.0], [4.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    classifier = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 4.0], [4.0, 0.0]])
    scores = judge(localizer, classifier, torch.tensor([0, 0, 1, 1]))
    assert scores["localizer"] == 1
    assert scores["classifier"] == 0.5
    assert 0.5 <= scores["mean"] <= 1


@pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")
def test_ideas_are_trained_and_compared_on_the_validation_split(tmp_path):
    rows = {"text": ["superb and wonderful", "awful and boring"] * 4}
    rows["label"] = ["positive", "negative"] * 4
    for split in ("train", "validation"):
        (tmp_path / "data").mkdir(exist_ok=True)
        Dataset.from_dict(rows).to_parquet(tmp_path / "data" / f"{split}.parquet")
    options = AblationOptions(
        str(DEFAULT_TEXT_LOCALIZER), str(DEFAULT_TEXT_CLASSIFIER), ["windows", "positions"], 12
    )
    training = TrainingOptions(str(tmp_path / "runs"), num_epochs=1, learning_rate=1e-5)
    report = compare_readings(DataOptions(str(tmp_path / "data")), options, training)
    assert report["num_rows"] == 8
    assert set(report["ideas"]) == {"windows", "positions"}
    for scores in report["ideas"].values():
        assert scores["mean"] == 1  # the shipped models know these words
        assert np.mean([seed["mean"] for seed in scores["seeds"]]) == scores["mean"]


def test_an_unknown_idea_is_named():
    with pytest.raises(ValueError, match=r"`ideas` must be among .*got \['paragraphs'\]"):
        AblationOptions("localizer", "classifier", ["paragraphs"])


@pytest.mark.usefixtures("cache_nothing_at_home")
def test_a_tokenizer_without_a_separator_is_refused(localizer_folder, classifier_folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(classifier_folder)
    tokenizer.sep_token = None
    tokenizer.save_pretrained(classifier_folder)
    names = ["negative", "positive"]
    config = AutoConfig.from_pretrained(
        classifier_folder,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )
    config.save_pretrained(classifier_folder)
    rows = Dataset.from_dict({"text": ["good film", "bad film"], "label": names})
    for split in ("train", "validation"):
        (tmp_path / "data").mkdir(exist_ok=True)
        rows.to_parquet(tmp_path / "data" / f"{split}.parquet")
    options = AblationOptions(str(localizer_folder), str(classifier_folder), ["separated"], 12)
    with pytest.raises(ValueError, match=r"`ideas` must leave out \"separated\""):
        compare_readings(
            DataOptions(str(tmp_path / "data")), options, TrainingOptions(str(tmp_path / "runs"))
        )
