"""Retrieval of passages: how often the best ones of a long text hold what people marked."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_anchornet.data.splits import DataOptions, check_column, load_split, number_labels
from hf_anchornet.evaluation.text_plausibility import check_spans
from hf_anchornet.files import write_json
from hf_anchornet.metrics.span_hit_rate import SpanHitRate
from hf_anchornet.model.classifier import label_names
from hf_anchornet.model.pipeline_anchornet_text import SpanLocalizationPipeline
from hf_anchornet.model.text_words import Span, Words
from scripts.options import parse_options

NUM_DRAWS = 20
"""Draws of random passages, over which the hit rate is averaged."""


@dataclass
class RetrievalOptions:
    """Options of the search.

    Attributes:
        model: Folder or Hub id of a text localizer.
        label: The label whose evidence is searched for, in the documents that have this label.
        split: Split to report on.
        spans_column: Column of the spans that people marked, [start, end] in characters.
        passage_tokens: Size of the passages, in the localizer's tokens.
        top_k: Number of passages of each document.
        output: JSON file to write.
    """

    model: str
    label: str
    split: str = "test"
    spans_column: str = "spans"
    passage_tokens: int = 100
    top_k: int = 3
    output: str = "results/retrieval.json"

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("passage_tokens", "top_k"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")


def measure_retrieval(data: DataOptions, options: RetrievalOptions) -> dict[str, Any]:
    """How often one of the best passages meets a span that people marked.

    Args:
        data: Texts and labels; human spans are never learned from.
        options: Options of the search.

    Returns:
        `accuracy` of the localizer on all documents; `num_documents` with the label and a human
        span, and the `median_words` of these; `hit_rate`, and `half_hit_rate` where half of a
        human span must lie in one passage. Both rates are in [0, 1] and given for "evidence" and
        for two controls of equal length: "random" passages and "head", the first ones.

    Raises:
        ValueError: if a column or split is missing, the label unknown, or no document with the
            label has a human span.
    """
    rows = load_split(data, options.split)
    check_column(rows.column_names, options.spans_column)
    localize = SpanLocalizationPipeline(
        model=AutoModelForSequenceClassification.from_pretrained(options.model),
        tokenizer=AutoTokenizer.from_pretrained(options.model),
        scales=options.passage_tokens,
        top_k=options.top_k,
        labels=[options.label],
    )
    labels = label_names(localize.model)
    targets = number_labels(rows, data.label_column, labels)
    texts, found, marked, right = [], [], [], 0
    for row, target in enumerate(tqdm(targets, desc="searching", disable=None)):
        text = rows[row][data.text_column]
        answer: Any = localize(text)
        right += labels.index(answer["label"]) == target
        name = f"`{options.spans_column}` in row {row}"
        spans = check_spans(rows[row][options.spans_column] or [], text, name)
        if labels[target] == options.label and spans:
            texts.append(text)
            found.append([(span["start"], span["end"]) for span in answer["spans"]])
            marked.append(spans)
    sizes = [[end - start for start, end in spans] for spans in found]
    drawn = [
        [_draw_passages(len(text), sizes[row], row, draw) for row, text in enumerate(texts)]
        for draw in range(NUM_DRAWS)
    ]
    head = [[(0, sum(each))] if each else [] for each in sizes]
    report: dict[str, Any] = {
        "accuracy": right / len(targets),
        "num_documents": len(texts),
        "median_words": float(np.median([len(Words.split(text)) for text in texts] or [0])),
    }
    for name, share in (("hit_rate", 0.0), ("half_hit_rate", 0.5)):
        report[name] = {
            "evidence": _rate([found], marked, options.top_k, share),
            "random": _rate(drawn, marked, options.top_k, share),
            "head": _rate([head], marked, options.top_k, share),
        }
    return report


def _draw_passages(length: int, sizes: Sequence[int], *seed: int) -> list[Span]:
    """Passages of these sizes at random places of a text of `length` characters."""
    generator = np.random.default_rng(seed)
    firsts = [int(generator.integers(0, length - size + 1)) for size in sizes]
    return [(first, first + size) for first, size in zip(firsts, sizes, strict=True)]


def _rate(
    draws: Iterable[Sequence[Sequence[Span]]],
    marked: Sequence[Sequence[Span]],
    top_k: int,
    min_share: float,
) -> float:
    """Mean hit rate over several answers to all documents."""
    rates = [
        SpanHitRate(keep_in_memory=True).compute(
            predictions=[list(map(list, spans)) for spans in found],
            references=[list(map(list, spans)) for spans in marked],
            top_k=top_k,
            min_share=min_share,
        )["span_hit_rate"]
        for found in draws
    ]
    return float(np.mean(rates))


def main() -> None:
    """Parse the options, measure, write, print."""
    data, options = parse_options(DataOptions, RetrievalOptions, description=__doc__)
    settings = {"data": asdict(data), "retrieval": asdict(options)}
    report = {"settings": settings, **measure_retrieval(data, options)}
    write_json(Path(options.output), report)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
