"""The pipelines behind HTTP: batches across requests, limits on size and time."""
