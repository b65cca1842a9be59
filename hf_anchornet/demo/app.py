"""The page of the web demo, in Gradio.

Nothing leaves the machine: no share link, no analytics, no fonts from elsewhere, and the server
listens on loopback unless `GRADIO_SERVER_NAME` is set, as in a Space.
"""

import html
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from safetensors import SafetensorError
from transformers.utils.logging import disable_progress_bar

from hf_anchornet.registration import SAMPLE_IMAGE, SAMPLE_REVIEW
from hf_anchornet.views.base import clean_line

from .answers import (
    MOST_CHARACTERS,
    MOST_FILE_BYTES,
    check_upload,
    load_models,
    show_image,
    show_text,
    warm_up,
)
from .models import BUDGETS, NEVER, DemoModels, DemoOptions
from .views import CSS

try:
    import gradio as gr
    from gradio.utils import get_upload_folder
except ImportError as error:
    raise ImportError(
        "the web demo needs gradio, which is not installed; `pip install 'hf-anchornet[demo]'`."
    ) from error

_EXAMPLE = "A dull start, but the cast is superb and the ending is a joy: I loved this film."
_HEADER = """<div class="anchornet"><h1>AnchorNet: what decided</h1>
<p>A small localizer labels a text or a photo and shows exactly which parts decided. If needed, a
classifier then reads only these parts.</p></div>"""
_EXPLAINS = "Adds what each part that was read adds to the answer; takes more time."
_WAITING = '<div class="anchornet"><p>The answer appears here.</p></div>'
# A live region must exist before its content, so it is the element that Gradio fills.
_ANNOUNCE = "element.setAttribute('role', 'status'); element.setAttribute('aria-live', 'polite');"
# Gradio's own shades have too little contrast on white (WCAG 2.2, 1.4.3: at least 4.5 to 1).
_SHADES = {
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_300",
    "block_title_text_color": "*neutral_800",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_300",
    "block_label_text_color": "*neutral_700",
    "color_accent": "*primary_700",
    "slider_color": "*primary_700",
    "checkbox_background_color_selected": "*primary_700",
    "checkbox_border_color_selected": "*primary_700",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_text_color": "white",
}


@dataclass(frozen=True)
class _Tab:
    """The differences between the tabs for texts and for photos.

    Attributes:
        task: Task of the models.
        title: Name of the input.
        parts: Plural noun for the parts that are shown.
        window: Template for the name of a window size.
        budget: Name, smallest and largest value of the budget.
        show: Function from input, models and options to verdict and details.
    """

    task: str
    title: str
    parts: str
    window: str
    budget: tuple[str, int, int]
    show: Callable[[Any, DemoModels, DemoOptions], tuple[str, str]]


def _show_upload(upload: Any, models: DemoModels, options: DemoOptions) -> tuple[str, str]:
    check_upload(upload, get_upload_folder())
    return show_image(upload, models, options)


_TEXT = _Tab("span-localization", "Text", "spans", "{}-token window", ("Tokens", 8, 256), show_text)
_PHOTO = _Tab(
    "patch-localization", "Photo", "boxes", "{}-px window", ("Patches", 1, 5), _show_upload
)


@contextmanager
def shown_errors() -> Iterator[None]:
    """Turn errors of inputs and models into a `gradio.Error`, a message without a traceback."""
    expected = (ImportError, OSError, RuntimeError, SafetensorError, TypeError, ValueError)
    try:
        yield
    except expected as error:
        # Gradio shows messages as HTML.
        message = html.escape(clean_line(str(error), 600))
        raise gr.Error(message, print_exception=False) from None


def build_app() -> gr.Blocks:
    """The page, with the shipped models loaded."""
    app = gr.Blocks(title="AnchorNet", analytics_enabled=False)
    with app:
        gr.HTML(_HEADER, apply_default_css=False)
        with gr.Tabs():
            for tab in (_TEXT, _PHOTO):
                with gr.Tab(tab.title):
                    _build_tab(tab, load_models(tab.task))
    return app


def launch(port: int | None = None) -> None:
    """Serve the demo on loopback until it is stopped.

    Args:
        port: By default `GRADIO_SERVER_PORT` or the first free one from 7860 on.
    """
    disable_progress_bar()
    warm_up()
    with suppress(ImportError):  # Gradio would import it at the first click
        import_module("matplotlib.pyplot")
    fonts = ["system-ui", "sans-serif"]
    theme = gr.themes.Default(
        primary_hue="teal", neutral_hue="slate", font=fonts, font_mono=["monospace"]
    )
    build_app().launch(
        share=False,
        server_port=port,
        footer_links=[],
        run_history=False,
        max_file_size=MOST_FILE_BYTES,
        ssr_mode=False,
        theme=theme.set(**_SHADES),
        css=CSS,
    )


