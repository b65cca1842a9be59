"""Results on accuracy and cost as tables and sentences in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

from hf_anchornet.evaluation.tables import format_score, format_table
from scripts.benchmarks.methods import find_resized

Report = Mapping[str, Any]
"""The content of one of the JSON files."""

CONTROLS = ("head", "head_and_tail", "crop", "random", "textrank", "tfidf", "centre")
CASCADES = {
    "cascade": "",
    "quick_cascade": ", quick",
    "shipped_cascade": ", the shipped cascade",
}
"""The cascades of a set by name, and a remark on each."""
RIVALS = {"nb_lr": "NB-LR", "tfidf_svm": "TF-IDF SVM", "static": "static vectors"}
"""The simplest classifiers, which are compared whatever they cost, by their names in words."""


def make_speed_table(reports: Mapping[str, Report], on_onnx: Mapping[str, Report]) -> str:
    """README's table of cascades.

    Args:
        reports: Reports of `scripts.benchmarks.speed` by the name of the data set, with one
            thread timed for batches of 1 and 32.
        on_onnx: Reports of runs on ONNX Runtime, for some of the data sets.
    """
    rows = []
    for name, report in reports.items():
        methods, baseline = report["methods"], report["settings"]["baseline"]
        full = methods[baseline]
        fast = on_onnx.get(name, {"methods": {}})["methods"]
        cheaper = [
            control
            for control in (*CONTROLS, *find_resized(methods))
            if control in methods and methods[control]["multiply_adds"] < full["multiply_adds"]
        ]
        best = [name_best(methods, names) for names in (cheaper, RIVALS)]
        for cascade, remark in CASCADES.items():
            if cascade in methods:
                scores = [
                    f"{methods[method]['accuracy']:.3f}"
                    for method in (baseline, cascade, "localizer")
                ]
                works = (methods[method]["multiply_adds"] for method in (cascade, baseline))
                work = " of ".join(f"{count / 1e6:,.1f}" for count in works)
                faster = [
                    join_ratios(times[cascade]) if cascade in times else "not measured"
                    for times in (methods, fast)
                ]
                rows.append((name + remark, *scores, *best, work, *faster))
    accuracies = ("full input", "cascade", "localizer alone", "best control", "best linear rival")
    return format_table(("accuracy on", *accuracies, "M multiply-adds", "faster", "on ONNX"), rows)


def name_best(methods: Mapping[str, Any], names: Iterable[str]) -> str:
    """The highest accuracy among some methods, with the name of the method."""
    scores = [
        (methods[name]["accuracy"], RIVALS.get(name, name.replace("_", " ")))
        for name in names
        if name in methods
    ]
    return "{:.3f} ({})".format(*max(scores)) if scores else "not measured"


def join_ratios(row: Mapping[str, Any]) -> str:
    """Speed-ups of a method with one thread, for each batch size."""
    ratios = [times["speed_up"]["median"] for times in row["times"] if times["threads"] == 1]
    return join(f"{ratio:.1f}" for ratio in ratios)


def make_ablation_table(report: Report) -> str:
    """The section on ways to shorten a text for a classifier."""
    rows = [
        (name, f"{scores['classifier']:.4f}", f"{scores['mean']:.4f}")
        for name, scores in report["ideas"].items()
    ]
    first = next(iter(report["ideas"].values()))
    head = ("what MiniLM reads", "its accuracy", "mean with the localizer")
    return f"""
## Ablation: {report["settings"]["ablation"]["max_tokens"]} tokens of IMDb validation reviews

{report["num_rows"]:,} rows, one seed, a training of its own for each idea; the localizer alone has
{first["localizer"]:.4f}. Spans are windows of five tokens chosen for what they say for or against
any label, but in the second row for the predicted label only.

