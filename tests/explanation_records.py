"""Records of explanations as the evaluation writes them, and their summary."""

import numpy as np

from hf_anchornet.evaluation.summary import ExplanationSummary

TEXT = "the good film was not bad"


def make_text(row, explainer="evidence", seconds=0.1, **fields):
    record = {
        "row": row,
        "explainer": explainer,
        "label": 1,
        "explained": 1,
        "probs": [0.2, 0.8],
        "text": TEXT,
        "spans": [[4, 8]],
        "boxes": None,
        "scores": [0.0, 3.0, 0.0, 0.0, 1.0, 0.0],
        "degrees": {"cut": {"without": [0.3, 0.1], "only": [0.8, 0.9]}},
        "seconds": seconds,
        "peak_mib": 2.0,
    }
    return record | fields


def make_image(row, **fields):
    scores = np.zeros((4, 8))  # an image of 80 x 40: cells of 10 px
    scores[1, 2] = 1.0
    fields = {"scores": scores.ravel().tolist(), "shape": [4, 8], "size": [80, 40]} | fields
    return make_text(row, text=None, spans=None, boxes=[[20, 10, 30, 20]]) | fields


def summarize(records, **options):
    summary = ExplanationSummary(**options)
    for record in records:
        summary.add(record)
    return summary.report()
