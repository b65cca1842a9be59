"""HTTP server for the pipelines, with dynamic batching and limits on size and time."""
