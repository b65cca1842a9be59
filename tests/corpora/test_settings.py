"""The settings of a corpus job: models by their content, options with their defaults."""

import json
from pathlib import Path

import pytest
import torch
from conftest import save_together
from corpus_shards import make_job

from hf_anchornet import PatchLocalizationPipeline, SpanLocalizationPipeline
from hf_anchornet.corpora.job import IMAGE_TASK
from hf_anchornet.corpora.settings import describe_settings, load_job_pipeline, make_schema
from hf_anchornet.model.cascade_rule import ExitRule


def describe(folder, **fields):
    job = make_job(Path(), folder, **fields)
    return describe_settings(load_job_pipeline(job), job)


def test_the_same_job_has_the_same_settings_and_they_are_json(localizer_folder):
    one, other = describe(localizer_folder), describe(localizer_folder)
    assert one == other == json.loads(json.dumps(one))


def test_options_that_change_rounding_only_are_left_out(localizer_folder):
    options = {"device": "cpu", "top_k": 5}  # 5 is the default
    assert describe(localizer_folder) == describe(
        localizer_folder, options=options, batch_size=7, rows_per_group=9
    )


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({"options": {"top_k": 2}}, "top_k"),
        ({"options": {"max_tokens": 9}}, "max_tokens"),
        ({"columns": ("id",)}, "columns"),
        ({"column": "body"}, "column"),
        ({"answer_prefix": "x_"}, "answer_columns"),
    ],
)
def test_each_option_is_part_of_the_settings(localizer_folder, fields, changed):
    before, after = describe(localizer_folder), describe(localizer_folder, **fields)
    assert [key for key in before if before[key] != after[key]] == [changed]


@pytest.mark.parametrize("change", ["weight", "label", "tokenizer"])
def test_the_hash_of_a_model_changes_with_anything_in_its_folder(
    localizer_folder, planted, tokenizer, change
):
    before = describe(localizer_folder)
    if change == "weight":
        with torch.no_grad():
            planted.anchornet.embeddings.weight[5, 2] += 1
    elif change == "label":
        planted.config.id2label = {0: "no", 1: "yes"}
    else:
        tokenizer.add_tokens(["superb"])
    save_together(Path(localizer_folder), planted, tokenizer)
    assert describe(localizer_folder)["model"] != before["model"]


def test_a_classifier_and_the_rule_of_a_cascade_are_part_of_the_settings(
    planted, tokenizer, text_cascade
):
    job = make_job(Path())
    alone = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer)
    before = describe_settings(alone, job)
    cascade = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer, classifier=text_cascade)
    after = describe_settings(cascade, job)
    assert before["classifier"] is before["cascade"] is None
    assert after["cascade"]["stages"] == ("localizer", 4, 6, "full")
    assert len(after["classifier"]) == 64
    assert after["answer_columns"] == [*before["answer_columns"], "classifier"]


def test_the_glance_of_a_cascade_and_its_size_are_part_of_the_settings(glance_cascade):
    def describe_cascade(cascade):
        localizer = cascade.localizer
        localize = PatchLocalizationPipeline(
            model=localizer.model, image_processor=localizer.processor, classifier=cascade
        )
        return describe_settings(localize, make_job(Path(), task=IMAGE_TASK))

    before = describe_cascade(glance_cascade)
    assert before["glance"][1] == 24
    glance_cascade.glance = glance_cascade.glance.resize(32)
    after = describe_cascade(glance_cascade)
    assert after["glance"] == [before["glance"][0], 32]
    without = describe_cascade(glance_cascade.follow_rule(ExitRule.make([1])))
    assert "glance" not in without


def test_images_have_settings_and_columns_of_their_own(image_localizer_folder):
    described = describe(image_localizer_folder, task=IMAGE_TASK, column="image")
    assert described["answer_columns"] == ["label", "score", "patches", "coverage"]
    assert described["max_patches"] == 1
    assert "zoom" not in described  # as before there was this option
    zoomed = describe(image_localizer_folder, task=IMAGE_TASK, column="image", options={"zoom": 2})
    assert zoomed["zoom"] == 2
    with_classifier = make_schema(make_job(Path(), task=IMAGE_TASK), has_classifier=True)
    assert "text" not in [field.name for field in with_classifier.field("classifier").type]


def test_a_copied_column_must_not_have_the_name_of_an_answer_column(localizer_folder):
    with pytest.raises(ValueError, match=r"`columns` must not .* got \['label'\]; set `answer_pre"):
        describe(localizer_folder, columns=("id", "label"))


def test_explanations_are_refused_as_there_is_no_column_for_them(localizer_folder):
    with pytest.raises(ValueError, match="`explain_answer` must be False for a corpus"):
        describe(localizer_folder, options={"explain_answer": True})


def test_maps_are_refused_and_so_is_a_column_twice(localizer_folder):
    with pytest.raises(ValueError, match="`return_coalitions` must be False for a corpus"):
        describe(localizer_folder, options={"return_coalitions": True})
    with pytest.raises(ValueError, match="`columns` must name each column once, got"):
        describe(localizer_folder, columns=("id", "id"))
