"""The commands as Python functions; each imports what it needs when it is called.

An unknown option raises a `TypeError` that suggests the nearest one, a value out of range a
`ValueError`.
"""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline
from hf_anchornet.registration import SHIPPED, TEXT_TASK, find_shipped, find_task, load_pipeline

Source = str | PathLike[str]


def build(dataset: Source, output_dir: Source, **options: Any) -> dict[str, Any]:
    """Train, adapt, calibrate and compare in one run, which ends with a verdict in words.

    Args:
        dataset: Hub id, folder or file; splits that it lacks are held out of the training rows.
        output_dir: Folder for the model, its card and the report; the same call again continues
            after an interruption.
        options: The options of `anchornet build`, such as `classifier="my/classifier"`.

    Returns:
        The report, also written to build.json.
    """
    from hf_anchornet.cli.build import build_folder

    return build_folder(_collect(options, dataset=dataset, output_dir=output_dir))


def train(dataset: Source, output_dir: Source, **options: Any) -> dict[str, Any]:
    """Train a localizer on labelled texts or images.

    Args:
        dataset: Hub id, folder or file; its columns decide between texts and images.
        output_dir: Folder for the best checkpoint.
        options: The options of `anchornet train`, such as `num_epochs=5`.

    Returns:
        The report, also written to training.json.
    """
    from hf_anchornet.cli.modalities import run_for_data
    from hf_anchornet.cli.train import WORKS

    return run_for_data(WORKS, _collect(options, dataset=dataset, output_dir=output_dir))


def adapt(dataset: Source, output_dir: Source, **options: Any) -> dict[str, Any]:
    """Train a classifier on the spans or patches that a localizer selects.

    Args:
        dataset: Hub id, folder or file; its columns decide between texts and images.
        output_dir: Folder for the best checkpoint.
        options: The options of `anchornet adapt`, such as `localizer="runs/localizer"`.

    Returns:
        The report, also written to training.json.
    """
    from hf_anchornet.cli.adapt import WORKS
    from hf_anchornet.cli.modalities import run_for_data

    return run_for_data(WORKS, _collect(options, dataset=dataset, output_dir=output_dir))


def calibrate(
    dataset: Source, localizer: Source, classifier: Source, output_dir: Source, **options: Any
) -> Cascade:
    """Choose the stages and exit thresholds of a cascade on the validation split.

    Args:
        dataset: Hub id, folder or file.
        localizer: Folder or Hub id of the localizer.
        classifier: Folder or Hub id of the classifier.
        output_dir: Folder for the cascade.
        options: The options of `anchornet calibrate`, such as `max_loss=0.005` or
            `stages=["localizer", 32, "full"]`.

    Returns:
        The calibrated cascade.
    """
    from hf_anchornet.cli.calibrate import build_cascade

    models = {"localizer": localizer, "classifier": classifier, "output_dir": output_dir}
    if isinstance(options.get("stages"), list | tuple):  # the command line takes strings
        options["stages"] = [str(stage) for stage in options["stages"]]
    return build_cascade(_collect(options, dataset=dataset, **models))


def evaluate(dataset: Source, model: Source, **options: Any) -> dict[str, Any]:
    """Score a localizer, and a classifier or cascade behind it, on a labelled split.

    Args:
        dataset: Hub id, folder or file.
        model: Folder or Hub id of the localizer.
        options: The options of `anchornet evaluate`, such as `classifier="runs/cascade"`.

    Returns:
        The report that the command prints.
    """
    from hf_anchornet.cli.evaluate import report_scores

    return report_scores(_collect(options, dataset=dataset, model=model))


def publish(folder: Source, repo_id: str, **options: Any) -> str | None:
    """Upload a model to the Hub with its code and a card.

    Args:
        folder: Folder of a localizer, classifier or cascade.
        repo_id: Repository, as "name/model".
        options: The options of `anchornet publish`, such as `private=True`.

    Returns:
        The address of the commit; `None` after a dry run.

    Raises:
        PermissionError: if there is no token, or it may not write.
    """
    from hf_anchornet.cli.publish import publish_model

    return publish_model(_collect(options, folder=folder, repo_id=repo_id))


