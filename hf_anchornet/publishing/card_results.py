"""Results in a card: measurement JSON as `model-index` entries and as a table."""

from collections.abc import Iterable, Mapping
from typing import Any

from huggingface_hub import EvalResult

from hf_anchornet.calibration.summary import tabulate
from hf_anchornet.evaluation.tables import FILLS, format_table

QUALITIES = {
    "accuracy": ("accuracy", "Accuracy"),
    "macro_f1": ("accuracy", "Macro F1"),
    "pointing": ("plausibility", "Best span or patch agrees with people (pointing game)"),
    "token_auprc": ("plausibility", "Token AUPRC against human spans"),
    "token_f1": ("plausibility", "Token F1 of the hard rationale"),
    "span_iou_f1": ("plausibility", "IoU F1 of the hard rationale"),
    "box_iou_recall": ("plausibility", "One of the best patches has an IoU of a half with a box"),
    "max_box_acc_v2": ("plausibility", "MaxBoxAccV2"),
    "comprehensiveness": (
        "faithfulness",
        "Comprehensiveness: fall without the best parts, higher is better",
    ),
    "sufficiency": (
        "faithfulness",
        "Sufficiency: fall with the best parts alone, lower is better",
    ),
    "speed_up": ("speed-up", "Times faster than reading all"),
}
"""The quality that each metric measures, and the metric's display name."""

DECIMALS = 4


def make_result(
    modality: str,
    dataset: str,
    split: str,
    metric: str,
    value: float,
    detail: str = "",
    num_rows: int | None = None,
) -> EvalResult:
    """One entry of the `model-index`, rounded to four decimals, of `num_rows` if known."""
    return EvalResult(
        task_type=f"{modality}-classification",
        dataset_type=dataset,
        dataset_name=dataset,
        dataset_split=split,
        dataset_args=None if num_rows is None else {"num_rows": num_rows},
        metric_type=metric,
        metric_name=QUALITIES[metric][1] + (f" ({detail})" if detail else ""),
        metric_value=round(float(value), DECIMALS),
    )


def list_results(
    modality: str, report: Mapping[str, Any], reading: str, dataset: str
) -> list[EvalResult]:
    """The measurements of one model.

    Args:
        modality: "text" or "image".
        report: JSON of `make bench-text` or `make bench-image`.
        reading: The model's name among the classifiers of the report; "" for the localizer.
        dataset: Name of the training set.

    Raises:
        ValueError: if the report does not include the model.
    """
    split = report.get("split", "")
    if reading:
        known = report.get("classifiers", {})
        if reading not in known:
            raise ValueError(
                f"`reading` must be a classifier of the results, {sorted(known)}, got {reading!r}; "
                "leave it out for the localizer."
            )
        return [make_result(modality, dataset, split, "accuracy", known[reading]["accuracy"])]
    if modality == "image" and "sets" in report:
        return _list_image_results(report, split)
    if modality == "text" and "accuracy" in report.get("localizer", {}):
        return [make_result("text", dataset, split, "accuracy", report["localizer"]["accuracy"])]
    raise ValueError(
        f"`results` must be the JSON of `make bench-{modality}`, got one with "
        f"{sorted(report)}; measure this model first or leave it out."
    )


def _list_image_results(report: Mapping[str, Any], split: str) -> list[EvalResult]:
    """Results on the first set; the other sets have localizers of their own."""
    name, row = next(iter(report["sets"].items()))
    own = {metric: row[metric] for metric in ("accuracy", "macro_f1") if metric in row}
    located = ("pointing", "box_iou_recall", "max_box_acc_v2")
    own |= {metric: row[metric]["localizer"] for metric in located if metric in row}
    return [make_result("image", name, split, metric, value) for metric, value in own.items()]


def list_validation(modality: str, training: Mapping[str, Any]) -> list[EvalResult]:
    """The scores of the best epoch on the validation split, from `training.json` if not {}."""
    best, data = training.get("best", {}), training.get("data", {})
    return [
        make_result(
            modality,
            data["dataset"],
            data["validation_split"],
            metric,
            value,
            num_rows=data.get("num_validation_rows"),
        )
        for metric, value in best.items()
        if data and metric in QUALITIES
    ]


def list_scores(modality: str, report: Mapping[str, Any], dataset: str) -> list[EvalResult]:
    """Scores of the models in a report of `anchornet evaluate` or `build`, and the speed-up.

    Args:
        modality: "text" or "image".
        report: The report.
        dataset: Name of the data if the report does not say it.
    """
    dataset, rows = report.get("dataset", dataset), report.get("num_rows")
    names = {"ngrams": "its n-grams alone", "localizer": "", "classifier": "with the classifier"}
    results = [
        make_result(modality, dataset, report["split"], metric, report[name][metric], detail, rows)
        for name, detail in names.items()
        for metric in ("accuracy", "macro_f1")
        if metric in report.get(name, {})
    ]
    compared = report.get("compared", {})
    if "classifier" in compared:
        times = [compared[name]["milliseconds"] for name in ("classifier", report["answer"])]
        detail = f"{report['answer']}, batch 32, where it was built"
        ratio = times[0] / times[1]
        results.append(
            make_result(modality, dataset, report["split"], "speed_up", ratio, detail, rows)
        )
    return results


