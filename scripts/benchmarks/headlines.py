"""The numbers on the first screen of README.md: a line for each promise of the package."""

from collections.abc import Mapping
from typing import Any

from scripts.benchmarks.result_tables import RIVALS, join_ratios, name_best


def make_headlines(found: Mapping[str, Any]) -> str:
    """A list of four lines.

    Args:
        found: Reports by the name of their file in results/.
    """
    return (
        f"- **Exact evidence.** {_describe_evidence(found['evidence_imdb_rationales'])} "
        f"{_describe_shapley(found['evidence_movie_rationales_minilm'])}\n"
        f"- **Less to compute.** {_describe_saving(found['speed_imdb']['methods'])}\n"
        f"- **Photos too.** {_describe_photos(found['speed_fod_a']['methods'])}\n"
        f"- **Large pictures.** {_describe_sheets(found['speed_megapixel_mnist'])} "
        f"{_describe_boards(found['speed_pcb_panels'])}\n"
    )


def _describe_evidence(report: Mapping[str, Any]) -> str:
    explainers = report["explanations"]["explainers"]
    return (
        f"In {explainers['evidence']['plausibility']['pointing']:.3f} of film reviews the word "
        "with the most evidence is one that people marked "
        f"({explainers['random']['plausibility']['pointing']:.3f} by chance), "
        f"{explainers['lime']['times_slower']:.0f} times faster than LIME."
    )


def _describe_shapley(report: Mapping[str, Any]) -> str:
    explanations = report["explanations"]
    ours, lime = (explanations["explainers"][name] for name in ("span_shapley", "lime"))
    drops = " / ".join(
        f"{each['faithfulness']['cut']['comprehensiveness']:.3f}" for each in (ours, lime)
    )
    return (
        "Your own classifier, too: Shapley values of spans that a localizer proposes explain "
        f"MiniLM-L6 on {explanations['num_explained']} long reviews "
        f"{lime['milliseconds'] / ours['milliseconds']:.0f} times faster than LIME "
        f"(comprehensiveness {drops})."
    )


def _describe_saving(methods: Mapping[str, Any]) -> str:
    full, cascade = methods["full"], methods["shipped_cascade"]
    return (
        f"The shipped cascade classifies reviews with accuracy {cascade['accuracy']:.3f} where "
        f"MiniLM-L6 on the full text has {full['accuracy']:.3f}, {join_ratios(cascade)} times "
        "faster one by one / in batches of 32; the best linear model of n-grams or vectors, which "
        f"is faster still: {name_best(methods, RIVALS)}."
    )


def _describe_photos(methods: Mapping[str, Any]) -> str:
    cascade, full, small = (methods[name] for name in ("cascade", "full", "small"))
    return (
        "The shipped localizer, and where it is in doubt EfficientNet-Lite0 on the patches that it "
        f"points at: accuracy {cascade['accuracy']:.3f}, {join_ratios(cascade)} times faster than "
        f"that network on the whole photo at 224 px ({full['accuracy']:.3f}); resized to 96 px it "
        f"has {small['accuracy']:.3f}, {join_ratios(small)} times faster."
    )


def _describe_sheets(report: Mapping[str, Any]) -> str:
    methods = report["methods"]
    localizer, full, small = (methods[name] for name in ("localizer", "full", "small_224"))
    return (
        "Which digit of 28 px stands three times on a sheet of 1,500 px? Learned from the sheets' "
        f"labels alone, a localizer of {localizer['multiply_adds'] / 1e9:.1f} G multiply-adds has "
        f"accuracy {localizer['accuracy']:.3f}; EfficientNet-Lite0 on the sheet resized to 448 px "
        f"({full['multiply_adds'] / 1e9:.1f} G) has {full['accuracy']:.3f}, to 224 px "
        f"{small['accuracy']:.3f}, where chance is 0.1."
    )


def _describe_boards(report: Mapping[str, Any]) -> str:
    methods = report["methods"]
    found, full, small = (methods[name] for name in ("patches_and_localizer", "full", "small_224"))
    return (
        "Which of six defects of about 38 px does a circuit board of 1,280 px have? A localizer "
        f"and the patch that it points at ({found['multiply_adds'] / 1e9:.1f} G): "
        f"{found['accuracy']:.3f}; EfficientNet-Lite0 on the board resized to 448 px "
        f"({full['multiply_adds'] / 1e9:.1f} G): {full['accuracy']:.3f}, to 224 px: "
        f"{small['accuracy']:.3f}."
    )
