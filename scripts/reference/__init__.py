"""The check against the authors' network and code, and converters of published weights."""
