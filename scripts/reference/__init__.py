"""The check against the networks and code of the authors, and weights published by others."""
