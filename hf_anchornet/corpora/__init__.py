"""Localization of corpora larger than memory, from parquet to parquet."""