{format_table(head, rows)}"""


def make_ways_table(reports: Mapping[str, Report]) -> str:
    """One row a way to count n-grams: its accuracy on each set, and size on the first.

    Args:
        reports: Reports of `scripts.ablations.ngram_tables` by the name of the set.
    """
    first, *_ = reports.values()
    rows = [
        (
            name,
            *(f"{report['ways'][name]['accuracy']:.4f}" for report in reports.values()),
            f"{found['ngrams']:,}",
            f"{found['megabytes']:.1f}",
        )
        for name, found in first["ways"].items()
    ]
    sizes = (f"{what}, {next(iter(reports))}" for what in ("n-grams", "MB"))
    return format_table(("n-grams", *reports, *sizes), rows)


def make_starts_table(report: Report) -> str:
    """One row a start of an image localizer: what it is worth after the same epochs."""
    rows = [
        (
            name,
            f"{found['accuracy']:.4f}",
            f"{found['pointing']:.4f}",
            f"{found['multiply_adds'] / 1e6:.0f}",
            f"{found['seconds'] / 60:.1f}",
        )
        for name, found in report["starts"].items()
    ]
    return format_table(("start", "accuracy", "pointing", "M multiply-adds", "minutes"), rows)


def make_few_labels_table(report: Report) -> str:
    """One row a method: mean accuracy and range over the draws, for each number of labels."""
    counts = report["counts"]
    rows = [
        (
            name,
            *(_say_range(found[name]["accuracy"]) for found in counts.values()),
        )
        for name in next(iter(counts.values()))
    ]
    return format_table(("method", *(f"{count} a label" for count in counts)), rows)


def make_builds_table(report: Report) -> str:
    """One row a set: what `anchornet build` ends with, and a linear model of the same rows."""
    rows = []
    for name, entry in report["sets"].items():
        draws = entry["draws"]
        scores = [
            _say_range([draw[key] for draw in draws])
            for key in ("accuracy", "linear", "linear_all", "majority")
        ]
        minutes = mean(draw["seconds"] for draw in draws) / 60
        right = sum(draw["right"] for draw in draws)
        rows.append(
            (
                f"{name}, {entry['num_rows']:,} rows",
                *scores,
                f"{minutes:.1f}",
                f"{right} of {len(draws)}",
            )
        )
    head = ("set", "built", "linear model", "of all rows", "majority", "minutes", "verdict right")
    return format_table(head, rows)


def _say_range(scores: Sequence[float]) -> str:
    """Mean of the draws, lowest and highest."""
    return format_score(mean(scores), (min(scores), max(scores)))


def make_text_table(report: Report) -> str:
    """The table of text models."""
    local, reads = report["localizer"], report["classifiers"]
    errors = f"{local['additive_error']:.1e} / {local['chunked_error']:.1e}"
    accuracy = f"localizer alone, IMDb test ({report['num_rows']:,} reviews): accuracy"
    rows = [
        (accuracy, f"{local['accuracy']:.4f}"),
        ("its multiply-adds per token", f"{local['multiply_adds_per_token']:,.0f}"),
        ("additive identity / chunked against whole, largest relative error, float32", errors),
    ]
    what = f"small BERT on {join(name.replace('_', ' ') for name in reads)}: accuracy"
    rows.append((what, join(f"{row['accuracy']:.4f}" for row in reads.values())))
    tokens = join(f"{row['tokens_read']:.0f}" for row in reads.values())
    rows.append(("the tokens that it reads, on average", tokens))
    return format_table(("what", "result"), rows)


def describe_pointing(report: Report) -> str:
    """A sentence on a localizer's best patch, from the report of `anchornet evaluate`."""
    shares = report["boxes"]["pointing"]
    scales = [name for name in shares if name.endswith("_px")]
    alone = ", ".join(f"{shares[name]:.3f} with {name.replace('_', ' ')}" for name in scales)
    return (
        f"The middle of the localizer's best patch is in the box that people drew in "
        f"{shares['localizer']:.3f} of {report['boxes']['num_located']:,} images (of the best one "
        f"of each size alone: {alone}); that of a random patch in "
        f"{shares['random_boxes']:.3f}.\n\n"
    )


def make_image_table(report: Report) -> str:
    """The table of the image localizer and a sentence on costs; the card has more rows."""
    local, rows = report["localizer"], []
    for name, scores in report["sets"].items():
        energy = f"{scores['energy']:.3f} ({scores['box_area']:.3f})"
        own = {"localizer": (f"{scores['accuracy']:.3f}", energy)}
        for source in ("localizer", "centre_box"):
            shares = (scores[x][source] for x in ("pointing", "box_iou_recall", "max_box_acc_v2"))
            accuracy, inside = own.get(source, ("", ""))
            what = f"{name} ({scores['num_images']:,} images), {source.replace('_', ' ')}"
            rows.append((what, accuracy, *(f"{share:.3f}" for share in shares), inside))
    head = ("images", "accuracy", "pointing", "top-3 IoU >= 1/2", "MaxBoxAccV2", "energy (area)")
    additive, padded = (f"{local[x]:.1e}" for x in ("additive_error", "padded_error"))
    whole, trunk = (f"{local[x] / 1e6:.1f}" for x in ("multiply_adds", "trunk_multiply_adds"))
    return f"""{format_table(head, rows)}
Image localizer at {local["side"]} px: {whole} M multiply-adds, {trunk} M of them in the trunk;
largest relative error of the additive identity {additive}, of padded batches {padded}.
"""


def describe_reference(report: Report) -> str:
    """A sentence on the published network and its authors' code."""
    far = max(sizes["logits"]["difference"] for sizes in report["networks"].values())
    boxes = report["boxes"].values()
    num_maps = sum(maps["num_maps"] for maps in boxes)
    equal = sum(
        round(maps["num_maps"] * maps["equal_with_their_rule_for_position_0"]) for maps in boxes
    )
    times = [maps["times_faster"]["ours_with_their_rule"] for maps in boxes]
    faster = [time["median"] for time in times]
    plain, folded, theirs = (
        f"{report['trunks']['time_ratio'][name]['median']:.3f}"
        for name in ("default / efficientnet_lite0", "default / efficientnet_lite0_folded",
                     "authors / efficientnet_lite0")
    )  # fmt: skip
    return f"""The published network, converted: logits within {far:.1e} of the authors' code; the
same top-5 boxes of {equal:,} of {num_maps:,} maps, {min(faster):.1f} to {max(faster):.1f} times
faster. One thread's time over EfficientNet-Lite0's: our trunk {plain} ({folded} if that is folded
too), theirs {theirs}.
"""


def make_int8_table(reports: Mapping[str, Report]) -> str:
    """The table of localizers with 8-bit weights beside float32.

    Args:
        reports: Reports of `anchornet export --int8 --dataset` by the name of the localizer.
    """
    rows = [
        (
            f"{name}, {report['num_rows']:,} rows of {report['split']}",
            *(f"{report['accuracy'][form]:.4f}" for form in ("model", "graph")),
            f"{report['same_label']:.4f}",
            f"{report['bytes'] / 1e6:,.1f}",
        )
        for name, report in reports.items()
    ]
    head = (
        "localizer",
        "accuracy, float32",
        "accuracy, 8-bit weights",
        "same label",
        "MB in 8 bits",
    )
    return format_table(head, rows)


def join(values: Iterable[str]) -> str:
    """The values as one cell."""
    return " / ".join(values)
