"""Localization of corpora larger than memory."""
