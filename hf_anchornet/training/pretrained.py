"""Checkpoints that a classifier is trained from: encoders, and classifiers of the same labels."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_anchornet.data.splits import label_fields
from hf_anchornet.model.loading import load_processor, load_whole

from .defaults import (
    ADAPTERS,
    LARGE,
    NORMALISED,
    PRETRAINED,
    Defaults,
    choose_defaults,
    choose_pretrained_epochs,
)
from .memory import plan_batches
from .options import TrainingOptions

logger = logging.getLogger(__name__)

HEADS = ("ForSequenceClassification", "ForImageClassification")

ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""Names that configs of transformers have for the dropout of attention weights."""


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


def load_text_classifier(
    source: str, labels: Sequence[str]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A checkpoint with a head for these labels, ready for training, and its tokenizer.

    It is trained without dropout of attention weights: on a processor these random numbers take
    more than half of the time and most of the memory, as fused attention has none. A classifier
    keeps the order of its labels.

    Raises:
        OSError: if a file is missing or damaged.
        ValueError: if the checkpoint is a classifier of other labels.
    """
    ordered = order_labels(AutoConfig.from_pretrained(source), source, labels)
    fields = label_fields(ordered)
    config = AutoConfig.from_pretrained(source, num_labels=len(ordered), **fields)
    for name in ATTENTION_DROPOUT:
        if hasattr(config, name):
            setattr(config, name, 0.0)
    new_head = not is_trained_classifier(config)
    load = AutoModelForSequenceClassification.from_pretrained
    model, _ = load_whole(load, source, config=config, ignore_mismatched_sizes=new_head)
    return model, load_processor(AutoTokenizer.from_pretrained, source)


def choose_text_defaults(classifier: str | None, lora_rank: int = 0) -> Defaults:
    """Defaults of the training of a text classifier; a log line names those for a checkpoint.

    Args:
        classifier: Folder or Hub id of the checkpoint; `None` for a new model.
        lora_rank: Rank of the adapters that are trained instead; 0: all weights are trained.
    """
    if classifier is None:
        return LARGE
    return _tell(classifier, ADAPTERS if lora_rank else PRETRAINED)


def choose_image_defaults(classifier: str | None, model: nn.Module, num_rows: int) -> Defaults:
    """Defaults of the training of an image classifier; a log line names those for a checkpoint.

    Args:
        classifier: Folder or Hub id of the checkpoint; `None` for a new model.
        model: The classifier.
        num_rows: Number of training rows.
    """
    if classifier is None:
        return choose_defaults(num_rows, "image")
    is_normalised = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    defaults = NORMALISED if is_normalised else PRETRAINED
    epochs = choose_pretrained_epochs(num_rows, "image")
    return _tell(classifier, replace(defaults, num_epochs=epochs))


def _tell(classifier: str, defaults: Defaults) -> Defaults:
    """The defaults, after a log line that names them."""
    logger.info(
        "%s is pretrained: %d epochs, learning rate %g after a warm-up over %.0f %% of the steps, "
        "%d inputs a step, unless you say otherwise",
        classifier,
        defaults.num_epochs,
        defaults.learning_rate,
        100 * defaults.warmup_ratio,
        defaults.batch_size,
    )
    return defaults


def bound_memory(classifier: str | None, longest: int, options: TrainingOptions) -> TrainingOptions:
    """Smaller batches, more of them a step, if a checkpoint would need too much memory otherwise.

    Options that are given stay as they are.

    Args:
        classifier: Folder or Hub id of the checkpoint; `None` for a new model, which is small.
        longest: Tokens of the longest input.
        options: Options of the training.
    """
    given = options.batch_size is not None or options.gradient_accumulation_steps != 1
    if classifier is None or given:
        return options
    config = AutoConfig.from_pretrained(classifier)
    size, passes = plan_batches(config, longest, PRETRAINED.batch_size)
    return replace(options, batch_size=size, gradient_accumulation_steps=passes)
