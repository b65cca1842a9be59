"""Import of captum, which implements most explainers, on first use."""

from typing import Any


def import_captum() -> Any:
    """The module `captum.attr`.

    Raises:
        ImportError: if the extra `explain` is not installed.
    """
    try:
        import captum.attr
        import sklearn.linear_model  # noqa: F401 - captum fits LIME's linear model with it
    except ImportError as error:
        raise ImportError(
            "this explainer needs captum and scikit-learn; run `pip install "
            f"'hf-anchornet[explain]'` ({error})."
        ) from error
    return captum.attr
