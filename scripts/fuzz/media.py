"""Checks of the readers and pipelines on text and image bytes.

A check takes any bytes and returns the number of cases that it tried. A fault raises an
`AssertionError`, or an error that the reader should not raise.
"""

import json
import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hf_anchornet.model.configuration_anchornet import AnchorNetImageConfig, AnchorNetTextConfig
from hf_anchornet.model.geometry import Window
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor, open_image
from hf_anchornet.model.modeling_anchornet_image import AnchorNetForImageClassification
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.model.pipeline_anchornet_image import PatchLocalizationPipeline
from hf_anchornet.model.pipeline_anchornet_text import SpanLocalizationPipeline
from hf_anchornet.model.text_reader import join_spans, select_readable_spans
from hf_anchornet.model.text_spans import locate_texts, show_best_spans, show_top_spans
from hf_anchornet.model.text_words import LocatedText, Words, count_tokens, encodable
from hf_anchornet.registration import DEFAULT_TEXT_LOCALIZER
from scripts.fuzz.inputs import split_texts

Check = Callable[[bytes], int]

WINDOWS = (Window(1, 1), Window(3, 1), Window(5, 2))
LABELS = ("cold", "warm")
TOLERANCE = 1e-9


def make_byte_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE without merges: a character of several bytes is several tokens."""
    alphabet = ["<pad>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE({token: i for i, token in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", model_max_length=10**30
    )


def make_tokenizers() -> tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase]:
    """The shipped tokenizer and a byte-level one."""
    return AutoTokenizer.from_pretrained(DEFAULT_TEXT_LOCALIZER), make_byte_tokenizer()


def make_offsets_check() -> Check:
    """A check of tokens, words and spans, with random evidence in place of a network."""
    tokenizers = make_tokenizers()

    def check(data: bytes) -> int:
        texts, seed = split_texts(data), zlib.crc32(data)
        rng = np.random.default_rng(seed)
        encoded = tokenizers[seed % 2](
            [encodable(text) for text in texts],
            add_special_tokens=False,
            return_offsets_mapping=True,
        )
        offsets = encoded["offset_mapping"]
        length = max(*(len(tokens) for tokens in offsets), WINDOWS[-1].size)
        counts = np.array([len(tokens) for tokens in offsets])
        evidence = []
        for window in WINDOWS:
            first = np.arange(window.num_positions(length)) * window.stride
            valid = (first + window.size <= counts[:, None]) | (
                (first == 0) & (counts > 0)[:, None]
            )
            drawn = rng.normal(size=(*valid.shape, len(LABELS))) * valid[..., None]
            evidence.append(torch.from_numpy(drawn))
        located = locate_texts(texts, offsets, evidence, WINDOWS)
        labels = torch.tensor([[0, 1]]).expand(len(texts), -1)
        shown = show_top_spans(located, evidence, WINDOWS, labels, 3)
        for text, spans, bounds in zip(located, shown, offsets, strict=True):
            _check_words(text.words)
            _check_located(text, np.array(bounds, dtype=np.int64).reshape(-1, 2))
            for label in range(len(LABELS)):
                _check_apart(text, [span[:2] for span in spans if span.label == label])
            _check_budgets(text, int(rng.integers(0, 12)))
        return len(texts)

    return check


def _check_words(words: Words) -> None:
    """Each non-blank character is in exactly one word, and words are in order."""
    edges = np.stack([words.starts, words.ends], axis=1).ravel()
    assert (np.diff(edges)[::2] > 0).all()
    assert (np.diff(edges) >= 0).all()
    inside = np.zeros(len(words.text) + 1, dtype=int)
    np.add.at(inside, words.starts, 1)
    np.add.at(inside, words.ends, -1)
    blank = [character.isspace() for character in words.text]
    assert (inside.cumsum()[:-1] == ~np.array(blank, dtype=bool)).all()


def _check_located(text: LocatedText, offsets: NDArray[np.int64]) -> None:
    """Tokens lie in the text, and words have the attribution of their tokens."""
    assert ((offsets >= 0) & (offsets <= len(text.words.text))).all()
    assert (offsets[:, 0] <= offsets[:, 1]).all()
    if len(text.words):
        held, whole = text.attribution.sum(axis=0), text.tokens.sum(axis=0)
        assert np.allclose(held, whole, rtol=0, atol=TOLERANCE)


def _check_apart(text: LocatedText, spans: Sequence[tuple[int, int]]) -> None:
    """Spans are disjoint ranges of words and start and end at word borders."""
    taken = np.zeros(len(text.words), dtype=bool)
    for first, last in spans:
        assert 0 <= first < last <= len(taken)
        assert not taken[first:last].any()
        taken[first:last] = True
        start, end = text.words.span(first, last)
        cut = text.words.text[start:end]
        assert cut
        assert cut == cut.strip()
        assert not np.isin([start, end], _inner_places(text.words)).any()


def _inner_places(words: Words) -> NDArray[np.int64]:
    """Places between two characters of one word."""
    places = [
        np.arange(start + 1, end) for start, end in zip(words.starts, words.ends, strict=True)
    ]
    return np.concatenate(places) if places else np.zeros(0, dtype=np.int64)


def _check_budgets(text: LocatedText, budget: int) -> None:
    """Spans to read and to show keep the budget and are in reading order."""
    costs = count_tokens(text.words, text.ends)
    read = select_readable_spans(text, costs, budget, [3])
    shown = [span[:2] for span in show_best_spans(text, [0], budget, [1, 3])]
    for spans in (read, shown):
        _check_apart(text, spans)
        assert spans == sorted(spans)
        assert sum(int(costs[first:last].sum()) for first, last in spans) <= budget
    assert len(join_spans(text.words, read)) <= len(text.words.text)


def make_text_pipeline_check() -> Check:
    """A check of the whole pipeline with a tiny random model, on a batch and on one text."""
    torch.manual_seed(0)
    tokenizer = make_byte_tokenizer()
    config = AnchorNetTextConfig(
        vocab_size=len(tokenizer),
        embedding_size=8,
        hidden_size=8,
        kernel_sizes=[3, 3],
        strides=[1, 2],
        ngram_sizes=[2],
        ngram_counts=[8],
        initializer_range=0.5,
        id2label=dict(enumerate(LABELS)),
        label2id={name: i for i, name in enumerate(LABELS)},
    )
    model = AnchorNetTextForSequenceClassification(config)
    localize = SpanLocalizationPipeline(model=model, tokenizer=tokenizer)

    def check(data: bytes) -> int:
        texts, seed = split_texts(data), zlib.crc32(data)
        options: list[dict[str, Any]] = [
            {},
            {"max_tokens": 1 + seed % 9},
            {"scales": [1 + seed % 7], "top_k": 2},
        ]
        chosen = options[seed % 3]
        answers = localize(texts, batch_size=8, **chosen)
        for text, answer in zip(texts, answers, strict=True):
            _check_answer(answer)
            covered = np.zeros(len(text), dtype=bool)
            for span in answer["spans"]:
                assert span["text"] == text[span["start"] : span["end"]] != ""
                covered[span["start"] : span["end"]] = True
            assert abs(answer["coverage"] - covered.sum() / max(1, len(text))) < TOLERANCE
        row = seed % len(texts)
        _check_same(localize(texts[row], **chosen), answers[row])
        return len(texts)

    return check


def _check_answer(answer: dict[str, Any]) -> None:
    """The answer is plain JSON with finite numbers and shares in range."""
    json.dumps(answer, allow_nan=False)
    assert answer["label"] in LABELS
    assert 0 <= answer["score"] <= 1
    assert 0 <= answer["coverage"] <= 1
    for found in answer["spans"] if "spans" in answer else answer["patches"]:
        assert found["evidence"] > 0
        assert -1 - TOLERANCE <= found["share"] <= 1 + TOLERANCE


def _check_same(alone: dict[str, Any], together: dict[str, Any]) -> None:
    """A batch changes only the last digits, which may swap spans of almost equal evidence."""
    assert alone["label"] == together["label"] or abs(alone["score"] - 0.5) < 1e-4
    assert abs(alone["score"] - together["score"]) < 1e-4
    assert alone["cost"] == together["cost"]


def make_image_pipeline_check() -> Check:
    """A check of the whole pipeline with a tiny random model, on the bytes of a file."""
    torch.manual_seed(0)
    config = AnchorNetImageConfig(
        hidden_size=8,
        channels=[4, 8],
        expand_ratios=[1, 1],
        kernel_sizes=[3, 3],
        strides=[2, 1],
        branch_depths=[1, 2],
        initializer_range=0.5,
        id2label=dict(enumerate(LABELS)),
        label2id={name: i for i, name in enumerate(LABELS)},
    )
    processor = AnchorNetImageProcessor(size={"shortest_edge": 24}, max_pixels=2**16)
    model = AnchorNetForImageClassification(config)
    localize = PatchLocalizationPipeline(model=model, image_processor=processor)

    def check(data: bytes) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about damaged tags
            try:
                answer = localize(data)
            except ValueError as error:  # anything but a picture is refused
                if not str(error).startswith("`inputs`"):
                    raise
                return 1
            width, height = open_image(data).size
        _check_answer(answer)
        for patch in answer["patches"]:
            x0, y0, x1, y1 = patch["box"].values()
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
        return 1

    return check
