"""Localization and explanation metrics as `evaluate` modules.

Import the class of a file, or pass the file's path to `evaluate.load`; both work offline.
"""
