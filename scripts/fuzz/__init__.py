"""Random and damaged inputs against the package: `python -m scripts.fuzz --help`."""
