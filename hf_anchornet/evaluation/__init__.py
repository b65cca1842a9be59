"""Accuracy, plausibility, faithfulness and cost of models on a labelled split."""
