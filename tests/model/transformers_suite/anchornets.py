"""Both AnchorNets under the mixins of transformers' own tests.

`test_transformers_suite.py` copies this file into the `tests` folder of transformers' source
distribution, where it runs in a process of its own.
"""

import unittest

import torch
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_MAPPING_NAMES,
)

from hf_anchornet import (
    AnchorNetForImageClassification,
    AnchorNetImageConfig,
    AnchorNetImageModel,
    AnchorNetImageProcessor,
    AnchorNetTextConfig,
    AnchorNetTextForSequenceClassification,
    AnchorNetTextModel,
)

from .test_configuration_common import ConfigTester
from .test_image_processing_common import ImageProcessingTester, ImageProcessingTestMixin
from .test_modeling_common import ModelTesterMixin, floats_tensor, ids_tensor
from .test_training_mixin import TrainingTesterMixin

MODEL_MAPPING_NAMES["anchornet_text"] = "AnchorNetTextModel"
MODEL_MAPPING_NAMES["anchornet_image"] = "AnchorNetImageModel"
MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES["anchornet_text"] = (
    "AnchorNetTextForSequenceClassification"
)
MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES["anchornet_image"] = "AnchorNetForImageClassification"


def check_tuples(self):
    """Tuples hold what outputs hold; the mixin's own test subtracts masks, which are bool."""
    config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
    for model_class in self.all_model_classes:
        model = model_class(config).eval()
        inputs = self._prepare_for_class(inputs, model_class, return_labels=True)
        inputs["output_hidden_states"] = True
        output = model(**inputs)
        assert ("loss" in output) == ("labels" in inputs)
        torch.testing.assert_close(
            model(**inputs, return_dict=False), output.to_tuple(), rtol=0, atol=0
        )


class TextTester:
    """Tiny text models: windows of 1, 3 and 5 tokens."""

    batch_size, seq_length, hidden_size, num_hidden_layers = 4, 12, 16, 2
    is_training = True
    sequence_classification_class = AnchorNetTextForSequenceClassification

    def __init__(self, parent, ngram_sizes=()):
        self.parent = parent
        self.ngram_sizes = list(ngram_sizes)

    def get_config(self):
        return AnchorNetTextConfig(
            vocab_size=60,
            embedding_size=8,
            hidden_size=self.hidden_size,
            ngram_sizes=self.ngram_sizes,
            ngram_counts=[20] * len(self.ngram_sizes),
            auxiliary_loss_weight=0.0,
            hidden_dropout_prob=0.0,
            token_dropout_prob=0.0,
            ngram_dropout_prob=0.0,
        )

    def prepare_config_and_inputs_for_common(self):
        ids = ids_tensor([self.batch_size, self.seq_length], 60)
        return self.get_config(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


class TextTest(ModelTesterMixin, TrainingTesterMixin, unittest.TestCase):
    all_model_classes = (AnchorNetTextModel, AnchorNetTextForSequenceClassification)
    model_tester = property(lambda self: self._tester)
    has_attentions = False
    test_can_init_all_missing_weights_before_2023 = True
    training_overfit_learning_rate = 1e-2
    training_overfit_steps = 200
    test_model_outputs_equivalence = check_tuples

    def setUp(self):
        self._tester = TextTester(self)
        self.config_tester = ConfigTester(
            self, AnchorNetTextConfig, common_properties=["hidden_size"], hidden_size=16
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    def test_hidden_states_output(self):
        """The mixin's own expects every layer to keep the length."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        for model_class in self.all_model_classes:
            model = model_class(config).eval()
            hidden_states = model(**inputs, output_hidden_states=True).hidden_states
            assert [tuple(hidden.shape) for hidden in hidden_states] == [
                (4, length, 16) for length in (12, 10, 8)
            ]

    def _create_text_training_batch(self, batch_size, seq_length, vocab_size):
        """The mixin's own has a label for each token."""
        ids = torch.arange(batch_size * seq_length).reshape(batch_size, -1) % vocab_size
        return {"input_ids": ids, "labels": torch.arange(batch_size) % 2}


class NgramTest(TextTest):
    """The classifier with n-gram tables."""

    all_model_classes = (AnchorNetTextForSequenceClassification,)

    def setUp(self):
        super().setUp()
        self._tester = TextTester(self, ngram_sizes=[1, 2])


class ImageTester:
    """Tiny image models: windows of 3 and 7 px at a stride of 2."""

    batch_size, num_channels, image_size, hidden_size, num_hidden_layers = 4, 3, 20, 16, 2
    is_training = True

    def __init__(self, parent):
        self.parent = parent

    def get_config(self):
        return AnchorNetImageConfig(
            hidden_size=16,
            channels=[8, 8],
            expand_ratios=[1, 2],
            kernel_sizes=[3, 3],
            strides=[2, 1],
            branch_depths=[1, 2],
            hidden_dropout_prob=0.0,
        )

    def prepare_config_and_inputs_for_common(self):
        pixels = floats_tensor([self.batch_size, 3, self.image_size, self.image_size])
        return self.get_config(), {"pixel_values": pixels}


class ImageTest(ModelTesterMixin, unittest.TestCase):
    all_model_classes = (AnchorNetImageModel, AnchorNetForImageClassification)
    has_attentions = False
    test_can_init_all_missing_weights_before_2023 = True
    test_resize_embeddings = False
    test_model_outputs_equivalence = check_tuples

    def setUp(self):
        self.model_tester = ImageTester(self)
        self.config_tester = ConfigTester(
            self,
            AnchorNetImageConfig,
            has_text_modality=False,
            common_properties=["hidden_size", "num_channels"],
            hidden_size=16,
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    def test_hidden_states_output(self):
        """The mixin's own expects (batch, positions, hidden)."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        for model_class in self.all_model_classes:
            model = model_class(config).eval()
            hidden_states = model(**inputs, output_hidden_states=True).hidden_states
            assert [tuple(hidden.shape) for hidden in hidden_states] == [
                (4, 8, side, side) for side in (9, 7)
            ]

    def test_model_get_set_embeddings(self):
        """The mixin's own expects a table."""
        config, _ = self.model_tester.prepare_config_and_inputs_for_common()
        for model_class in self.all_model_classes:
            model, other = model_class(config), torch.nn.Conv2d(3, 8, 3, stride=2)
            assert isinstance(model.get_input_embeddings(), torch.nn.Module)
            model.set_input_embeddings(other)
            assert model.get_input_embeddings() is other


class ProcessorTester(ImageProcessingTester):
    def __init__(self, parent, **options):
        super().__init__(parent, size={"shortest_edge": 20}, do_resize=True, **options)

    def _get_image_processing_classes(self):
        return {"pil": AnchorNetImageProcessor}


class ProcessorTest(ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = ProcessorTester

    def test_image_processor_has_attributes(self):
        processor = AnchorNetImageProcessor(**self.image_processor_dict)
        assert processor.size == {"shortest_edge": 20}
        assert processor.image_mean == (0.485, 0.456, 0.406)
