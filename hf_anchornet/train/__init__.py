"""Training of localizers and downstream classifiers."""
