"""Options and work of `train` and `adapt`, which depend on whether the data is text or images."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers.utils import CONFIG_NAME

from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.paths import refuse_data_folder
from hf_anchornet.data.splits import DataOptions, detect_modality
from hf_anchornet.files import read_json
from hf_anchornet.training.epoch_lines import summarize_training
from hf_anchornet.training.options import TrainingOptions

from .options import CommandParser, Option, build_options, check_names, list_options
from .shared import show_log
from .shipped import name_shipped

NOUNS = {"text": "texts", "image": "images"}

TOPICS = (
    "data",
    "start",
    "model",
    "epochs",
    "optimisation",
    "regularisation",
    "checkpoints",
    "scale",
    "streaming",
)
"""Groups of the help that come first, in their order."""

TOPIC_OF_TYPE: dict[Any, str] = {
    DataOptions: "data",
    TrainingOptions: "optimisation",
    AugmentationOptions: "augmentation",
}
"""Group of the options of a dataclass, unless listed below; "model" for all others."""

TOPIC_OF_OPTION = {
    name: topic
    for topic, names in {
        "start": "from_localizer backbone encoder tokenizer vocab_size embeddings",
        "epochs": "num_epochs patience metric_for_best_model balance seed",
        "checkpoints": "output_dir checkpoint_steps keep_checkpoints resume log_with",
        "scale": "batch_size gradient_accumulation_steps mixed_precision num_workers",
        "streaming": "streaming max_steps shuffle_buffer vocabulary_rows",
        "regularisation": "weight_decay max_grad_norm hidden_dropout_prob token_dropout_prob "
        "ngram_dropout_prob auxiliary_loss_weight evidence_penalty ngram_penalty crop_tokens "
        "label_smoothing",
        "distillation": "teacher distillation_weight piece_words",
        "augmentation": "keep_whole turn mirror color_strength",
    }.items()
    for name in names.split()
}


@dataclass(frozen=True)
class Work:
    """Work on texts, or on images.

    Attributes:
        own_types: Dataclasses of the options for this modality only.
        run: Function of the data options, these options and the training options.
    """

    own_types: Sequence[Any]
    run: Callable[..., dict[str, Any]]

    @property
    def option_types(self) -> list[Any]:
        """Dataclasses of all options, in the order in which `run` takes their objects."""
        return [DataOptions, *self.own_types, TrainingOptions]


Works = Mapping[str, Work]
"""The work for "text" and for "image"."""


def run_for_data(works: Works, given: Mapping[str, Any]) -> dict[str, Any]:
    """The report of the work for the modality of the dataset.

    Args:
        works: The work for each modality.
        given: Options by field name.

    Raises:
        TypeError: if an option is unknown or a required one is missing.
        ValueError: if an option is for the other modality.
    """
    names = {
        modality: {name for kind in work.option_types for name in list_options(kind)}
        for modality, work in works.items()
    }
    check_names(given, set().union(*names.values()))
    of_data = list_options(DataOptions)
    (data,) = build_options([DataOptions], {name: given[name] for name in given if name in of_data})
    if "output_dir" in given:
        refuse_data_folder(str(given["output_dir"]), data.dataset)
    modality = detect_modality(data)
    for name in given:
        if name not in names[modality]:
            (other,) = NOUNS.keys() - {modality}
            raise ValueError(
                f"`{name}` must not be given for {NOUNS[modality]}, it is an option for "
                f"{NOUNS[other]}; leave it out."
            )
    work = works[modality]
    named = name_shipped(given, modality)
    others = {name: value for name, value in named.items() if name not in of_data}
    return work.run(data, *build_options(work.option_types[1:], others))


def run_command(
    command: str, works: Works, given: Mapping[str, Any], parser: CommandParser
) -> None:
    """Do the work for the modality of the dataset; `parser` knows how its options are typed."""
    show_log(parser)
    report = run_for_data(works, given)
    if PartialState().is_main_process:
        print(summarize_training(report))
        print(f"next: {suggest_next(command, report)}")
    # A process that exits while its process group still listens may be aborted.
    PartialState().destroy_process_group()


def suggest_next(command: str, report: Mapping[str, Any]) -> str:
    """The command that usually follows a training."""
    options = report["options"]
    data, folder = shlex.quote(options["dataset"]), shlex.quote(options["output_dir"])
    if command == "train":
        return (
            f"anchornet evaluate --dataset {data} --model {folder}\n"
            f"   or: anchornet adapt --dataset {data} --localizer {folder} --reading mix "
            f"--output-dir {folder}_classifier"
        )
    localizer = options.get("localizer")
    if localizer is None:
        return f"anchornet publish --folder {folder} --repo-id you/name --dry-run"
    if _is_multi_label(Path(options["output_dir"])):  # a cascade chooses one label
        return (
            f"anchornet evaluate --dataset {data} --model {shlex.quote(localizer)} "
            f"--classifier {folder}"
        )
    return (
        f"anchornet calibrate --dataset {data} --localizer {shlex.quote(localizer)} "
        f"--classifier {folder} --output-dir {folder}_cascade"
    )


def _is_multi_label(folder: Path) -> bool:
    config = folder / CONFIG_NAME
    found = read_json(config) if config.is_file() else {}
    return bool(found.get("problem_type") == "multi_label_classification")


def group_options(works: Works) -> dict[str, dict[str, dict[str, Option]]]:
    """The options by group of the help: those of both modalities, of texts, then of images."""
    variants: dict[str, dict[str, Option]] = {}
    topics: dict[str, str] = {}
    for modality, work in works.items():
        for option_type in work.option_types:
            topic = TOPIC_OF_TYPE.get(option_type, "model")
            for name, option in list_options(option_type).items():
                variants.setdefault(name, {})[NOUNS[modality]] = option
                topics[name] = TOPIC_OF_OPTION.get(name, topic)
    groups: dict[str, dict[str, dict[str, Option]]] = {}
    order = [*TOPICS, *sorted(set(topics.values()) - {*TOPICS})]
    for nouns in ([*NOUNS.values()], *([noun] for noun in NOUNS.values())):
        for topic in order:
            title = topic if len(nouns) == len(NOUNS) else f"{topic} ({nouns[0]} only)"
            options = {
                name: kinds
                for name, kinds in variants.items()
                if topics[name] == topic and [*kinds] == nouns
            }
            if options:
                groups[title] = options
    return groups
