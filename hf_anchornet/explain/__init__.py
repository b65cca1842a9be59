"""Explanations of any classifier, and how true they are."""