def _build_tab(tab: _Tab, models: DemoModels) -> None:
    """Fill a tab with its input, options and answer."""
    names = gr.State(("", ""))
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            source = _build_source(tab)
            button = gr.Button("Show what decided", variant="primary")
            examples = _build_examples(tab, source)
            options = _build_options(tab, models)
            _build_models(tab, names, options)
        with gr.Column(scale=4, min_width=300):
            shown: dict[str, Any] = {"apply_default_css": False, "elem_classes": tab.title}
            verdict = gr.HTML(_WAITING, js_on_load=_ANNOUNCE, **shown)
            details = gr.HTML(**shown)
    # Without preprocessing, which fails on a broken picture with a traceback.
    run: dict[str, Any] = {
        "fn": partial(_run, tab),
        "inputs": [source, names, *options],
        "outputs": [verdict, details],
        "preprocess": False,
        "api_visibility": "private",
    }
    button.click(**run)
    examples.load_input_event.then(**run)
    if tab is _TEXT:
        source.submit(**run)


def _build_source(tab: _Tab) -> Any:
    if tab is _PHOTO:
        return gr.Image(label=tab.title, sources=["upload", "clipboard"], height=260)
    return gr.Textbox(
        label=tab.title,
        info=f"At most {MOST_CHARACTERS:,} characters. Shift + Enter presses the button below.",
        lines=6,
        max_lines=12,
    )


def _build_examples(tab: _Tab, source: Any) -> Any:
    review = SAMPLE_REVIEW.read_text(encoding="utf-8").strip()
    texts = {"One sentence": _EXAMPLE, "A film review": review}
    chosen = texts if tab is _TEXT else {"A photo of an airfield": str(SAMPLE_IMAGE)}
    return gr.Examples(
        [[example] for example in chosen.values()],
        [source],
        example_labels=list(chosen),
        cache_examples=False,
        api_visibility="private",
    )


def _build_options(tab: _Tab, models: DemoModels) -> list[Any]:
    """The controls, in the order of the arguments of `_run`."""
    name, smallest, largest = tab.budget
    budget = f"{name} that the classifier may read"
    asked = "The classifier is asked if the localizer's confidence is below this; at 1 always."
    windows = _name_windows(tab, models)
    with gr.Accordion("Options", open=False):
        return [
            gr.Slider(1, 10, 5, step=1, label=f"Most {tab.parts} to show"),
            gr.CheckboxGroup(
                windows, value=models.usual_sizes, label=f"Sizes of these {tab.parts}"
            ),
            gr.Slider(
                smallest,
                largest,
                BUDGETS[tab.task],
                step=1,
                label=budget,
                visible=not models.calibrated,
            ),
            gr.Slider(0, 1, NEVER, step=0.01, label="Exit threshold", info=asked),
            gr.Checkbox(
                models.calibrated,
                label="Stages and thresholds as calibrated",
                visible=models.calibrated,
            ),
            gr.Checkbox(False, label="Explain the answer", info=_EXPLAINS),
        ]


def _build_models(tab: _Tab, names: gr.State, options: Sequence[Any]) -> None:
    """Add two inputs for the names of models, and the button that loads them."""
    with gr.Accordion("Models", open=False):
        localizer = gr.Textbox(
            label="Localizer",
            info="Hub id or folder of a localizer or cascade. Empty: the shipped one.",
        )
        classifier = gr.Textbox(
            label="Classifier",
            info="Hub id or folder. Empty: the one of the cascade, or the shipped one for the "
            "shipped localizer.",
        )
        button = gr.Button("Load these models")
        loaded = gr.HTML(js_on_load=_ANNOUNCE, apply_default_css=False)
    _, *changed, _ = options
    button.click(
        partial(_load, tab),
        [localizer, classifier],
        [names, *changed, loaded],
        api_visibility="private",
    )


def _load(tab: _Tab, localizer: str, classifier: str) -> list[Any]:
    """Load models and return the controls adjusted to them."""
    names = (localizer.strip(), classifier.strip())
    with shown_errors():
        models = load_models(tab.task, *names)
    reads = models.cascade is not None
    kind = "a localizer and a classifier" if reads else "a localizer, which answers alone"
    if models.calibrated:
        kind = "a calibrated cascade"
    return [
        names,
        gr.CheckboxGroup(_name_windows(tab, models), value=models.usual_sizes),
        gr.Slider(visible=reads and not models.calibrated),
        gr.Slider(visible=reads),
        gr.Checkbox(models.calibrated, visible=models.calibrated),
        f'<div class="anchornet"><p>Loaded: {kind}.</p></div>',
    ]


def _name_windows(tab: _Tab, models: DemoModels) -> list[tuple[str, int]]:
    return [(tab.window.format(size), size) for size in models.sizes]


def _run(
    tab: _Tab,
    source: Any,
    names: Sequence[str],
    *controls: Any,
) -> tuple[str, str]:
    """Verdict and details for a click; `controls` are the values of `_build_options`."""
    top_k, scales, budget, exit_threshold, calibrated, explain = controls
    threshold = None if calibrated else exit_threshold
    with shown_errors():
        models = load_models(tab.task, *names)
        return tab.show(source, models, DemoOptions(top_k, scales, budget, threshold, explain))
