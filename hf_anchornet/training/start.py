"""The start of a training from a localizer that was trained before, on these or other labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from transformers import PreTrainedModel

from hf_anchornet.data.splits import label_fields
from hf_anchornet.model.loading import load_whole
from hf_anchornet.model.localizer import read_config

Model = TypeVar("Model", bound=PreTrainedModel)

LABEL_WEIGHTS = ("ngrams.", "aggregation.heads.", "aggregation.bias")
"""Weights, by the start of their names, that mean something for a localizer's own labels only."""

SHAPING = (
    "embedding_size",
    "num_channels",
    "strides",
    "dilations",
    "branch_depths",
    "hidden_act",
    "squeeze_excite",
    "layer_norm_eps",
    "batch_norm_eps",
)
"""Fields of a config that shape the trunk, whether or not there is an option for them."""


@dataclass(frozen=True)
class Start:
    """A trained localizer to start from.

    Attributes:
        source: Folder or Hub id.
        config: Its config.
    """

    source: str
    config: Any

    @classmethod
    def open(cls, source: str | None, model_type: str) -> "Start | None":
        """The localizer of a folder or Hub id; `None` without one.

        Raises:
            OSError: if it cannot be found or is damaged.
            ValueError: if it is of another model type.
        """
        if source is None:
            return None
        config = read_config(source)
        if config.model_type != model_type:
            raise ValueError(
                "`from_localizer` must be a localizer of the kind that the dataset is for, "
                f'"{model_type}", got {source} of type "{config.model_type}"; choose another one.'
            )
        return cls(source, config)

    def choose_architecture(self, options: Any, names: Iterable[str]) -> dict[str, Any]:
        """The localizer's values of the options that decide the architecture.

        Args:
            options: A dataclass of options; one at its default counts as left out.
            names: These options, which are fields of the config too.

        Raises:
            ValueError: if an option is set to another value.
        """
        plain, found = type(options)(), {}
        for name in names:
            has, wanted = getattr(self.config, name), getattr(options, name)
            if wanted not in (has, getattr(plain, name)):
                raise ValueError(
                    f"`{name}` must be that of `from_localizer`, {has}, got {wanted}; leave out "
                    "one of them."
                )
            found[name] = has
        return found

    def list_fields(self, options: Any) -> dict[str, Any]:
        """The localizer's values of the fields that shape the trunk and that no option sets."""
        return {
            name: getattr(self.config, name)
            for name in SHAPING
            if hasattr(self.config, name) and not hasattr(options, name)
        }

    def order_labels(self, labels: Sequence[str]) -> list[str]:
        """Labels in the localizer's order if it has the same ones, otherwise as they are."""
        known = [self.config.id2label[number] for number in range(self.config.num_labels)]
        return known if sorted(known) == sorted(labels) else list(labels)

    def knows(self, labels: Sequence[str], multi_label: bool) -> bool:
        """Whether the localizer has these labels, in this order, one or several an input."""
        names = label_fields(labels, multi_label)
        kind = self.config.problem_type or label_fields([], False)["problem_type"]
        return bool(self.config.id2label == names["id2label"] and kind == names["problem_type"])

    def load(self, model_class: type[Model], **fields: Any) -> Model:
        """The localizer whole, in float32, with other values for some fields of its config."""
        model, _ = load_whole(
            model_class.from_pretrained, self.source, dtype=torch.float32, **fields
        )
        loaded: Model = model
        return loaded

    def give_trunk(self, model: PreTrainedModel) -> None:
        """Copy all weights to a new localizer except those of labels, which stay new.

        Raises:
            ValueError: if the trunks differ.
        """
        for name in SHAPING:
            has, wanted = (getattr(each, name, None) for each in (self.config, model.config))
            if has != wanted:
                raise ValueError(
                    f"`from_localizer` must have `{name}` {wanted} to be trained on other labels, "
                    f"got {self.source} with {has}; choose one that `anchornet train` made."
                )
        weights = self.load(type(model)).state_dict()
        kept = {name: each for name, each in weights.items() if not name.startswith(LABEL_WEIGHTS)}
        model.load_state_dict(kept, strict=False)
