"""Data sources, their columns and labels, and the texts and images in them."""
