"""Checkpoints that a classifier is trained from: encoders, and classifiers of the same labels."""

import logging
from collections.abc import Sequence
from typing import Any

from .defaults import LARGE, PRETRAINED, Defaults

logger = logging.getLogger(__name__)

HEADS = ("ForSequenceClassification", "ForImageClassification")


def is_trained_classifier(config: Any) -> bool:
    """Whether a config is that of a model with a head for labels, not of an encoder alone."""
    return any(name.endswith(HEADS) for name in config.architectures or [])


def order_labels(config: Any, source: str, labels: Sequence[str]) -> list[str]:
    """Labels in the order of a trained classifier's logits; as they are for an encoder.

    Args:
        config: Config of the checkpoint.
        source: Folder or Hub id of the checkpoint, for errors.
        labels: Labels of the dataset.

    Raises:
        ValueError: if it is a classifier of other labels.
    """
    if not is_trained_classifier(config):
        return list(labels)
    known = [config.id2label[number] for number in range(config.num_labels)]
    if sorted(known) == sorted(labels):
        return known
    if known == [f"LABEL_{number}" for number in range(len(labels))]:
        logger.info("%s does not name its labels: taken for %s", source, ", ".join(labels))
        return list(labels)
    raise ValueError(
        f"`classifier` must be an encoder or have the labels of the dataset, {sorted(labels)}, got "
        f"{source} with {sorted(known)}; choose one of these labels, rename them in its config "
        "(`id2label`), or start from the encoder that it was made from."
    )


def choose_training_defaults(classifier: str | None) -> Defaults:
    """Defaults of a training: other ones, which a log line names, for a checkpoint than for none.

    Args:
        classifier: Folder or Hub id of the checkpoint; `None` for a new model.
    """
    if classifier is None:
        return LARGE
    logger.info(
        "%s is pretrained: learning rate %g after a warm-up over %.0f %% of the steps, %d inputs "
        "a step, unless you say otherwise",
        classifier,
        PRETRAINED.learning_rate,
        100 * PRETRAINED.warmup_ratio,
        PRETRAINED.batch_size,
    )
    return PRETRAINED
