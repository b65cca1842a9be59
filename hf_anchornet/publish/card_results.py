"""Numbers of a card: from the JSON files of measurements to `model-index` entries and a table."""

from collections.abc import Iterable, Mapping
from typing import Any

from huggingface_hub import EvalResult

from hf_anchornet.evaluation.tables import FILLS

QUALITIES = {
    "accuracy": ("accuracy", "Accuracy"),
    "macro_f1": ("accuracy", "Macro F1"),
    "pointing": ("plausibility", "Best span or patch agrees with people (pointing game)"),
    "token_auprc": ("plausibility", "Token AUPRC against human spans"),
    "token_f1": ("plausibility", "Token F1 of the hard rationale"),
    "span_iou_f1": ("plausibility", "IoU F1 of the hard rationale"),
    "box_iou_recall": ("plausibility", "One of the best patches has an IoU of a half with a box"),
    "max_box_acc_v2": ("plausibility", "MaxBoxAccV2"),
    "comprehensiveness": ("faithfulness", "Comprehensiveness, higher is better"),
    "sufficiency": ("faithfulness", "Sufficiency, lower is better"),
    "speed_up": ("speed-up", "Times faster than reading all"),
}
"""Of each metric what it is a measure of, and its name in words."""

DECIMALS = 4


def make_result(
    modality: str, dataset: str, split: str, metric: str, value: float, detail: str = ""
) -> EvalResult:
    """One entry of the `model-index`, rounded to four decimals."""
    return EvalResult(
        task_type=f"{modality}-classification",
        dataset_type=dataset,
        dataset_name=dataset,
        dataset_split=split,
        metric_type=metric,
        metric_name=QUALITIES[metric][1] + (f" ({detail})" if detail else ""),
        metric_value=round(float(value), DECIMALS),
    )


def list_results(
    modality: str, report: Mapping[str, Any], reading: str, dataset: str
) -> list[EvalResult]:
    """What was measured of one model.

    Args:
        modality: "text" or "image".
        report: JSON of `scripts/measure_text.py` or `scripts/measure_image.py`.
        reading: The model's name among the classifiers of the report; "": it is the localizer.
        dataset: Name of the set that it was trained on.

    Raises:
        ValueError: if the report has no such model.
    """
    split = report.get("split", "")
    if reading:
        known = report.get("classifiers", {})
        if reading not in known:
            raise ValueError(
                f"`reading` must be a classifier of the results, {sorted(known)}, got {reading!r}; "
                "leave it out for the localizer."
            )
        accuracy = known[reading]["accuracy"]
        return [make_result(modality, dataset, split, "accuracy", accuracy)]
    if modality == "image" and "sets" in report:
        return _list_image_results(report, split)
    if modality == "text" and "accuracy" in report.get("localizer", {}):
        return _list_text_results(report, split, dataset)
    raise ValueError(
        f"`results` must be the JSON of scripts/measure_{modality}.py, got one with "
        f"{sorted(report)}; measure this model first or leave it out."
    )


def _list_text_results(report: Mapping[str, Any], split: str, dataset: str) -> list[EvalResult]:
    accuracy = report["localizer"]["accuracy"]
    return [make_result("text", dataset, split, "accuracy", accuracy)]


def _list_image_results(report: Mapping[str, Any], split: str) -> list[EvalResult]:
    """Of the first set only: the others have localizers of their own."""
    name, row = next(iter(report["sets"].items()))
    own = {metric: row[metric] for metric in ("accuracy", "macro_f1") if metric in row}
    located = ("pointing", "box_iou_recall", "max_box_acc_v2")
    own |= {metric: row[metric]["localizer"] for metric in located if metric in row}
    return [make_result("image", name, split, metric, value) for metric, value in own.items()]


def list_validation(modality: str, training: Mapping[str, Any]) -> list[EvalResult]:
    """What training itself measured: the best epoch's scores on the validation split.

    Args:
        modality: "text" or "image".
        training: Content of training.json; {}: not trained here.
    """
    best, data = training.get("best", {}), training.get("data", {})
    return [
        make_result(modality, data["dataset"], data["validation_split"], metric, value)
        for metric, value in best.items()
        if data and metric in QUALITIES
    ]


def list_explanations(modality: str, report: Mapping[str, Any]) -> list[EvalResult]:
    """How an AnchorNet's own evidence agrees with people, and how faithful it is.

    Args:
        modality: "text" or "image".
        report: JSON of `anchornet evaluate`.

    Raises:
        ValueError: if the report has nothing on the model's evidence.
    """
    found = report.get("explanations", {})
    own = found.get("explainers", {}).get("evidence")
    if own is None:
        raise ValueError(
            '`evaluation` must be the JSON of `anchornet evaluate` with the explainer "evidence", '
            f"got one with {sorted(found.get('explainers', report))}; evaluate the localizer first."
        )
    settings = found["settings"]
    dataset = settings["dataset"].rpartition("/")[2]
    agreement = own["plausibility"] or {}
    results = [
        make_result(modality, dataset, settings["split"], metric, agreement[metric])
        for metric in QUALITIES
        if metric in agreement
    ]
    return results + [
        make_result(modality, dataset, settings["split"], metric, row[metric], FILLS[fill])
        for fill, row in own["faithfulness"].items()
        for metric in ("comprehensiveness", "sufficiency")
    ]


def list_speed_ups(modality: str, report: Mapping[str, Any]) -> list[EvalResult]:
    """How many times faster each method with a localizer is than reading the full input.

    Args:
        modality: "text" or "image".
        report: JSON of `scripts/benchmark.py`.
    """
    settings = report["settings"]
    cascades = {item.partition("=")[0] for item in settings.get("cascades", [])}
    hardware = report.get("hardware", "hardware not recorded")
    results = []
    for name, row in report["methods"].items():
        if name in cascades or "localize" in row["stages"]:
            times = row["times"][0]
            threads = times["threads"] or "all"
            where = f"batch {times['batch_size']}, threads: {threads}, {hardware}"
            detail = f"{name.replace('_', ' ')}, {where}"
            value, dataset = times["speed_up"]["median"], settings["dataset"].rpartition("/")[2]
            split = settings.get("split", "")
            results.append(make_result(modality, dataset, split, "speed_up", value, detail))
    return results


def format_results(results: Iterable[EvalResult]) -> str:
    """A table of all results, then a sentence on what nobody measured; see `name_gaps`."""
    results = list(results)
    lines = [
        f"| {row.metric_name} | {row.dataset_name}, {row.dataset_split} | "
        f"{row.metric_value:.{DECIMALS}f} |"
        for row in results
    ]
    table = ["| what | data, split | result |", "|---|---|---|", *lines, ""] if lines else []
    return "\n".join([*table, name_gaps(results)])


def name_gaps(results: Iterable[EvalResult]) -> str:
    """A sentence: which of accuracy, plausibility, faithfulness and speed-up are not measured."""
    found = {QUALITIES[row.metric_type][0] for row in results}
    missing = [
        name for name in dict.fromkeys(kind for kind, _ in QUALITIES.values()) if name not in found
    ]
    return f"Not measured: {', '.join(missing)}." if missing else ""
