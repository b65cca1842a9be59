"""Model cards for the Hub; every number in them comes from a JSON file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import AutoConfig

from hf_anchornet.model.cascade_file import CASCADE_FILE, read_cascade_file
from hf_anchornet.model.cascade_rule import GLANCE, NGRAMS, Stage
from hf_anchornet.model.localizer import MODALITIES

from .card_results import (
    format_calibration,
    format_comparison,
    format_results,
    list_explanations,
    list_results,
    list_scores,
    list_speed_ups,
    list_validation,
)
from .modality import CLASSES, find_model_modality

TEMPLATE = Path(__file__).parent / "card_template.md"
TRAINING_FILE = "training.json"
CALIBRATION_FILE = "calibration.json"
EVALUATION_FILE = "evaluation.json"
"""Reports of `anchornet train`, `calibrate` and `evaluate` in a model's folder."""
PICTURE_FILE = "scores.svg"
"""Picture of the scores in the folder of `anchornet build`."""

MARK = "<!-- Written by hf_anchornet. A card without this line is kept as it is. -->"
PIPELINES = {"text": "span-localization", "image": "patch-localization"}
PARTS = {"text": ("spans", "tokens"), "image": ("patches", "pixels")}
SAMPLES = {"text": "A text of the same kind as the training data.", "image": "photo.jpg"}
"""Inputs of the snippet where no example of the training data is known."""
ARTICLES = {"text": "A", "image": "An"}
MAX_LABELS = 10  # labels listed in a card

READING = """\
The `evidence` of a span or box is its part of the logit: the sum over all windows, centred over
the classes. The bias plus the evidence of the whole input equals the logit exactly. `share` is the
evidence of the span or box divided by the absolute evidence of the whole input. Evidence shows
what the model added up; it does not show causes. A feature that merely co-occurs with a label in
the training data can carry evidence too."""

CITATION = """The network, its evidence and the selection of patches follow

```bibtex
@article{yang2020localizing,
  title   = {Localizing Interpretable Multi-scale informative Patches Derived from Media
             Classification Task},
  author  = {Yang, Chuanguang and others},
  journal = {arXiv preprint arXiv:2002.03737},
  year    = {2020}
}

@inproceedings{yang2022localizing,
  title     = {Localizing Semantic Patches for Accelerating Image Classification},
  author    = {Yang, Chuanguang and An, Zhulin and Xu, Yongjun},
  booktitle = {IEEE International Conference on Multimedia and Expo},
  note      = {arXiv:2206.03367},
  year      = {2022}
}
```"""


@dataclass
class CardSources:
    """The sources of a card besides the files in the model's folder.

    Attributes:
        repo_id: Repository of the model; default: the folder's name.
        results: JSON of `make bench-text` or `make bench-image`.
        reading: The model's name among the classifiers of `results`; "" for the localizer.
        speed: JSON of `make bench-speed`.
        evaluation: JSON of `anchornet evaluate`.
        card: Path of a finished card; default: the folder's own, else a new one.
        picture: Name of a picture in the folder.
        license: Identifier of the licence of the weights.
        example: Whether a text of the validation split, which training chose, may be shown.
    """

    repo_id: str = ""
    results: Mapping[str, Any] = field(default_factory=dict)
    reading: str = ""
    speed: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    picture: str = ""
    license: str = ""
    example: bool = True


def make_data(
    modality: str,
    name: str,
    results: Iterable[EvalResult],
    license_name: str = "",
    language: str | None = None,
) -> ModelCardData:
    """The front matter of a card, with the results as its `model-index`."""
    return ModelCardData(
        model_name=name,
        language=language,
        license=license_name or None,
        library_name="transformers",
        pipeline_tag=f"{modality}-classification",
        tags=["anchornet", PIPELINES[modality], "interpretability"],
        eval_results=list(results) or None,
    )


def make_card(folder: str | Path, sources: CardSources | None = None) -> ModelCard:
    """The card of a localizer, a cascade or a classifier.

    Args:
        folder: Folder of the model, with `config.json` and what training, calibration and
            evaluation left there: training.json, calibration.json, evaluation.json.
        sources: Measurements and other sources. Missing ones are reported as "Not measured".

    Raises:
        ValueError: if `sources.results` does not include the model or `sources.evaluation` does
            not include its evidence.
    """
    folder, sources = Path(folder), sources or CardSources()
    config = AutoConfig.from_pretrained(folder)
    modality = find_model_modality(config, str(folder))
    training = read_training(folder)
    calibration = _read_report(folder / CALIBRATION_FILE)
    evaluation = sources.evaluation or _read_report(folder / EVALUATION_FILE)
    data = training.get("data", {})
    results = list_validation(modality, training)
    if sources.results:
        dataset = data.get("dataset", "its data set")
        results += list_results(modality, sources.results, sources.reading, dataset)
    if evaluation:
        results += list_scores(modality, evaluation, data.get("dataset", "its data set"))
    if sources.evaluation:
        results += list_explanations(modality, sources.evaluation)
    elif "evidence" in evaluation.get("explanations", {}).get("explainers", {}):
        results += list_explanations(modality, evaluation)
    if sources.speed:
        results += list_speed_ups(modality, sources.speed)
    repo_id = sources.repo_id or folder.resolve().name
    name = repo_id.rpartition("/")[2]
    example = data.get("example") if sources.example else None
    is_cascade = (folder / CASCADE_FILE).exists()
    stages = read_cascade_file(folder / CASCADE_FILE)["stages"] if is_cascade else []
    card: ModelCard = ModelCard.from_template(
        make_data(modality, name, results, sources.license),
        template_path=str(TEMPLATE),
        mark=MARK,
        name=name,
        snippet=_make_snippet(config, modality, repo_id, is_cascade, example),
        what=_describe_model(config, modality, is_cascade, stages),
        picture=sources.picture,
        scores=PICTURE_FILE if (folder / PICTURE_FILE).is_file() else "",
        verdict=evaluation.get("verdict", {}).get("text", ""),
        comparison=format_comparison(evaluation) if "compared" in evaluation else "",
        training=_describe_training(training),
        command=training.get("command", ""),
        calibration=format_calibration(calibration) if calibration else "",
        results=format_results(results),
        reading=READING,
        citation=CITATION,
        **_describe_size(config, modality),
    )
    return card


