"""`anchornet demo`: the shipped models on a review and a photo, in the terminal or a browser."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hf_anchornet.demo.models import BUDGETS, NEVER, Comparison, DemoModels, DemoOptions
from hf_anchornet.model.cascade_rule import NGRAMS
from hf_anchornet.model.image_processing_anchornet import open_image
from hf_anchornet.registration import IMAGE_TASK, SAMPLE_IMAGE, SAMPLE_REVIEW, TEXT_TASK
from hf_anchornet.views.base import Record, clean_line, wrap
from hf_anchornet.views.image_view import render_patches, render_table
from hf_anchornet.views.text_view import render_terminal

from .options import OptionParser, build_options
from .shared import describe_answer, hide_progress_bars, measure_width, wants_color

PICTURE = Path("anchornet_demo.png")
FULL_INPUTS = {
    TEXT_TASK: ("MiniLM-L6", "the whole review"),
    IMAGE_TASK: ("EfficientNet-Lite0", "the whole photo"),
}
"""Networks of the shipped cascades, and their full inputs."""

DESCRIPTION = """\
Show which words of a review and which patches of a photo decide their labels, with the
shipped models. The picture is written to anchornet_demo.png."""
EXAMPLES = """\
  anchornet demo
  anchornet demo --web --port 7860
  anchornet demo --space my_space && hf upload you/my_space my_space --repo-type space"""


@dataclass
class DemoCommandOptions:
    """Where the demo runs.

    Attributes:
        web: Whether to serve the demo as a web page on this machine (extra `demo`).
        port: Port of the web page; by default the first free one from 7860 on.
        space: Folder to write the web demo to, as a Hugging Face Space.
    """

    web: bool = False
    port: int | None = None
    space: str | None = None

    def __post_init__(self) -> None:
        """Check that the options go together."""
        if self.web and self.space is not None:
            raise ValueError("`web` and `space` must not both be given; choose one.")
        if self.port is not None and not self.web:
            raise ValueError(f"`port` must come with `web`, got {self.port} alone; add `--web`.")


def make_parser() -> OptionParser:
    """The parser of the command."""
    return OptionParser("demo", {"options": DemoCommandOptions}, DESCRIPTION, EXAMPLES)


def run(given: Mapping[str, Any]) -> None:
    """Run the command with options by field name."""
    (options,) = build_options([DemoCommandOptions], given)
    hide_progress_bars()
    if options.web:
        from hf_anchornet.demo.app import launch

        launch(options.port)
    elif options.space is not None:
        from hf_anchornet.demo.space import write_space

        write_space(options.space)
    else:
        _show_text()
        _show_image()


def _show_text() -> None:
    text = SAMPLE_REVIEW.read_text(encoding="utf-8").strip()
    models = DemoModels.load(TEXT_TASK)
    options = DemoOptions(5, models.sizes, BUDGETS[TEXT_TASK])
    result, comparison, asked = _ask(models, text, options)
    who = "localizer, in one pass, says"
    if comparison.first == NGRAMS:
        who = "n-grams, added up, say"
    width = measure_width()
    paragraphs = (
        "A film review, and the spans that decided its label:",
        render_terminal(text, result, color=wants_color(sys.stdout), width=width),
        wrap(f"The {who} {describe_answer(result)}.", width),
        _tabulate_spans(result, width),
        # Without calibration the small classifier, which saves nothing, was asked.
        *([_tell_saving(comparison, TEXT_TASK, width)] if models.calibrated else ()),
        *_tell_reading(text, asked, width),
    )
    print("\n\n".join(paragraphs))


def _show_image() -> None:
    models, source, width = DemoModels.load(IMAGE_TASK), open_image(SAMPLE_IMAGE), measure_width()
    options = DemoOptions(5, models.usual_sizes, BUDGETS[IMAGE_TASK])
    result, comparison, asked = _ask(models, source, options)
    render_patches(SAMPLE_IMAGE, result).save(PICTURE, "PNG")
    paragraphs = (
        "\nA photo, and the patches that decided its label:",
        render_table({name: result[name] for name in result if name != "classifier"}),
        _tell_saving(comparison, IMAGE_TASK, width),
        wrap(
            "If it is asked, the classifier reads the best patches, cut from the photo. "
            f"It {_compare(asked)}: {describe_answer(asked['classifier'])}.",
            width,
        ),
        f"Boxes and evidence: {PICTURE}",
    )
    print("\n\n".join(paragraphs))


def _ask(
    models: DemoModels, source: Any, options: DemoOptions
) -> tuple[Record, Comparison, Record]:
    """The answer, its cost, and the answer if the classifier is asked in any case."""
    answer = models.ask(source, options)
    assert answer.comparison is not None  # a classifier is shipped
    asked = answer.result
    if not answer.comparison.parts:
        asked = models.ask(source, replace(options, exit_threshold=NEVER)).result
    return answer.result, answer.comparison, asked


def _tell_reading(text: str, result: Record, width: int) -> tuple[str, ...]:
    """What the classifier read of a text, and its answer."""
    classifier = result["classifier"]
    read, whole = (len(part.split()) for part in (classifier["text"], text))
    return (
        "What the classifier reads, if it is asked:",
        wrap(clean_line(classifier["text"]), width),
        wrap(
            f"It {_compare(result)}: {describe_answer(classifier)}. "
            f"These are {read} of {whole} words, {read / whole:.0%} of the review.",
            width,
        ),
    )


def _tell_saving(comparison: Comparison, task: str, width: int) -> str:
    """What answering took, and what the classifier takes on the full input."""
    network, full_input = FULL_INPUTS[task]
    spent, whole, times = comparison.together, comparison.full, comparison.times_faster
    asked = "All of it" if comparison.parts else "Sure enough: the classifier is not asked. This"
    if whole is None:
        return wrap(f"{asked} took {spent.milliseconds:.1f} ms.", width)
    saved = f", {times:.1f} times as long" if times else ""
    return wrap(
        f"{asked} took {spent.milliseconds:.1f} ms. The classifier, {network}, on {full_input} "
        f"takes {whole.milliseconds:.1f} ms{saved}.",
        width,
    )


def _compare(result: Record) -> str:
    return "agrees" if result["classifier"]["label"] == result["label"] else "disagrees"


def _tabulate_spans(result: Record, width: int) -> str:
    """The spans as a plain table of at most `width` columns, the largest share first."""
    rows = [f"{'share':>7}  {'evidence':>8}  {'tokens':>6}  span"]
    for span in sorted(result["spans"], key=lambda span: -abs(span["share"])):
        label = "" if span["label"] == result["label"] else f"{span['label']}: "
        numbers = f"{span['share']:>+7.1%}  {span['evidence']:>+8.3f}  {span['scale']:>6}  "
        rows.append(numbers + clean_line(label + span["text"], width - len(numbers)))
    return "\n".join(rows)