def format_comparison(report: Mapping[str, Any]) -> str:
    """The models that `anchornet build` compared on the same rows, side by side."""
    head = ["", "accuracy", "macro F1", "milliseconds"]
    rows = [
        (
            name,
            *(f"{row[metric]:.{DECIMALS}f}" for metric in ("accuracy", "macro_f1")),
            f"{row['milliseconds']:.2f}",
        )
        for name, row in report["compared"].items()
    ]
    return (
        f"All models on the same {report['num_rows']:,} rows of split `{report['split']}`, in the "
        "same run; the linear model is a logistic regression of n-grams or of resized pictures, "
        f"the majority the most frequent label.\n\n{format_table(head, rows)}"
    )


def format_calibration(record: Mapping[str, Any]) -> str:
    """The models of a calibration side by side, and who answers how often."""
    split = record["split"]
    head = ["", "accuracy", "million multiply-adds", "milliseconds"]
    rows = [
        (name, f"{accuracy:.{DECIMALS}f}", f"{adds:,.2f}", f"{milliseconds:.2f}")
        for name, accuracy, adds, milliseconds in tabulate(record)
    ]
    shares = ", ".join(f"{name} {share:.1%}" for name, share in record["share_leaving"].items())
    return (
        f"Stages and thresholds were chosen on {split['num_rows']:,} rows of split "
        f"`{split['name']}`; these numbers, means per input, are of the same rows.\n\n"
        f"{format_table(head, rows)}\nWho answers: {shares}."
    )


def list_explanations(modality: str, report: Mapping[str, Any]) -> list[EvalResult]:
    """Plausibility and faithfulness of an AnchorNet's own evidence, by `anchornet evaluate`.

    Raises:
        ValueError: if the report does not include the explainer "evidence".
    """
    found = report.get("explanations", {})
    own = found.get("explainers", {}).get("evidence")
    if own is None:
        raise ValueError(
            '`evaluation` must be the JSON of `anchornet evaluate` with the explainer "evidence", '
            f"got one with {sorted(found.get('explainers', report))}; evaluate the localizer first."
        )
    settings = found["settings"]
    dataset, split = settings["dataset"].rpartition("/")[2], settings["split"]
    plausibility, rows = own["plausibility"] or {}, found.get("num_explained")
    results = [
        make_result(modality, dataset, split, metric, plausibility[metric], num_rows=rows)
        for metric in QUALITIES
        if metric in plausibility
    ]
    return results + [
        make_result(modality, dataset, split, metric, row[metric], FILLS[fill], rows)
        for fill, row in own["faithfulness"].items()
        for metric in ("comprehensiveness", "sufficiency")
    ]


def list_speed_ups(modality: str, report: Mapping[str, Any]) -> list[EvalResult]:
    """Speed-ups over the full input with a localizer or cascade, by `make bench-speed`.

    Raises:
        ValueError: if the report is another one.
    """
    if not {"settings", "methods"} <= report.keys():
        raise ValueError(
            "`speed` must be the JSON of `python -m scripts.benchmarks.speed`, got one with "
            f"{sorted(report)}; measure this model first or leave it out."
        )
    settings = report["settings"]
    dataset, split = settings["dataset"].rpartition("/")[2], settings.get("split", "")
    cascades = {item.partition("=")[0] for item in settings.get("cascades", [])}
    hardware = report.get("hardware", "hardware not recorded")
    results = []
    for name, row in report["methods"].items():
        if name in cascades or "localize" in row["stages"]:
            times = row["times"][0]
            where = f"batch {times['batch_size']}, threads: {times['threads'] or 'all'}, {hardware}"
            detail = f"{name.replace('_', ' ')}, {where}"
            speed_up = times["speed_up"]["median"]
            results.append(make_result(modality, dataset, split, "speed_up", speed_up, detail))
    return results


def format_results(results: Iterable[EvalResult]) -> str:
    """A table of all results, followed by the missing qualities; see `name_gaps`."""
    results = list(results)
    lines = [
        f"| {row.metric_name} | {row.dataset_name}, {row.dataset_split}{_say_rows(row)} | "
        f"{row.metric_value:.{DECIMALS}f} |"
        for row in results
    ]
    table = ["| metric | data, split | result |", "|---|---|---|", *lines, ""] if lines else []
    return "\n".join([*table, name_gaps(results)])


def _say_rows(result: EvalResult) -> str:
    rows = (result.dataset_args or {}).get("num_rows")
    return "" if rows is None else f", {rows:,} rows"


def name_gaps(results: Iterable[EvalResult]) -> str:
    """A sentence that lists the qualities without a result, "" if there are none."""
    found = {QUALITIES[row.metric_type][0] for row in results}
    missing = [
        name for name in dict.fromkeys(kind for kind, _ in QUALITIES.values()) if name not in found
    ]
    return f"Not measured: {', '.join(missing)}." if missing else ""
