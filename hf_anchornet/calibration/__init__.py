"""Stages, thresholds and temperatures of a cascade, from a validation split."""
