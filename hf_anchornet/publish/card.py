"""Model cards: what a page of the Hub says of a model; each number comes from a JSON file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import AutoConfig

from hf_anchornet.model.cascade_file import CASCADE_FILE
from hf_anchornet.model.modeling_anchornet_image import AnchorNetForImageClassification
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification

from .card_results import (
    format_results,
    list_explanations,
    list_results,
    list_speed_ups,
    list_validation,
)

TEMPLATE = Path(__file__).parent / "card_template.md"
TRAINING_FILE = "training.json"
MARK = "<!-- Written by hf_anchornet. A card without this line is kept as it is. -->"
MODELS = {
    "anchornet_text": AnchorNetTextForSequenceClassification,
    "anchornet_image": AnchorNetForImageClassification,
}
PIPELINES = {"text": "span-localization", "image": "patch-localization"}
PARTS = {"text": ("spans", "tokens"), "image": ("patches", "pixels")}

READING = """`evidence` is what all windows together put on a span or a box: its part of the logit,
centred over the classes. Add up all of it and the bias and you have the logit, exactly. `share` is
the same over the absolute evidence of the whole input. It says what the model added up, not why
the input is as it is: what occurs together with a label in the training data can carry evidence
without having to do with it."""

CITATION = """The networks, their evidence and their selection follow

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
    """What a card may tell besides what is in the model's folder.

    Attributes:
        repo_id: Where the model is or will be; default: the folder's name.
        results: JSON of `scripts/measure_text.py` or `scripts/measure_image.py`.
        reading: The model's name among the classifiers of `results`; "": it is the localizer.
        speed: JSON of `scripts/benchmark.py`.
        evaluation: JSON of `anchornet evaluate`.
        card: Path of a card to take as it is; default: the folder's own, else a new one.
        picture: Name of a picture in the folder.
        license: Identifier of the weights' licence.
    """

    repo_id: str = ""
    results: Mapping[str, Any] = field(default_factory=dict)
    reading: str = ""
    speed: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    picture: str = ""
    license: str = ""


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
    """The card of a folder with a localizer, a cascade or a classifier.

    Args:
        folder: Has the model's config.json and, if it was trained here, training.json.
        sources: What else is known; what nobody measured is called "not measured".

    Raises:
        ValueError: if `sources.results` has no such model or `sources.evaluation` no evidence.
    """
    folder, sources = Path(folder), sources or CardSources()
    config = AutoConfig.from_pretrained(folder)
    training = _read_json(folder / TRAINING_FILE)
    modality = find_modality(config)
    data = training.get("data", {})
    results = list_validation(modality, training)
    if sources.results:
        dataset = data.get("dataset", "its data set")
        results += list_results(modality, sources.results, sources.reading, dataset)
    if sources.evaluation:
        results += list_explanations(modality, sources.evaluation)
    if sources.speed:
        results += list_speed_ups(modality, sources.speed)
    name = sources.repo_id or folder.resolve().name
    card: ModelCard = ModelCard.from_template(
        make_data(modality, name.rpartition("/")[2], results, sources.license),
        template_path=str(TEMPLATE),
        mark=MARK,
        name=name.rpartition("/")[2],
        snippet=_make_snippet(config, name, (folder / CASCADE_FILE).exists()),
        what=_describe_model(config, modality, (folder / CASCADE_FILE).exists()),
        picture=sources.picture,
        training=_describe_data(data),
        results=format_results(results),
        reading=READING,
        citation=CITATION,
        **_describe_size(config, modality),
    )
    return card


def write_card(folder: str | Path, sources: CardSources | None = None) -> None:
    """Write the card of a folder, unless somebody wrote one by hand; see `make_card`."""
    path = Path(folder, "README.md")
    if not path.exists() or MARK in path.read_text("utf-8"):
        make_card(folder, sources).save(path)


def find_modality(config: Any) -> str:
    """What a model of this configuration reads, "text" or "image".

    Raises:
        ValueError: if it classifies neither.
    """
    names = config.architectures or [""]
    for suffix, modality in (("SequenceClassification", "text"), ("ImageClassification", "image")):
        if names[0].endswith(suffix):
            return modality
    raise ValueError(
        "`folder` must hold a text or image classifier, got a config.json with the architecture "
        f"{names[0] or 'none'}; save a model with its head there."
    )


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _make_snippet(config: Any, name: str, cascades: bool) -> str:
    modality = find_modality(config)
    shown = '"I loved it. The cast is superb."' if modality == "text" else '"photo.jpg"'
    if cascades:
        return (
            "import hf_anchornet\n\n"
            f'cascade = hf_anchornet.Cascade.from_pretrained("{name}")\nprint(cascade({shown}))'
        )
    own = config.model_type in MODELS
    task = PIPELINES[modality] if own else f"{modality}-classification"
    imports = "import hf_anchornet  # or trust_remote_code=True below\n" if own else ""
    return (
        f'{imports}from transformers import pipeline\n\nrun = pipeline("{task}", model="{name}")\n'
        f"print(run({shown}))"
    )


def _describe_model(config: Any, modality: str, cascades: bool) -> str:
    names = [config.id2label[index] for index in range(len(config.id2label))]
    labels = ", ".join(names[:10]) + (f", ... ({len(names)} labels)" if len(names) > 10 else "")
    parts, units = PARTS[modality]
    if config.model_type not in MODELS:
        return (
            f"A classifier of {modality}s ({labels}), a {config.architectures[0]}. It can stand "
            f"behind an AnchorNet localizer, which selects the {parts} that it reads."
        )
    what = (
        f"A classifier of {modality}s ({labels}) whose logits are an exact sum over windows of "
        f"{units}, so that the {parts} that decided can be shown."
    )
    return what + cascades * (
        f" Where it is in doubt, the classifier in `classifier/` reads these {parts}: a cascade."
    )


def _describe_data(data: Mapping[str, Any]) -> str:
    if not data:
        return "Not recorded with the model."
    rows = "a stream of rows" if data["num_rows"] is None else f"{data['num_rows']:,} rows"
    splits = f"split `{data['train_split']}`, {rows}"
    chosen = f"best epoch by its score on split `{data['validation_split']}`"
    return (
        f"{data['dataset']} ({splits}); read of each: {data['reading']}; {chosen}. Licence of the "
        f"data: "
        f"{data['license'] or 'not stated in the data set'}."
    )


def _describe_size(config: Any, modality: str) -> dict[str, Any]:
    """Windows and number of parameters of a localizer, from its configuration; else nothing."""
    if config.model_type not in MODELS:
        return {"windows": []}
    with torch.device("meta"):
        model = MODELS[config.model_type](config)
    windows = sorted({window.size for window in model.windows})
    unit = {"text": "tokens", "image": "px"}[modality]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    sizes = ", ".join(map(str, windows))
    size = f"{parameters:,} parameters; windows of {sizes} {unit}."
    return {"windows": windows, "unit": unit, "size": size}