def explain_classifier(
    classifier: Any, inputs: Any, localizer: Any = SHIPPED, **options: Any
) -> dict[str, Any] | list[dict[str, Any]]:
    """What spans, sentences, passages or patches add to the answer of a classifier that you have.

    Args:
        classifier: Any transformers classifier of texts or images: Hub id, folder, pipeline or
            model; or a function from a list of inputs to probabilities, (inputs, labels); or
            "default", the shipped one.
        inputs: A text or an image, or a list or column of a dataset of them.
        localizer: The AnchorNet that proposes the parts; default: the shipped one, of texts for
            strings, else of images, as for `units="patches"`, which paths of images need.
        options: See `hf_anchornet.explain.classifier_explanation.explain_classifier`: `units`,
            `game`, `max_parts`, `label`, for a function `labels` and `multi_label`, and others.

    Returns:
        A dict for one input, a list for a list; see there and docs/explanations.md.
    """
    from hf_anchornet.explain.classifier_explanation import explain_classifier as explain
    from hf_anchornet.explain.explain_options import choose_task, list_inputs

    listed = list_inputs(inputs)
    task = choose_task(listed[0] if listed else inputs, options.get("units"))
    models = find_shipped(task, SHIPPED if localizer is None else localizer, classifier)
    explained: dict[str, Any] | list[dict[str, Any]] = explain(
        models[1], inputs if listed is None else listed, models[0], **options
    )
    return explained


def report_answer(item: Any, localizer: Source = SHIPPED, **options: Any) -> dict[str, Any]:
    """The explained answer to one input with all that it depends on, for audit, as JSON.

    Args:
        item: A text or an image.
        localizer: Folder or Hub id of a localizer or cascade.
        options: `classifier=`, `task=` and the options of the pipeline; see
            `hf_anchornet.explain.reports`.
    """
    from hf_anchornet.explain.reports import report_answer as report

    return report(item, localizer, **options)


def report_classifier(
    classifier: Any, item: Any, localizer: Source = SHIPPED, **options: Any
) -> dict[str, Any]:
    """What `explain_classifier` says of one input, with all that it depends on, as JSON.

    Args:
        classifier: Folder or Hub id, or a function.
        item: A text or an image.
        localizer: Folder or Hub id of the localizer.
        options: As for `explain_classifier`.
    """
    from hf_anchornet.explain.reports import report_classifier as report

    return report(classifier, item, localizer, **options)


def verify(report: Mapping[str, Any], **options: Any) -> list[str]:
    """What a report and its recomputation differ in, in words; an empty list if it is true.

    Args:
        report: From `report_answer` or `report_classifier`, or read from JSON.
        options: `item=`, an image that was not a path; `classifier=`, a function; `tolerance=`.
    """
    from hf_anchornet.explain.verification import verify as verify_report

    return verify_report(report, **options)


def load(
    source: Source | None = None, task: str | None = None, **options: Any
) -> LocalizationPipeline:
    """The localization pipeline of a model, by default of the shipped text localizer.

    Args:
        source: Folder or Hub id of a localizer or a cascade.
        task: "span-localization" or "patch-localization"; by default that of the model's type.
        options: The options of the pipeline, such as `classifier=` or `top_k=`. The classifier of a
            cascade is used unless another one is given.

    Raises:
        OSError: if a model cannot be found.
        ValueError: if the model is not a localizer.
    """
    if source is None:
        return load_pipeline(task or TEXT_TASK, SHIPPED, **options)
    name = str(source)
    return load_pipeline(task or find_task(name, "source"), name, **options)


def _collect(options: dict[str, Any], **named: Any) -> dict[str, Any]:
    """All options, with paths as strings.

    Raises:
        TypeError: if `dataset` is a dataset that was loaded already.
    """
    dataset = named.get("dataset", "")
    if not isinstance(dataset, str | PathLike):
        raise TypeError(
            f"`dataset` must be a Hub id, a folder or a file, got {type(dataset).__name__}; write "
            'what is loaded with `to_parquet("my_data/train.parquet")` and give the folder.'
        )
    return {
        name: str(value) if isinstance(value, PathLike) else value
        for name, value in {**named, **options}.items()
    }
