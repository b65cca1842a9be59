"""Texts of random tokens with one that tells the label, and linear models of their n-grams."""

import numpy as np
import torch
from datasets import Dataset

from hf_anchornet.model.configuration_anchornet import AnchorNetTextConfig
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.training.linear_model import LabelledNgrams, fit_linear_model
from hf_anchornet.training.text_vocabulary import find_ngrams

VOCAB_SIZE = 30
SIGNS = {0: 5, 1: 6, 2: 7}
"""The token that tells each label."""


def draw_texts(num_rows, num_labels=2, seed=0, sign=0.8):
    """Texts of random tokens; most hold the token of their label."""
    random = np.random.default_rng(seed)
    labels = random.integers(num_labels, size=num_rows)
    ids = []
    for label in labels:
        text = random.integers(8, VOCAB_SIZE, size=random.integers(4, 12))
        if random.random() < sign:
            text[random.integers(len(text))] = SIGNS[int(label)]
        ids.append(text.tolist())
    return Dataset.from_dict({"input_ids": ids, "labels": labels.tolist()})


def find(rows, sizes=(1, 2)):
    return find_ngrams(rows, sizes, 2, VOCAB_SIZE)


def fit(rows, codes, num_labels=2, strength=0.3, **options):
    texts = LabelledNgrams.count(rows, codes, VOCAB_SIZE, num_labels, **options)
    return fit_linear_model(texts, strength), texts


def add_lengths(rows):
    return rows.add_column("length", [len(ids) for ids in rows["input_ids"]])


def make_model(codes, num_labels=2, **options):
    """A localizer with random weights, those of its n-grams among them."""
    config = AnchorNetTextConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=8,
        embedding_size=8,
        ngram_sizes=list(codes),
        ngram_counts=[len(each) for each in codes.values()],
        num_labels=num_labels,
        pad_token_id=0,
        **options,
    )
    model = AnchorNetTextForSequenceClassification(config).eval()
    for size, each in codes.items():
        model.ngrams.set_codes(size, each)
    with torch.no_grad():
        for table in model.ngrams.parameters():
            table[1:] = torch.randn_like(table[1:])
        torch.nn.init.normal_(model.aggregation.bias)
    return model
