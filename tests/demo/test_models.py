"""What the web demo asks of models, and how it shows the answers."""

from dataclasses import replace
from struct import pack
from time import perf_counter

import pytest
from PIL import Image
from transformers import TextClassificationPipeline

from hf_anchornet.demo.answers import (
    MOST_CHARACTERS,
    MOST_FILE_BYTES,
    check_upload,
    open_upload,
    show_image,
    show_text,
)
from hf_anchornet.demo.models import DemoModels, DemoOptions
from hf_anchornet.demo.views import render_cards, render_spans, render_verdict
from hf_anchornet.registration import SAMPLE_IMAGE

TEXT = "the film was good , not bad , good"
ONE = DemoOptions(5, [1], 8)
ONE_PAIR = DemoOptions(1, [2], 8)


def load_apart(task, cascade, folder):
    """A planted localizer and a plain classifier with its labels, each from its own folder."""
    cascade.localizer.save_pretrained(folder / "first")
    cascade.reader.save_pretrained(folder / "second")
    return DemoModels.load(task, str(folder / "first"), str(folder / "second"))


@pytest.fixture
def texts(text_cascade, tmp_path):
    return load_apart("span-localization", text_cascade, tmp_path)


@pytest.fixture
def calibrated(text_cascade, tmp_path):
    text_cascade.save_pretrained(tmp_path / "cascade")
    return DemoModels.load("span-localization", str(tmp_path / "cascade"))


@pytest.fixture
def photos(image_cascade, tmp_path):
    return load_apart("patch-localization", image_cascade, tmp_path)


@pytest.fixture
def photo(tmp_path):
    """A grey photo with a red square, as Gradio describes an upload."""
    picture = Image.new("RGB", (64, 48), (128, 128, 128))
    picture.paste((255, 0, 0), (20, 12, 36, 28))
    picture.save(tmp_path / "photo.png")
    return {"path": str(tmp_path / "photo.png")}


def test_a_cascade_brings_its_classifier_and_thresholds(calibrated):
    assert calibrated.calibrated
    assert calibrated.cascade.rule.stages == ("localizer", 4, 6, "full")
    assert calibrated.ask(TEXT, ONE).comparison.cascade.rule.thresholds == (0.9, 1.0, 1.0)


def test_the_thresholds_of_a_cascade_can_be_changed(calibrated):
    chosen = DemoOptions(5, [1], 8, exit_threshold=0.0)
    assert calibrated.ask(TEXT, chosen).comparison.parts == []


def test_the_glance_of_a_cascade_answers_first(glance_cascade, photo, tmp_path):
    glance_cascade.save_pretrained(tmp_path / "cascade")
    models = DemoModels.load("patch-localization", str(tmp_path / "cascade"))
    answer = models.ask(Image.open(photo["path"]), DemoOptions(1, [8], 1, 0.0))
    assert answer.comparison.first == "glance"
    assert answer.comparison.parts == []
    glance = models.cascade.glance.count_multiply_adds((1, 3, 24, 24))
    assert answer.comparison.alone.multiply_adds == glance
    assert answer.comparison.together.multiply_adds == glance
    assert answer.comparison.full.multiply_adds > 0
    assert "Answered by the glance alone" in render_verdict(answer)


def test_the_evidence_is_that_of_the_model_that_answered(ngram_cascade, tmp_path):
    ngram_cascade.save_pretrained(tmp_path / "cascade")
    models = DemoModels.load("span-localization", str(tmp_path / "cascade"))
    answer = models.ask("not bad", ONE_PAIR)
    assert answer.comparison.first == "ngrams"
    (span,) = answer.result["spans"]
    assert (span["text"], span["share"]) == ("not bad", pytest.approx(1.0))
    assert "The classifier was not asked: positive" in render_spans("not bad", answer)
    answer = models.ask("not bad", DemoOptions(1, models.sizes, 8))
    spent = answer.result["cost"]["localizer_multiply_adds"]
    assert spent == answer.comparison.alone.multiply_adds  # the trunk was not read to be shown


def test_a_localizer_alone_answers_alone(localizer_folder):
    models = DemoModels.load("span-localization", localizer_folder)
    assert models.cascade is None
    verdict, details = show_text(TEXT, models, ONE)
    assert "The localizer alone; no classifier." in verdict
    assert "Answers and cost" not in details


