"""What measures the product and is no part of it: run each by `python -m scripts...`."""
