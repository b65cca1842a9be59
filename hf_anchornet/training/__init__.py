"""Training of localizers, and of classifiers on what a localizer selects."""
