"""Localized spans and patches made visible: HTML, PNG, terminal."""