def test_a_classifier_with_other_labels_is_refused(localizer_folder, classifier_folder):
    with pytest.raises(ValueError, match="`classifier` must have the labels of the localizer"):
        DemoModels.load("span-localization", localizer_folder, classifier_folder)


def classify(texts, text):
    """The answer of the classifier's own pipeline."""
    reader = texts.cascade.reader
    classifier = TextClassificationPipeline(model=reader.model, tokenizer=reader.tokenizer)
    return classifier(text)[0]


def test_the_classifiers_own_answer_is_that_of_its_pipeline_on_the_parts(texts):
    comparison = texts.ask(TEXT, ONE).comparison
    answer = classify(texts, comparison.parts[0].text)
    assert comparison.selected.label == answer["label"]
    assert comparison.selected.score == pytest.approx(answer["score"], abs=1e-6)


def test_the_full_answer_is_that_of_the_classifier_on_the_full_text(texts):
    answer = classify(texts, TEXT)
    full = texts.ask(TEXT, ONE).comparison.full
    assert (full.label, full.score) == (answer["label"], pytest.approx(answer["score"], abs=1e-6))
    reader = texts.cascade.reader
    size = reader.make_piece(TEXT, reader.most_tokens).size
    assert full.multiply_adds == reader.count_multiply_adds(size)


def test_the_cost_of_both_together_is_that_of_each(texts):
    comparison = texts.ask(TEXT, ONE).comparison
    alone, selected, together = comparison.alone, comparison.selected, comparison.together
    assert together.multiply_adds == alone.multiply_adds + selected.multiply_adds
    assert together.milliseconds == pytest.approx(alone.milliseconds + selected.milliseconds)
    assert min(alone.milliseconds, selected.milliseconds, comparison.full.milliseconds) > 0


def test_the_budget_holds(texts):
    comparison = texts.ask("good bad " * 20, ONE).comparison
    ids = texts.cascade.reader.tokenizer(comparison.parts[0].text)["input_ids"]
    assert len(ids) <= ONE.budget


def test_a_sure_localizer_leaves_the_classifier_unasked(texts):
    answer = texts.ask("good good", DemoOptions(5, [1], 8, exit_threshold=0.5))
    assert answer.comparison.selected is None
    shown = render_cards(answer, "the full text")
    assert "not asked" in shown
    assert "more than the exit threshold of 50%" in shown
    assert "the localizer alone" in render_verdict(answer)


def test_each_span_has_its_share_with_its_sign(texts):
    text = "good film and good but bad"
    shown = render_spans(text, texts.ask(text, ONE))
    assert shown.count("good<sup> +33%</sup></mark>") == 2


def test_what_the_classifier_read_is_shown(texts):
    answer = texts.ask(TEXT, ONE)
    (piece,) = answer.comparison.parts
    assert f">{piece.text}</blockquote>" in render_spans(TEXT, answer)


def test_no_markup_of_a_user_reaches_the_page(texts):
    text = "good <img src=x onerror=alert(1)> ${1 + 1} \x1b[2J"
    shown = "".join(show_text(text, texts, ONE))
    assert "<img" not in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_text_is_needed(texts, text):
    with pytest.raises(ValueError, match="`Text` must not be empty"):
        show_text(text, texts, ONE)


def test_a_text_may_not_be_too_long(texts):
    with pytest.raises(ValueError, match="at most 20,000 characters here, got 20,001"):
        show_text("a" * (MOST_CHARACTERS + 1), texts, ONE)


def test_sizes_below_one_are_refused(texts):
    with pytest.raises(ValueError, match="`scales` must be a whole number of at least 1, got 0"):
        show_text(TEXT, texts, DemoOptions(5, [0], 8))


def test_a_text_without_a_token_for_the_classifier_has_no_full_answer(texts):
    verdict, details = show_text("\u200b", texts, ONE)
    assert "no token for the classifier" in verdict
    assert "nothing to read" in details


def test_a_photo_shows_boxes_shares_and_what_was_read(photos, photo):
    verdict, details = show_image(photo, photos, DemoOptions(1, photos.sizes, 1))
    assert verdict.count("<strong>") == 1
    assert details.index("What decided") < details.index("Answers and cost")
    assert 'alt="The picture with boxes for warm: +' in details
    assert details.count("<tr>") == 2
    assert details.count('src="data:image/jpeg;base64,') == 3  # boxes, heat map, one crop


