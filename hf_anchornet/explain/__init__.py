"""Explainers and the models they explain."""
