"""The web demo's answers as HTML: evidence, predictions and their cost.

Colour is never the only cue, and all text of users and models is escaped.
"""

from PIL import Image

from hf_anchornet.model.cascade_rule import FULL, NGRAMS
from hf_anchornet.model.image_reader import cut_square
from hf_anchornet.views.explanation_view import render_explanation_html
from hf_anchornet.views.image_html import render_panels, render_patch_table
from hf_anchornet.views.image_view import describe_answer, describe_box
from hf_anchornet.views.page import encode_picture, escape
from hf_anchornet.views.text_view import render_html

from .models import ROUNDS, Answer, Comparison, Reading

CSS = """
.gradio-container { max-width: 75rem !important; margin: 0 auto !important; }
.anchornet { font-size: 1rem; line-height: 1.5; color: var(--body-text-color); }
.anchornet h1 { font-size: 1.6rem; line-height: 1.25; font-weight: 700; margin: .5rem 0; }
.anchornet h2 { font-size: 1.05rem; font-weight: 600; margin: .75rem 0 .6rem; }
.anchornet h3 { font-size: .875rem; font-weight: 600; margin: 0; }
.anchornet p { margin: .25rem 0; overflow-wrap: anywhere; }
.anchornet .verdict { border-left: 4px solid var(--color-accent); padding: .25rem 0 .25rem .9rem; }
.anchornet .verdict strong { font-size: 1.35rem; line-height: 1.3; }
.anchornet .cards { display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); }
.anchornet .card { border: 1px solid var(--border-color-primary); border-radius: .5rem;
  padding: .7rem .8rem; background: var(--block-background-fill); }
.anchornet .card strong { display: block; font-size: 1.15rem; margin-top: .5rem;
  overflow-wrap: anywhere; }
.anchornet .card p { font-size: .8125rem; margin: .4rem 0 0; }
.anchornet .card b { font-weight: 600; font-variant-numeric: tabular-nums; }
.anchornet .bar { height: .4rem; border-radius: .2rem; margin-top: .6rem;
  background: var(--border-color-primary); }
.anchornet .bar span { display: block; height: 100%; border-radius: .2rem;
  background: var(--color-accent); }
.anchornet blockquote { margin: 0; padding: .6rem .9rem; border-radius: .5rem;
  border: 1px solid var(--border-color-primary); overflow-wrap: anywhere; }
.anchornet .crops img { width: 6rem; height: 6rem; border-radius: .5rem; margin-right: .5rem; }
.anchornet small { font-size: .875rem; }
.anchornet table { border-collapse: collapse; font-size: .875rem; margin-top: .75rem; }
.anchornet th, .anchornet td { text-align: left; padding: .2rem .8rem .2rem 0; white-space: nowrap;
  border-bottom: 1px solid var(--border-color-primary); }
.anchornet td { font-variant-numeric: tabular-nums; }
.anchornet mark sup { font-weight: 600; white-space: nowrap; }
"""


_MEASURED = f"""Milliseconds are the median of {ROUNDS} runs in this call, without drawing; the bars
compare them."""


def render_verdict(answer: Answer) -> str:
    """The answer and its savings, in a sentence or two."""
    comparison = answer.comparison
    if comparison is None:
        saying = _say(answer.result["label"], answer.result["score"])
        return _wrap(f'<p class="verdict">{saying}<br>The localizer alone; no classifier.</p>')
    together, full = comparison.together, comparison.full
    first = _name_first(comparison)
    who = f"{first} and classifier" if comparison.parts else f"the {first} alone"
    if full is None:
        rest = "The input has no token for the classifier."
    else:
        same = "the same label" if full.label == together.label else "another label"
        rest = f"The classifier gives {same} for the full input{_tell_saving(comparison)}."
    saying = _say(together.label, together.score)
    return _wrap(f'<p class="verdict">{saying}<br>Answered by {who}. {rest}</p>')


def _tell_saving(comparison: Comparison) -> str:
    """The saving of time, if there is one."""
    times, full = comparison.times_faster, comparison.full
    if times is None or full is None:
        return ""
    spent = comparison.together.milliseconds
    return (
        f", in {full.milliseconds:,.1f} ms: {times:.1f} times as long as the {spent:,.1f} ms here"
    )


