"""Explainers, and the classifiers that they explain (subjects)."""