def test_a_photo_may_be_answered_by_the_whole(image_cascade, photo, tmp_path):
    image_cascade.save_pretrained(tmp_path / "cascade")
    models = DemoModels.load("patch-localization", str(tmp_path / "cascade"))
    chosen = DemoOptions(1, models.sizes, 1, exit_threshold=1.0)
    assert "<p>The whole photo.</p>" in show_image(photo, models, chosen)[1]


def test_the_sizes_that_the_model_reads_are_ticked(random_image_folder):
    models = DemoModels.load("patch-localization", random_image_folder)
    assert models.usual_sizes == models.sizes == [3, 7, 11]
    models.localize.model.config.reading_scales = [7, 3]
    assert models.usual_sizes == [3, 7]


def test_a_photo_is_needed(photos):
    with pytest.raises(ValueError, match="`Photo` must not be empty"):
        show_image(None, photos, DemoOptions(1, photos.sizes, 1))


def test_a_broken_photo_is_named():
    with pytest.raises(ValueError, match="`Photo`: an image must be a whole picture file"):
        open_upload(b"no picture")


def test_a_huge_photo_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (6000, 6000)).save(tmp_path / "huge.png")
    with pytest.raises(ValueError, match="at most 25,000,000 pixels here, got 6000 x 6000"):
        open_upload((tmp_path / "huge.png").read_bytes())


@pytest.mark.parametrize(
    ("spent", "saving"),
    [(2.0, ", in 8.0 ms: 4.0 times as long as the 2.0 ms here."), (7.0, "input."), (9.0, "input.")],
)
def test_only_a_measured_saving_is_told(texts, spent, saving):
    answer = texts.ask(TEXT, ONE)
    comparison = answer.comparison
    for name, milliseconds in (("together", spent), ("full", 8.0)):
        measured = replace(getattr(comparison, name), milliseconds=milliseconds)
        vars(comparison)[name] = measured  # in place of the cached property
    assert saving in render_verdict(answer)
    assert ("times" in render_verdict(answer)) == (spent == 2.0)


def test_an_explained_text_shows_what_each_part_adds_to_the_answer(texts, calibrated):
    for models in (texts, calibrated):
        shown = models.ask(TEXT, DemoOptions(5, [1], 8, explain=True))
        explanation = shown.result["explanation"]
        assert explanation["model"] in ("cascade", "localizer")
        assert "without these parts" in render_spans(TEXT, shown)
    assert "explanation" not in texts.ask(TEXT, ONE).result


def test_an_explained_text_of_a_localizer_alone(localizer_folder):
    models = DemoModels.load("span-localization", localizer_folder)
    answer = models.ask(TEXT, DemoOptions(5, [1], 8, explain=True))
    assert answer.result["explanation"]["model"] == "localizer"


def test_an_explained_photo_shows_what_each_patch_adds(photos, photo):
    _, details = show_image(photo, photos, DemoOptions(5, [8], 2, 1.0, explain=True))
    assert "by the cascade" in details


def test_only_what_was_uploaded_is_read(tmp_path, photo):
    (tmp_path / "uploads").mkdir()
    with pytest.raises(ValueError, match="`Photo` must be a file that was uploaded here"):
        check_upload(photo, tmp_path / "uploads")
    for made_up in ({"path": f"{tmp_path}/uploads/../photo.png"}, {"path": None}, {}, "x", 3):
        with pytest.raises(ValueError, match="`Photo` must be a file that was uploaded here"):
            check_upload(made_up, tmp_path / "uploads")
    for allowed in (None, {"path": str(SAMPLE_IMAGE)}):
        check_upload(allowed, tmp_path / "uploads")
    check_upload(photo, tmp_path)


def test_a_file_is_refused_by_its_size_and_by_its_header_before_it_is_opened():
    with pytest.raises(ValueError, match="`Photo` must have at most 20,000,000 bytes here"):
        open_upload(bytes(MOST_FILE_BYTES + 1))
    tags = b"".join(pack("<HHII", 1000 + tag, 7, 1_000_000, 0) for tag in range(900))
    many = b"II*\0" + pack("<IH", 8, 900) + tags + bytes(1_100_000)
    started = perf_counter()
    with pytest.raises(ValueError, match="`Photo`: an image"):
        open_upload(many)
    assert perf_counter() - started < 1
