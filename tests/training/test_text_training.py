"""Text localizers: the loop that trains them, what they learn and what is saved."""

import json
import re
from pathlib import Path

import datasets
import pytest
import torch
from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from planted_texts import FAST, SMALL, plant
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
    pipeline,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.data.texts import make_collator
from hf_anchornet.training.batches import make_text_loader
from hf_anchornet.training.defaults import complete_options
from hf_anchornet.training.epoch_lines import describe_epoch
from hf_anchornet.training.fit import make_accelerator
from hf_anchornet.training.loop import group_parameters, run_training
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import (
    choose_linear_weights,
    make_text_localizer,
    make_tokenizer,
    train_text_localizer,
)
from hf_anchornet.training.text_vocabulary import find_ngrams, train_tokenizer

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@pytest.fixture(scope="module")
def planted_run(tmp_path_factory):
    """Data with a planted word, the folder of a localizer trained on it, and the report."""
    base = tmp_path_factory.mktemp("planted")
    source = plant(base / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", base / "cache")
        options = TrainingOptions(str(base / "run"), num_epochs=2, **FAST)
        report = train_text_localizer(DataOptions(source), TextLocalizerOptions(**SMALL), options)
    return source, base / "run", report


class Fixed(nn.Module):
    """A model whose logits are its only parameter, the same for each row."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, labels, **inputs):
        logits = self.logits.expand(len(labels), -1)
        if labels.ndim == 1:
            loss = nn.functional.cross_entropy(logits, labels)
        else:
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def save_pretrained(self, folder):
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / "logits.txt").write_text(str(self.logits.tolist()))


def run_fixed(model, options, accuracies):
    """Train `model` on four rows; its accuracy after each epoch is given."""
    rows = [{"input_ids": [1, 2], "length": 2, "labels": 1}] * 4
    loader = make_text_loader(Dataset.from_list(rows), make_collator(0), options.batch_size)
    scores = iter(accuracies)
    accelerator = make_accelerator(options)

    def evaluate(prepared):
        return {"accuracy": next(scores)}

    return run_training(model, loader, evaluate, options, accelerator, Fixed.save_pretrained)


def test_a_localizer_learns_a_planted_word(planted_run):
    _, _, report = planted_run
    assert report["history"][-1]["accuracy"] == 1.0


def test_a_trained_localizer_points_at_the_planted_word(planted_run):
    source, folder, _ = planted_run
    localize = pipeline("span-localization", model=str(folder), top_k=1)
    rows = Dataset.from_parquet(f"{source}/validation.parquet", cache_dir=str(folder / "cache"))
    for row, answer in zip(rows, localize(list(rows["text"])), strict=True):
        (span,) = answer["spans"]
        assert answer["label"] == row["label"]
        assert {"superb", "dreadful"} & set(span["text"].split())
        assert row["text"][span["start"] : span["end"]] == span["text"]


def test_the_report_is_written_with_options_history_and_the_best_epoch(planted_run):
    _, folder, report = planted_run
    written = json.loads((folder / "training.json").read_text("utf-8"))
    assert written == report
    assert written["num_processes"] == 1
    assert written["options"]["learning_rate"] == FAST["learning_rate"]
    assert [scores["epoch"] for scores in written["history"]] == [1, 2]
    assert set(written["best"]) == {"epoch", "train_loss", "accuracy", "loss"}


def test_the_saved_localizer_has_label_names_ngrams_and_a_bare_tokenizer(planted_run):
    _, folder, _ = planted_run
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert model.config.ngram_sizes == [1, 2]
    assert (model.ngrams.codes_1[1:] > model.ngrams.codes_1[:-1]).all()
    assert len(tokenizer) == model.config.vocab_size
    assert tokenizer.num_special_tokens_to_add() == 0


def test_the_same_seed_gives_the_same_weights(planted_run, tmp_path):
    source, _, _ = planted_run
    runs = []
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        options = TrainingOptions(str(tmp_path / name), num_epochs=1, seed=seed, **FAST)
        data = DataOptions(source, max_rows=32)
        train_text_localizer(data, TextLocalizerOptions(**SMALL, linear_weight=0.5), options)
        runs.append(load_file(tmp_path / name / "model.safetensors"))
    assert all(runs[0][name].equal(runs[1][name]) for name in runs[0])
    assert not runs[0]["aggregation.heads.0.weight"].equal(runs[2]["aggregation.heads.0.weight"])


@pytest.mark.parametrize(
    ("options", "rows", "weights"),
    [
        ({}, 99, (0.0, 1.0)),
        ({}, 100, None),
        ({"linear_weight": 0.5}, 9, (1.0, 0.5)),
        ({"from_localizer": "known"}, 9, None),
    ],
)
def test_few_validation_rows_judge_nothing(options, rows, weights):
    assert choose_linear_weights(TextLocalizerOptions(**options), rows) == weights


def test_few_rows_leave_the_answer_to_the_linear_model(planted_run, tmp_path):
    source, _, _ = planted_run
    options = TrainingOptions(str(tmp_path), num_epochs=1, **FAST)
    report = train_text_localizer(
        DataOptions(source, max_rows=32), TextLocalizerOptions(**SMALL), options
    )
    found = report["linear_ngrams"]
    assert (found["learned_weight"], found["weight"]) == (0.0, 1.0)
    assert report["best"]["accuracy"] > 0.9


def test_only_the_best_checkpoint_is_kept(tmp_path):
    options = TrainingOptions(str(tmp_path), num_epochs=3, batch_size=2)
    model = Fixed([0.0, 0.0])
    report = run_fixed(model, options, [0.5, 0.9, 0.7])
    kept = json.loads((tmp_path / "logits.txt").read_text())
    assert report["best"]["epoch"] == 2
    assert 0 < kept[1] < model.logits[1].item()


def test_of_equal_epochs_the_first_is_kept(tmp_path):
    options = TrainingOptions(str(tmp_path), num_epochs=2, batch_size=4)
    model = Fixed([0.0, 0.0])
    assert run_fixed(model, options, [0.0, 0.0])["best"]["epoch"] == 1
    assert json.loads((tmp_path / "logits.txt").read_text())[1] < model.logits[1].item()


@pytest.mark.parametrize("accumulation", [1, 2, 3])
def test_the_learning_rate_rises_and_then_falls_to_zero(tmp_path, monkeypatch, accumulation):
    rates = []
    step = torch.optim.AdamW.step

    def record(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    options = TrainingOptions(
        str(tmp_path),
        num_epochs=5,
        batch_size=1,
        learning_rate=1.0,
        warmup_ratio=0.2,
        gradient_accumulation_steps=accumulation,
    )
    run_fixed(Fixed([0.0, 0.0]), options, [0.0] * 5)
    steps = 5 * -(-4 // accumulation)
    warmup = int(0.2 * steps)
    rising = [step / warmup for step in range(warmup)]
    falling = [(steps - step) / (steps - warmup) for step in range(warmup, steps)]
    torch.testing.assert_close(rates, rising + falling)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path):
    options = TrainingOptions(str(tmp_path), num_epochs=1, batch_size=4, learning_rate=3.0)
    with pytest.raises(FloatingPointError, match=r"became nan in epoch 1; lower .* \(3.0\)"):
        run_fixed(Fixed([float("nan"), 0.0]), options, [0.0])


def test_parameter_groups_hold_each_parameter_once(model):
    groups = group_parameters(model, complete_options(TrainingOptions("unused")))
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(parameter) for parameter in model.parameters()}


def test_tables_vectors_and_matrices_have_rates_and_decay_of_their_own(model):
    options = complete_options(TrainingOptions("unused"))
    groups = group_parameters(model, options)
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }
    assert found[id(model.anchornet.embeddings.weight)] == (options.embedding_learning_rate, 0)
    assert found[id(model.ngrams.tables[0].weight)] == (options.ngram_learning_rate, 0)
    assert found[id(model.aggregation.bias)] == (options.learning_rate, 0)
    heads = model.aggregation.heads[0].weight
    assert found[id(heads)] == (options.learning_rate, options.weight_decay)


@pytest.mark.parametrize("name", ["num_epochs", "batch_size", "gradient_accumulation_steps"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
        TrainingOptions("unused", **{name: 0})


def test_a_distillation_weight_outside_zero_and_one_is_refused():
    with pytest.raises(ValueError, match=r"`distillation_weight` must be in \[0, 1\], got 2"):
        TextLocalizerOptions(distillation_weight=2)


def test_each_process_gets_other_rows_and_together_they_see_the_epoch():
    rows = Dataset.from_dict({"length": [i % 7 for i in range(64)], "row": list(range(64))})

    def collate(batch):
        return [row["row"] for row in batch]

    epochs = []
    for process in range(2):
        loader = make_text_loader(rows, collate, 4, seed=0)
        prepared = prepare_data_loader(
            loader, num_processes=2, process_index=process, put_on_device=False
        )
        epochs.append([[row for batch in prepared for row in batch] for _ in range(2)])
    for epoch in range(2):
        assert not set(epochs[0][epoch]) & set(epochs[1][epoch])
        assert sorted(epochs[0][epoch] + epochs[1][epoch]) == list(range(64))
    assert epochs[0][0] != epochs[0][1]


def test_batches_hold_texts_of_similar_length_in_a_random_order():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 1000, (400,), generator=generator).tolist()
    rows = Dataset.from_dict({"length": lengths})
    loader = make_text_loader(rows, lambda batch: [row["length"] for row in batch], 8, seed=0)
    batches = list(loader)
    assert sorted(length for batch in batches for length in batch) == sorted(lengths)
    # The longest text of all is moved to the first batch.
    assert sum(max(batch) - min(batch) < 200 for batch in batches) > len(batches) * 0.9
    assert [max(batch) for batch in batches] != sorted(map(max, batches))


def test_without_a_seed_texts_come_from_short_to_long():
    rows = Dataset.from_dict({"length": [3, 1, 2, 1]})
    loader = make_text_loader(rows, lambda batch: [row["length"] for row in batch], 3)
    assert list(loader) == [[1, 1, 2], [3]]


def test_an_ngram_size_without_a_frequent_ngram_is_left_out(tokenizer):
    train_set = Dataset.from_dict({"input_ids": [[2, 3], [2, 4]], "labels": [0, 1]})
    options = TextLocalizerOptions(hidden_size=8, ngram_min_count=2)
    ngrams = find_ngrams(train_set, [1, 2, 3], 2, len(tokenizer))
    model = make_text_localizer(options, tokenizer, train_set, ["a", "b"], ngrams)
    assert model.config.ngram_sizes == [1]
    assert model.ngrams.codes_1.tolist() == [3]
    assert len(model.windows) == 4


def test_a_localizer_without_a_trunk_is_its_ngrams(planted_run, tmp_path):
    source, _, _ = planted_run
    options = TrainingOptions(str(tmp_path / "run"), num_epochs=1, **FAST)
    localizer = TextLocalizerOptions(**SMALL, trunk=False)
    report = train_text_localizer(DataOptions(source), localizer, options)
    assert report["best"]["accuracy"] == 1.0
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    assert {name.split(".")[0] for name in model.state_dict()} == {"ngrams", "aggregation"}
    localize = pipeline("span-localization", model=str(tmp_path / "run"), top_k=1)
    (span,) = localize("superb")["spans"]
    assert (span["text"], span["label"]) == ("superb", "positive")


def test_a_linear_model_is_added_unless_its_weight_is_zero(planted_run, tmp_path):
    source, _, _ = planted_run
    tables = {}
    for weight in (0, 0.5, None):
        options = TrainingOptions(str(tmp_path / str(weight)), num_epochs=1, **FAST)
        localizer = TextLocalizerOptions(**SMALL, linear_weight=weight)
        report = train_text_localizer(DataOptions(source), localizer, options)
        model = AutoModelForSequenceClassification.from_pretrained(options.output_dir)
        tables[weight] = model.ngrams.tables[0].weight
        assert ("linear_ngrams" in report) is (weight != 0)
    assert report["linear_ngrams"].keys() == {"strength", "weight", "learned_weight"}
    assert report["best"]["loss"] <= report["history"][0]["loss"]
    written = json.loads(Path(options.output_dir, "training.json").read_text("utf-8"))
    assert written == report
    assert not torch.allclose(tables[0], tables[0.5])
    assert not torch.allclose(tables[0], tables[None])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"linear_weight": -1.0}, r"`linear_weight` must be at least 0, got -1"),
        ({"linear_weight": 0.5, "ngram_sizes": []}, r"`linear_weight` must be 0 .* got 0\.5"),
        ({"trunk": False, "ngram_sizes": []}, r"`ngram_sizes` must name at least one size"),
        ({"trunk": False, "encoder": "a"}, r"`embeddings` must be None without a trunk, got a"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TextLocalizerOptions(**options)


def test_without_a_trunk_and_frequent_ngrams_there_is_nothing_to_train(tmp_path):
    rows = Dataset.from_dict({"text": ["a b", "c d"] * 2, "label": ["x", "y"] * 2})
    rows.to_parquet(tmp_path / "data.parquet")
    data = DataOptions(str(tmp_path / "data.parquet"), validation_split="train")
    localizer = TextLocalizerOptions(trunk=False, ngram_min_count=9)
    with pytest.raises(ValueError, match=r"`ngram_min_count` must leave some n-grams .* got 9: "):
        train_text_localizer(data, localizer, TrainingOptions(str(tmp_path / "run")))


def test_lists_of_labels_make_a_multi_label_localizer(tmp_path):
    texts = ["superb plot", "dreadful plot", "superb and dreadful", "the plot"] * 8
    labels = [["good"], ["bad"], ["bad", "good"], []] * 8
    Dataset.from_dict({"text": texts, "label": labels}).to_parquet(tmp_path / "data.parquet")
    options = TrainingOptions(str(tmp_path / "run"), num_epochs=8, **FAST)
    data = DataOptions(str(tmp_path / "data.parquet"), validation_split="train")
    report = train_text_localizer(data, TextLocalizerOptions(**SMALL), options)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    assert report["best"]["accuracy"] == 1.0
    assert model.config.problem_type == "multi_label_classification"


def test_an_existing_tokenizer_and_encoder_can_be_the_start(tmp_path):
    stored = train_tokenizer(["good film", "bad film"] * 2, 50, classifies=True)
    stored.save_pretrained(tmp_path)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    BertModel(BertConfig(vocab_size=len(stored), **sizes)).save_pretrained(tmp_path)
    start = str(tmp_path)
    options = TextLocalizerOptions(
        tokenizer=start, embeddings=start, hidden_size=8, ngram_min_count=1
    )
    tokenizer = make_tokenizer(options, [])
    train_set = Dataset.from_dict({"input_ids": [[2, 3]], "labels": [0]})
    model = make_text_localizer(options, tokenizer, train_set, ["a", "b"], {})
    assert tokenizer("good film").input_ids == stored("good film").input_ids[1:-1]
    torch.testing.assert_close(
        model.get_input_embeddings().weight.std(), torch.tensor(1.0), atol=1e-4, rtol=0
    )


def test_a_localizer_learns_from_a_teacher(planted_run, tmp_path):
    source, teacher, _ = planted_run
    options = TrainingOptions(str(tmp_path / "run"), num_epochs=2, **FAST)
    localizer = TextLocalizerOptions(teacher=str(teacher), distillation_weight=1.0, **SMALL)
    report = train_text_localizer(DataOptions(source), localizer, options)
    assert report["best"]["accuracy"] == 1.0


def test_two_processes_train_one_model_and_agree_on_its_accuracy(
    planted_run, train_on_two_processes
):
    source, _, _ = planted_run
    small = "--vocab_size 200 --hidden_size 16 --ngram_min_count 2 --batch_size 8 --num_epochs 2"
    small += " --learning_rate 1e-2 --embedding_learning_rate 5e-2"
    report, logs = train_on_two_processes(source, small)
    assert report["num_processes"] == 2
    assert report["best"]["accuracy"] == 1.0
    # Each process logs what it measured.
    logged = re.findall(r"epoch 2 of 2: .*", logs)
    assert len(logged) == 2
    assert logged[0] == logged[1] == describe_epoch(report["history"], "accuracy", 2)
