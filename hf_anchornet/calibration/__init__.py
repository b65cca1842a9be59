"""Calibration of a cascade on a validation split: temperatures, stages and thresholds."""
