"""Views of localized spans and patches: HTML, PNG, terminal."""
