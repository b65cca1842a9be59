"""The numbers of README and cards for a text localizer and the classifiers behind it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_anchornet.data.splits import DataOptions, load_split
from hf_anchornet.data.texts import make_collator, tokenize
from hf_anchornet.evaluation.accuracy import evaluate_accuracy
from hf_anchornet.files import write_json
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.costs import count_multiply_adds
from hf_anchornet.model.modeling_anchornet import sum_evidence
from hf_anchornet.training.batches import make_text_loader
from hf_anchornet.training.text_adaptation import TextClassifierOptions, encode_readings
from scripts.options import parse_options


@dataclass
class TextMeasurement:
    """Options of the measurement.

    Attributes:
        localizer: Folder or Hub id of the localizer.
        dataset: Source with the labels that the models were trained on; see `DataOptions`.
        split: Split to report on.
        classifiers: Classifiers and what they read, as reading=folder.
        max_tokens: Budget of every reading but the full one.
        output: JSON file to write.
    """

    localizer: str
    dataset: str
    split: str = "test"
    classifiers: list[str] = field(default_factory=list)
    max_tokens: int = 64
    output: str = "results/text.json"


def measure_text(options: TextMeasurement) -> dict[str, Any]:
    """All numbers of a localizer and its classifiers, ready for JSON."""
    model = AutoModelForSequenceClassification.from_pretrained(options.localizer)
    tokenizer = AutoTokenizer.from_pretrained(options.localizer)
    data = DataOptions(options.dataset)
    rows = load_split(data, options.split)
    encoded = tokenize(rows, tokenizer, data, label_names(model))
    report: dict[str, Any] = {
        "split": options.split,
        "num_rows": len(rows),
        "localizer": {
            "accuracy": _accuracy(model, tokenizer, encoded),
            "parameters": sum(p.numel() for p in model.parameters()),
            "multiply_adds_per_token": count_token_multiply_adds(model, 1000),
            **check_contract(model, encoded),
        },
        "classifiers": {},
    }
    for item in options.classifiers:
        name, folder = item.split("=", 1)
        report["classifiers"][name] = measure_classifier(
            TextClassifierOptions(options.localizer, reading=name, max_tokens=options.max_tokens),
            folder,
            rows,
            data,
        )
    return report


def measure_classifier(
    options: TextClassifierOptions, folder: str, rows: Dataset, data: DataOptions
) -> dict[str, Any]:
    """Accuracy, mean tokens read and multiply-adds per text of one classifier on its reading."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = encode_readings(options, model, tokenizer, rows, data, label_names(model))
    tokens = float(np.mean(encoded["length"]))
    return {
        "accuracy": _accuracy(model, tokenizer, encoded),
        "tokens_read": tokens,
        "multiply_adds": count_token_multiply_adds(model, round(tokens)) * round(tokens),
    }


def _accuracy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, encoded: Dataset
) -> float:
    loader = make_text_loader(encoded, make_collator(tokenizer.pad_token_id), 32)
    return evaluate_accuracy(model, loader, Accelerator(cpu=True))["accuracy"]


def count_token_multiply_adds(model: PreTrainedModel, num_tokens: int) -> float:
    """Multiply-adds a token for a text of `num_tokens`, of matrix products and convolutions."""
    ids = torch.ones(1, num_tokens, dtype=torch.long, device=model.device)
    return count_multiply_adds(model.eval(), ids) / num_tokens


@torch.no_grad()
def check_contract(
    model: PreTrainedModel, encoded: Dataset, num_texts: int = 200
) -> dict[str, float]:
    """Largest relative error of the additive identity and of chunked against whole texts.

    Errors are relative to the largest absolute logit of the text; the evidence, float32 like the
    logits, is summed in float64, unlike in the model.
    """
    model.eval()
    additive = chunked = 0.0
    whole_size = model.config.chunk_size
    for ids in encoded.select(range(min(num_texts, len(encoded))))["input_ids"]:
        text = torch.tensor([ids], dtype=torch.long)
        model.config.chunk_size = None
        whole = model(text, output_evidence=True)
        model.config.chunk_size = 64
        parts = model(text).logits
        total = whole.bias.double() + sum_evidence([e.double() for e in whole.evidence]).sum(dim=0)
        additive = max(additive, relative_error(total, whole.logits))
        chunked = max(chunked, relative_error(parts, whole.logits))
    model.config.chunk_size = whole_size
    return {"additive_error": additive, "chunked_error": chunked}


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest absolute difference over the largest absolute expected value."""
    return float((found - expected).abs().max() / expected.abs().max())


def main() -> None:
    """Parse the options, measure, write."""
    (options,) = parse_options(TextMeasurement, description=__doc__)
    write_json(Path(options.output), measure_text(options))


if __name__ == "__main__":
    main()
