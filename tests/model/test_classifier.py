"""Loading a classifier of either modality; naming its predictions."""

import pytest
import torch
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    ViTForImageClassification,
    pipeline,
)

from hf_anchornet.model.classifier import (
    count_readable_tokens,
    load_classifier,
    name_predictions,
)
from hf_anchornet.model.image_reader import IMAGE_CLASSIFIER
from hf_anchornet.model.text_reader import TEXT_CLASSIFIER


@pytest.fixture(params=["text", "image"])
def case(request):
    """Kind, folder, Auto class and model class of one modality."""
    if request.param == "text":
        folder = request.getfixturevalue("classifier_folder")
        auto_class = AutoModelForSequenceClassification
        return TEXT_CLASSIFIER, folder, auto_class, BertForSequenceClassification
    folder = request.getfixturevalue("image_classifier_folder")
    return IMAGE_CLASSIFIER, folder, AutoModelForImageClassification, ViTForImageClassification


def test_a_folder_gives_its_model_and_its_processor(case):
    kind, folder, _, model_class = case
    model, processor = load_classifier(folder, kind)
    assert type(model) is model_class
    assert type(processor) is type(kind.processor_class.from_pretrained(folder))


def test_a_pipeline_gives_the_model_and_the_processor_that_it_holds(case):
    kind, folder, _, _ = case
    stock = pipeline(kind.task, model=folder)
    model, processor = load_classifier(stock, kind)
    assert model is stock.model
    assert processor is getattr(stock, kind.processor_name)


def test_a_model_is_taken_as_it_is_with_the_processor_of_its_folder(case):
    kind, folder, auto_class, _ = case
    given = auto_class.from_pretrained(folder)
    model, processor = load_classifier(given, kind)
    assert model is given
    assert processor is not None


def test_a_model_is_loaded_onto_the_device(case):
    kind, folder, _, _ = case
    model, _ = load_classifier(folder, kind, torch.device("meta"))
    assert model.device == torch.device("meta")


def test_a_folder_without_a_model_is_refused(case, tmp_path):
    kind = case[0]
    (tmp_path / "empty").mkdir()
    message = f"`classifier` must be the Hub id or folder of a model for {kind.task}.*empty"
    with pytest.raises(OSError, match=message):
        load_classifier(tmp_path / "empty", kind)


@pytest.mark.parametrize("classifier", [None, 3, ["folder"], object])
def test_something_else_is_refused(case, classifier):
    kind = case[0]
    message = f"`classifier` must be a Hub id, a folder, a pipeline for {kind.task} or a model"
    with pytest.raises(TypeError, match=message):
        load_classifier(classifier, kind)


@pytest.mark.parametrize("multi_label", [False, True])
def test_predictions_are_named_by_the_labels_of_the_model(case, multi_label):
    model, _ = load_classifier(case[1], case[0])
    model.config.problem_type = "multi_label_classification" if multi_label else None
    answers = name_predictions(model, torch.tensor([[0.0, 2.0], [3.0, 1.0]]).half())
    assert [answer["label"] for answer in answers] == ["glad", "sad"]
    expected = torch.tensor([2.0, 3.0 if multi_label else 2.0]).sigmoid().tolist()
    assert [answer["score"] for answer in answers] == pytest.approx(expected)


def test_a_model_of_robertas_kind_reads_two_tokens_less_than_it_has_positions(tokenizer):
    sizes = {"hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 8}
    config = RobertaConfig(
        vocab_size=50, num_hidden_layers=1, max_position_embeddings=34, pad_token_id=1, **sizes
    )
    model = RobertaForSequenceClassification(config).eval()
    assert count_readable_tokens(model, tokenizer) == 32
    model(torch.full((1, 32), 5))
    with pytest.raises((IndexError, RuntimeError), match=r"index|out of range"):
        model(torch.full((1, 33), 5))
