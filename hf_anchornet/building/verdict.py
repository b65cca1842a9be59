"""The verdict on a build in words, from what was measured on the test split."""

from collections.abc import Mapping
from typing import Any, NamedTuple

AS_GOOD = 0.005
"""Accuracy by which a more expensive model must be better than a linear one to be worth it."""
FEW_ROWS = 1_000
"""Below so many training rows their number is given as the reason."""
FEW_TESTED = 30
"""Below so many compared rows their number is given."""
HARDLY = 0.01
"""Accuracy by which a model must be better than the most frequent label."""
TOLERANCE = 1e-9
"""Of comparisons with a limit, against rounding."""
CLEARLY = 1.5
"""Ratio of times from which on one of two models is called faster."""
MANY = 5
"""Ratio of times from which on whole numbers tell it."""
WIDE = 0.1
"""Width of an interval from which on two models cannot be called equal."""
SLOW = 0.8
"""Share of the classifier's time above which a cascade saves nothing worth its name."""


class Verdict(NamedTuple):
    """Whether the build was worth it, and the sentences that say so."""

    worth_it: bool
    text: str


def judge(measured: Mapping[str, Any], max_loss: float, noun: str = "texts") -> Verdict:
    """The verdict on a build.

    Args:
        measured: From `measure_models`.
        max_loss: Accuracy that may be lost against the classifier.
        noun: What the inputs are called.
    """
    scores, answer = measured["compared"], measured["answer"]
    ours, linear = scores[answer], scores["linear model"]
    name = "the cascade" if answer == "cascade" else "the localizer"
    if linear["accuracy"] > ours["accuracy"] + AS_GOOD:
        noise = _say_noise(measured, "linear model")
        better = "scores higher than" if noise else "is better than"
        return _refuse(
            f"a linear model {better} {name} ({_pair(linear, ours)}){noise}. "
            f"{_explain(measured, noun)}"
        )
    if ours["accuracy"] <= scores["majority"]["accuracy"] + HARDLY + TOLERANCE:
        return _refuse(
            f"{name} is hardly better than always giving the most frequent label "
            f"({_pair(ours, scores['majority'])}): the {noun} do not show the label, or there are "
            "too few of them."
        )
    if "classifier" not in scores:
        return _judge_localizer(measured, noun)
    lost = scores["classifier"]["accuracy"] - ours["accuracy"]
    if lost > max_loss + TOLERANCE:
        noise = _say_noise(measured, "classifier")
        return _refuse(
            f"{name} loses {100 * lost:.1f} points against your classifier "
            f"({_pair(ours, scores['classifier'])}){noise}. More rows, or a classifier adapted for "
            "longer, may help."
        )
    if answer == "cascade":
        return _judge_cascade(measured, noun)
    times = ours["milliseconds"] / scores["classifier"]["milliseconds"]
    is_as_good = "is as good as your classifier"
    if lost > AS_GOOD:
        is_as_good = (
            f"loses {100 * lost:.1f} points against your classifier, within the "
            f"{100 * max_loss:.1f} that you allow"
        )
    pair = f"({_pair(ours, scores['classifier'])}){_say_wide(measured, 'classifier')}"
    if times > CLEARLY:
        return _refuse(
            f"the localizer {is_as_good} {pair}, "
            f"but takes {times:.1f} times as long: use the classifier alone, unless you need to "
            "see the evidence."
        )
    text = (
        f"The localizer alone {is_as_good} {pair} {_say_time(ours, scores['classifier'])}: the "
        "classifier is left out."
    )
    if linear["accuracy"] >= ours["accuracy"] - AS_GOOD:
        text += (
            f" A linear model of the {noun} is as good too ({_number(linear)}): take it if you do "
            "not need to see the evidence."
        )
    return Verdict(True, text)


