"""Rows of any `datasets` source: columns, labels, texts and images."""