def write_card(folder: str | Path, sources: CardSources | None = None) -> None:
    """Write the card of a folder, unless it has a handwritten one; see `make_card`."""
    path = Path(folder, "README.md")
    if not path.exists() or MARK in path.read_text("utf-8"):
        make_card(folder, sources).save(path)


def read_training(folder: str | Path) -> dict[str, Any]:
    """The content of `training.json` in a model's folder, {} without one."""
    return _read_report(Path(folder) / TRAINING_FILE)


def _read_report(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return content


def _make_snippet(
    config: Any, modality: str, repo_id: str, is_cascade: bool, example: str | None
) -> str:
    """Python code that loads the model from the Hub and runs it on an example."""
    sample = json.dumps(example or SAMPLES[modality], ensure_ascii=False)
    if is_cascade:
        return (
            "import hf_anchornet\n\n"
            f'cascade = hf_anchornet.Cascade.from_pretrained("{repo_id}")\nprint(cascade({sample}))'
        )
    own = config.model_type in MODALITIES
    task = PIPELINES[modality] if own else f"{modality}-classification"
    imports = "import hf_anchornet  # which registers the pipeline\n" if own else ""
    where = "" if "/" in repo_id else "  # the path of this folder, or its id on the Hub"
    return (
        f"{imports}from transformers import pipeline\n\n"
        f'run = pipeline("{task}", model="{repo_id}"){where}\nprint(run({sample}))'
    )


OPENING_SENTENCES: dict[Stage, str] = {
    NGRAMS: "its n-grams answer alone where they are confident; ",
    GLANCE: "a classifier answers from the whole image, made small, where it is confident; ",
}
"""What a card says of the first stage of a cascade."""


def _describe_model(config: Any, modality: str, is_cascade: bool, stages: Sequence[Stage]) -> str:
    names = [config.id2label[index] for index in range(len(config.id2label))]
    labels = ", ".join(escape(" ".join(name.split())) for name in names[:MAX_LABELS])
    if len(names) > MAX_LABELS:
        labels += f", ... ({len(names)} labels)"
    parts, units = PARTS[modality]
    kind = f"{ARTICLES[modality]} {modality} classifier"
    if config.model_type not in MODALITIES:
        return (
            f"{kind} ({labels}) of type {config.architectures[0]}. It can serve as the classifier "
            f"behind an AnchorNet localizer, which selects the {parts} it reads."
        )
    text = (
        f"{kind} ({labels}). Its logits are an exact sum over windows of {units}, so it can show "
        f"the {parts} that decided."
    )
    if is_cascade:
        opening = OPENING_SENTENCES.get(stages[0], "") if stages else ""
        text += (
            f" It is a cascade: {opening}where the localizer is not confident, the classifier in "
            f"`classifier/` reads the selected {parts}."
        )
    return text


def _describe_training(training: Mapping[str, Any]) -> str:
    """The data of a training, and that it was interrupted if it was."""
    data = training.get("data")
    if not training.get("finished", True):
        return (
            "The training was interrupted. This is its best model after epoch "
            f"{len(training['history'])} of {training['options']['num_epochs']}."
        )
    if not data:
        return "Not recorded with the model."
    rows = "a stream of rows" if data["num_rows"] is None else f"{data['num_rows']:,} rows"
    return (
        f"{data['dataset']} (split `{data['train_split']}`, {rows}). The model reads of each row: "
        f"{data['reading']}. The best epoch was chosen by its score on split "
        f"`{data['validation_split']}`.{_describe_linear(training.get('linear_ngrams', {}))} "
        f"Licence of the data: {data['license'] or 'not stated in the data set'}."
    )


def _describe_linear(found: Mapping[str, Any]) -> str:
    """The linear model that was added after a training, if there is one."""
    if not found.get("weight"):
        return ""
    if not found.get("learned_weight", 1.0):
        return " Then a linear model of the same n-grams took its place: it answers alone."
    return f" Then a linear model of the same n-grams was added (weight {found['weight']:.3g})."


def _describe_size(config: Any, modality: str) -> dict[str, Any]:
    """Windows and number of parameters of a localizer, from its configuration."""
    if config.model_type not in MODALITIES:
        return {"windows": []}
    with torch.device("meta"):
        model = CLASSES[modality][0].from_config(config)
    windows = sorted({window.size for window in model.windows})
    unit = {"text": "tokens", "image": "px of the resized image"}[modality]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    size = f"{parameters:,} parameters; windows of {', '.join(map(str, windows))} {unit}."
    return {"windows": windows, "unit": unit, "size": size}
