"""Stock use of transformers: `Trainer`, peft, pipelines and the usual arguments of `forward`."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import Trainer, TrainingArguments

from hf_anchornet import (
    AnchorNetTextConfig,
    AnchorNetTextForSequenceClassification,
)


@pytest.fixture(params=["text", "image"])
def classifier(request):
    """A random classifier of texts, then one of images."""
    return request.getfixturevalue("model" if request.param == "text" else "image_model")


@pytest.fixture
def trunk(classifier):
    return classifier.anchornet


@pytest.fixture
def without_ngrams():
    config = AnchorNetTextConfig(vocab_size=80, embedding_size=8, hidden_size=16)
    return AnchorNetTextForSequenceClassification(config).eval()


def make_inputs(model):
    """Some inputs, by name."""
    if model.main_input_name == "input_ids":
        return {"input_ids": torch.randint(2, 80, (2, 20))}
    return {"pixel_values": torch.randn(2, 3, 17, 23)}


# Trainer


def make_rows(model):
    """Twelve rows whose labels are what the model predicts, except in the last three."""
    name = model.main_input_name
    rows = [{name: make_inputs(model)[name][0]} for _ in range(12)]
    with torch.no_grad():
        labels = [int(model(row[name][None]).logits.argmax()) for row in rows]
    labels = labels[:9] + [1 - label for label in labels[9:]]
    return Dataset.from_list(
        [{name: row[name].tolist(), "labels": y} for row, y in zip(rows, labels, strict=True)]
    )


@pytest.mark.parametrize("output_evidence", [False, True])
@pytest.mark.parametrize("output_hidden_states", [False, True])
def test_trainer_gives_plain_logits_to_compute_metrics(
    classifier, tmp_path, output_evidence, output_hidden_states
):
    classifier.config.output_evidence = output_evidence
    classifier.config.output_hidden_states = output_hidden_states
    trainer = Trainer(
        classifier,
        TrainingArguments(str(tmp_path), report_to=[], per_device_eval_batch_size=5, use_cpu=True),
        compute_metrics=lambda found: {
            "accuracy": float(np.mean(np.argmax(found.predictions, -1) == found.label_ids))
        },
    )
    rows = make_rows(classifier)
    assert trainer.evaluate(rows)["eval_accuracy"] == 0.75
    assert trainer.predict(rows).predictions.shape == (12, 2)


def test_trainer_divides_the_loss_by_the_steps_that_it_accumulates(classifier, tmp_path):
    rows = make_rows(classifier).select([0] * 8)  # equal rows: the mean of losses is each loss
    for module in classifier.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.Dropout):
            module.train = lambda mode=True: module  # as in evaluation
    classifier.eval().train = lambda mode=True: classifier
    losses = []
    for steps in (1, 4):
        arguments = TrainingArguments(
            str(tmp_path),
            report_to=[],
            use_cpu=True,
            max_steps=1,
            learning_rate=0.0,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=steps,
        )
        losses.append(Trainer(classifier, arguments, train_dataset=rows).train().training_loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