def render_cards(answer: Answer, full_name: str) -> str:
    """The answers side by side, each with its cost.

    Args:
        answer: The answer of the models.
        full_name: Name of the full input.
    """
    comparison = answer.comparison
    if comparison is None:
        return ""
    full = comparison.full
    most = max(comparison.together.milliseconds, full.milliseconds if full else 0)
    cards = [
        _card(_name_first(comparison).capitalize(), "the full input", comparison.alone, most),
        _card("Classifier", "the selected parts", comparison.selected, most, "not asked"),
        _card("Both together", "the cascade", comparison.together, most),
        _card("Classifier", full_name, full, most, "nothing to read"),
    ]
    notes = "" if comparison.parts else f"<p>{_explain_exit(comparison)}</p>"
    notes += f"<p><small>{_MEASURED}</small></p>"
    return _wrap(f'<h2>Answers and cost</h2><div class="cards">{"".join(cards)}</div>{notes}')


def render_spans(text: str, answer: Answer) -> str:
    """The text with its spans and their shares, and the parts that the classifier read."""
    figure = render_html(text, answer.result, shares=True)
    return _wrap(f"<h2>What decided</h2>{figure}{_quote_reading(answer.comparison)}")


def render_boxes(image: Image.Image, answer: Answer) -> str:
    """The photo with its boxes and their shares, and the parts that the classifier read."""
    result = answer.result
    patches = render_patch_table(result["patches"])
    return _wrap(
        f"<h2>What decided</h2>{render_panels(image, result)}"
        f"<p>{escape(describe_answer(result))}</p>{patches}{render_explanation_html(result)}"
        f"{_show_crops(image, answer.comparison)}"
    )


def _wrap(content: str) -> str:
    return f'<div class="anchornet">{content}</div>'


def _say(label: str, score: float) -> str:
    return f"<strong>{escape(label)}, {score:.1%}</strong>"


def _card(title: str, reads: str, reading: Reading | None, most: float, absent: str = "") -> str:
    head = f"<h3>{title}</h3><small>{escape(reads)}</small>"
    if reading is None:
        return f'<section class="card">{head}<strong>{absent}</strong></section>'
    adds, spent = f"{reading.multiply_adds / 1e6:,.1f} M", f"{reading.milliseconds:,.1f} ms"
    costs = f"<p><b>{spent}</b><br><b>{adds}</b> multiply&#8209;adds</p>"
    width = f"{100 * reading.milliseconds / most:.1f}%"
    bar = f'<div class="bar" aria-hidden="true"><span style="width:{width}"></span></div>'
    saying = f"<strong>{escape(reading.label)}</strong> {reading.score:.1%}"
    return f'<section class="card">{head}{saying}{costs}{bar}</section>'


def _explain_exit(comparison: Comparison) -> str:
    thresholds, stage = comparison.cascade.rule.thresholds, comparison.trace.stage
    sure = comparison.alone.score
    if stage == len(thresholds) or sure <= thresholds[stage]:
        return "There was nothing for the classifier to read."
    return (
        f"The classifier was not asked: the confidence of the {_name_first(comparison)} is "
        f"{sure:.1%}, more than the exit threshold of {thresholds[stage]:.0%}."
    )


def _name_first(comparison: Comparison) -> str:
    """What answered before the classifier, in words."""
    return "n-grams" if comparison.first == NGRAMS else str(comparison.first)


def _quote_reading(comparison: Comparison | None) -> str:
    if comparison is None or not comparison.parts:
        return ""
    text = escape(" ".join(piece.text for piece in comparison.parts))
    quote = f'<blockquote dir="auto" lang="">{text}</blockquote>'
    return f"<h2>What the classifier read</h2>{quote}"


def _show_crops(image: Image.Image, comparison: Comparison | None) -> str:
    if comparison is None or not comparison.parts:
        return ""
    if comparison.parts == [FULL]:
        return "<h2>What the classifier read</h2><p>The whole photo.</p>"
    parts = ((encode_picture(cut_square(image, box)), box) for box in comparison.parts)
    crops = "".join(
        f'<img src="{picture}" alt="The photo\'s pixels {describe_box(box)}">'
        for picture, box in parts
    )
    return f'<h2>What the classifier read</h2><p class="crops">{crops}</p>'
