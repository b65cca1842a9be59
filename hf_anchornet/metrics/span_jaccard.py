"""Span Jaccard: word overlap of a selected part of a text with the part that a human selected."""

import datasets
import evaluate

from .common import describe, require_examples

_CITATION = """\
@misc{maggie-etal-2020-tweet,
    title = {Tweet Sentiment Extraction},
    author = {Maggie and Culliton, Phil and Chen, Wei},
    howpublished = {Kaggle, \\url{https://kaggle.com/competitions/tweet-sentiment-extraction}},
    year = {2020},
}
"""

_INPUTS = """\
Args:
    predictions: For each text the part that was selected, a string.
    references: For each text the part that a human selected, a string.

Returns:
    `span_jaccard`: Mean over texts of the words in both parts / the words in either part, in
        [0, 1], higher is better; 1 where both parts are blank, 0 where one is.
    `num_documents`: Number of texts.

Raises:
    ValueError: A part is not a string, or there are no texts.
"""


class SpanJaccard(evaluate.Metric):
    """Mean Jaccard index of the word sets of two parts of a text; texts have equal weight.

    The score of the Kaggle competition "Tweet Sentiment Extraction" (2020), page "Evaluation":
    words are lower-cased and split at white space only, so that "good!" and "good" differ; a word
    counts once. Its code divides by zero where both parts are blank; here that is 1.
    """

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return describe(__doc__, _CITATION, _INPUTS, text, text)

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        require_examples(references, "text")
        scores = []
        for index, (selected, marked) in enumerate(zip(predictions, references, strict=True)):
            for name, part in (("predictions", selected), ("references", marked)):
                if not isinstance(part, str):
                    raise ValueError(
                        f"`{name}` must be strings, got {part!r} for text {index}; give an empty "
                        "string where nothing is selected."
                    )
            scores.append(_jaccard(set(selected.lower().split()), set(marked.lower().split())))
        return {"span_jaccard": sum(scores) / len(scores), "num_documents": len(scores)}


def _jaccard(one: set[str], other: set[str]) -> float:
    either = len(one | other)
    return len(one & other) / either if either else 1.0