def _judge_localizer(measured: Mapping[str, Any], noun: str) -> Verdict:
    """The verdict on a localizer that was built without a classifier."""
    ours, linear = (measured["compared"][name] for name in ("localizer", "linear model"))
    if linear["accuracy"] >= ours["accuracy"] - AS_GOOD:
        return _refuse(
            f"a linear model is as good as the localizer ({_pair(linear, ours)}); only the "
            "localizer shows which parts decided, exactly. A pretrained `--classifier` may find "
            "more than single words or colours."
        )
    return Verdict(
        True,
        f"The localizer is better than a linear model ({_pair(ours, linear)})"
        f"{_say_noise(measured, 'linear model')}, and shows which parts decided. It takes "
        f"{ours['milliseconds']:.1f} ms for one of the {noun}, in batches of 32.",
    )


def _judge_cascade(measured: Mapping[str, Any], noun: str) -> Verdict:
    """The verdict on a cascade that loses nothing against its classifier."""
    scores = measured["compared"]
    ours, full, linear = scores["cascade"], scores["classifier"], scores["linear model"]
    if linear["accuracy"] >= ours["accuracy"] - AS_GOOD:
        return _refuse(
            f"a linear model is as good ({_pair(linear, ours)}). {_explain(measured, noun)}"
        )
    if ours["milliseconds"] > SLOW * full["milliseconds"]:
        return _refuse(
            f"the cascade asks the classifier for {measured['asked']:.0%} of the {noun} and takes "
            f"{ours['milliseconds'] / full['milliseconds']:.0%} of its time "
            f"({_pair(ours, full)}): use the classifier alone."
        )
    return Verdict(
        True,
        f"Asks the classifier for {measured['asked']:.0%} of the {noun}: {_pair(ours, full)}"
        f"{_say_wide(measured, 'classifier')} {_say_time(ours, full)}.",
    )


def _refuse(reason: str) -> Verdict:
    return Verdict(False, f"Not worth it here: {reason}")


def _explain(measured: Mapping[str, Any], noun: str) -> str:
    """Why a linear model is enough."""
    scores, learned = measured["compared"], measured["num_train_rows"]
    full, linear = scores.get("classifier"), scores["linear model"]
    if full is None and learned < FEW_ROWS:
        return f"There are only {learned:,} {noun} to learn from."
    if full is None:
        return "Single words or colours decide here, and a linear model counts them."
    if full["accuracy"] <= linear["accuracy"] + AS_GOOD:
        return (
            f"Your classifier on the full {noun} is no better either ({_number(full)}): single "
            "words or colours decide here, and a linear model counts them."
        )
    return (
        f"Your classifier on the full {noun} is better ({_number(full)}), but not on the parts "
        "that it is given."
    )


def _say_noise(measured: Mapping[str, Any], name: str) -> str:
    """That the difference to a model may be chance, with its interval, if it may."""
    found, rows = measured["differences"][name], measured["num_rows"]
    sure = found["high"] < 0 or found["low"] > 0
    if sure and rows >= FEW_TESTED:
        return ""
    if sure:
        return f", of only {rows:,} rows"
    return (
        f", which may be chance with {rows:,} rows (95 % interval of ours minus theirs: "
        f"{100 * found['low']:+.1f} to {100 * found['high']:+.1f} points)"
    )


def _say_wide(measured: Mapping[str, Any], name: str) -> str:
    """The interval of the difference to a model, if it is too wide to call two models equal."""
    found, rows = measured["differences"][name], measured["num_rows"]
    if found["high"] - found["low"] <= WIDE:
        return ""
    return (
        f" (with {rows:,} rows ours may be {100 * found['low']:+.1f} to "
        f"{100 * found['high']:+.1f} points)"
    )


def _say_time(ours: Mapping[str, float], theirs: Mapping[str, float]) -> str:
    ratio = theirs["milliseconds"] / ours["milliseconds"]
    if ratio < CLEARLY:
        return "in about its time"
    return f"at 1/{ratio:.0f} of its time" if ratio >= MANY else f"at {1 / ratio:.0%} of its time"


def _pair(one: Mapping[str, float], other: Mapping[str, float]) -> str:
    return f"{_number(one)} / {_number(other)}"


def _number(scores: Mapping[str, float]) -> str:
    return f"{scores['accuracy']:.3f}".removeprefix("0")
