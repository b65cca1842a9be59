"""Tiny models and a word-level tokenizer, made from configs: no network, no files."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets
import pytest
import torch
from accelerate.state import AcceleratorState
from hub_stub import HubStub, running_stub
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from hf_anchornet import (
    AnchorNetForImageClassification,
    AnchorNetImageConfig,
    AnchorNetImageProcessor,
    AnchorNetTextConfig,
    AnchorNetTextForSequenceClassification,
    Cascade,
    PatchReader,
    SpanLocalizationPipeline,
    SpanReader,
)
from hf_anchornet.model import backend as backend_anchornet
from hf_anchornet.model import export_onnx as export_anchornet
from hf_anchornet.model.cascade_rule import ExitRule
from hf_anchornet.model.image_localizer import ImageLocalizer
from hf_anchornet.model.text_localizer import TextLocalizer
from scripts.benchmarks.training import make_launch

ROOT = Path(__file__).parent.parent
VOCABULARY = ["[PAD]", "[UNK]", "good", "bad", "film", "the", "a", "was", "not", ".", ",", "café"]

BLOCK_THE_PACKAGE = """
import sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hf_anchornet":
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
"""
"""A program's start, after which it cannot import the package."""


@pytest.fixture(autouse=True)
def _same_seed_everywhere() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _keep_no_key_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The key that seals ONNX graphs is the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf_home")))
        yield


@pytest.fixture
def cache_nothing_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets are cached in the test's own folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def short_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` sleeps 5 s at the end of each pass over a stream of several parquet files."""
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStub]:
    """A Hub on loopback that knows nothing yet; this process may speak to it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with running_stub() as stub:
        yield stub


@pytest.fixture
def fresh_accelerator() -> Iterator[None]:
    """A process has one precision, kept by a singleton of Accelerate."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece over a dozen words and all ASCII letters; no special tokens around a text."""
    letters = [prefix + chr(code) for code in range(97, 123) for prefix in ("", "##")]
    vocabulary = {token: index for index, token in enumerate([*VOCABULARY, *letters])}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", model_max_length=10**30
    )


@pytest.fixture
def config() -> AnchorNetTextConfig:
    """Windows of 1, 3, 5, 9 and (n-grams) 2 tokens, width 16, labels negative and positive."""
    return AnchorNetTextConfig(
        vocab_size=80,
        embedding_size=8,
        hidden_size=16,
        kernel_sizes=[3, 3, 3],
        dilations=[1, 1, 2],
        ngram_sizes=[2],
        ngram_counts=[40],
        initializer_range=0.5,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
    )


@pytest.fixture
def model(config: AnchorNetTextConfig) -> AnchorNetTextForSequenceClassification:
    """A random classifier in evaluation mode, its n-gram tables random too."""
    torch.manual_seed(7)  # with this one both labels have evidence for them
    model = AnchorNetTextForSequenceClassification(config).eval()
    known = torch.cartesian_prod(torch.arange(2, 42), torch.arange(2, 42)) + 1
    model.ngrams.set_codes(2, (known @ torch.tensor([model.config.vocab_size + 1, 1]))[::40])
    torch.nn.init.normal_(model.ngrams.tables[0].weight[1:], std=config.initializer_range)
    return model


@pytest.fixture
def planted(tokenizer: PreTrainedTokenizerFast) -> AnchorNetTextForSequenceClassification:
    """See `planted_model`."""
    return planted_model(tokenizer)


@pytest.fixture
def image_config() -> AnchorNetImageConfig:
    """Windows of 3, 7 and 11 px at a stride of 2, width 16, labels cold and warm."""
    return AnchorNetImageConfig(
        hidden_size=16,
        channels=[4, 8, 8],
        expand_ratios=[1, 1, 2],
        kernel_sizes=[3, 3, 3],
        strides=[2, 1, 1],
        branch_depths=[1, 2, 3],
        initializer_range=0.5,
        id2label={0: "cold", 1: "warm"},
        label2id={"cold": 0, "warm": 1},
    )


@pytest.fixture
def image_model(image_config: AnchorNetImageConfig) -> AnchorNetForImageClassification:
    """A random image classifier in evaluation mode, its normalisations random too."""
    return randomize_norms(AnchorNetForImageClassification(image_config)).eval()


@pytest.fixture
def image_processor() -> AnchorNetImageProcessor:
    """Shorter side 32 px, values in [0, 1]."""
    return AnchorNetImageProcessor(
        size={"shortest_edge": 32}, image_mean=[0.0] * 3, image_std=[1.0] * 3
    )


@pytest.fixture
def planted_image_model() -> AnchorNetForImageClassification:
    """Windows of 8 px every 4: red is warm, blue is cold, and nothing else counts."""
    config = AnchorNetImageConfig(
        hidden_size=2,
        channels=[2],
        expand_ratios=[1],
        kernel_sizes=[8],
        strides=[4],
        branch_depths=[1],
        hidden_act="relu",
        id2label={0: "cold", 1: "warm"},
        label2id={"cold": 0, "warm": 1},
    )
    model = AnchorNetForImageClassification(config).eval()
    with torch.no_grad():
        red_less_blue = torch.tensor([1.0, 0.0, -1.0]).view(3, 1, 1).expand(3, 8, 8) / 64
        model.anchornet.layers[0].conv.weight.copy_(torch.stack([-red_less_blue, red_less_blue]))
        model.anchornet.branches[0].conv.weight.copy_(torch.eye(2)[:, :, None, None])
        model.aggregation.heads[0].weight.copy_(10 * torch.eye(2))
    return model


def randomize_norms(model: torch.nn.Module) -> torch.nn.Module:
    """The model with random statistics and weights in its batch normalisations."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.3)
            torch.nn.init.normal_(module.running_mean, std=0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


@pytest.fixture
def localize(
    planted: AnchorNetTextForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> SpanLocalizationPipeline:
    """Only "good" (for positive) and "bad" (for negative) count."""
    return SpanLocalizationPipeline(model=planted, tokenizer=tokenizer)


@pytest.fixture
def random_localize(
    model: AnchorNetTextForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> SpanLocalizationPipeline:
    """Every token counts, in windows of several sizes."""
    return SpanLocalizationPipeline(model=model, tokenizer=tokenizer)


@pytest.fixture
def classifier_folder(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> str:
    """A random one-layer BERT with two special tokens a text, saved with its tokenizer."""
    tokenizer.add_special_tokens({"cls_token": "[CLS]", "sep_token": "[SEP]"})
    special = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=special
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=128,
        id2label={0: "sad", 1: "glad"},
        label2id={"sad": 0, "glad": 1},
    )
    folder = str(tmp_path / "classifier")
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def image_classifier_folder(tmp_path: Path) -> str:
    """A random one-layer ViT of 16 x 16 px, saved with its image processor."""
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
        initializer_range=0.5,
        id2label={0: "sad", 1: "glad"},
        label2id={"sad": 0, "glad": 1},
    )
    folder = str(tmp_path / "image_classifier")
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def save_together(folder: Path, model: Any, processor: Any) -> str:
    """Save a model and what makes its input; the folder."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def localizer_folder(
    planted: AnchorNetTextForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> str:
    """`planted`, which hands spans of 3 tokens to a classifier, saved with its tokenizer."""
    planted.config.reading_scales = [3]
    return save_together(tmp_path / "localizer", planted, tokenizer)


@pytest.fixture
def image_localizer_folder(
    planted_image_model: AnchorNetForImageClassification,
    image_processor: AnchorNetImageProcessor,
    tmp_path: Path,
) -> str:
    """`planted_image_model`, for which red and blue decide, saved with its image processor."""
    return save_together(tmp_path / "localizer", planted_image_model, image_processor)


@pytest.fixture
def random_folder(
    model: AnchorNetTextForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> str:
    """`model`, for which every token counts, saved with its tokenizer."""
    return save_together(tmp_path / "random", model, tokenizer)


@pytest.fixture
def random_image_folder(
    image_model: AnchorNetForImageClassification,
    image_processor: AnchorNetImageProcessor,
    tmp_path: Path,
) -> str:
    """`image_model`, saved with its image processor."""
    return save_together(tmp_path / "random_image", image_model, image_processor)


@pytest.fixture
def text_cascade(
    planted: AnchorNetTextForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    classifier_folder: str,
) -> Cascade:
    """`planted`, then a classifier that numbers its labels the other way round; 4, 6 tokens, all.

    An input leaves the localizer above 0.9 and never before the last stage after that.
    """
    reader = SpanReader.load(classifier_folder)
    relabel(reader.model, ["positive", "negative"])
    rule = ExitRule.make([4, 6, "full"], [0.9, 1.0, 1.0])
    return Cascade(TextLocalizer(planted, tokenizer), reader, rule)


@pytest.fixture
def ngram_cascade(tokenizer: PreTrainedTokenizerFast, classifier_folder: str) -> Cascade:
    """`planted` with two n-grams, "not good" (negative) and "not bad" (positive), at four stages.

    "not bad" leaves with the n-grams' answer, "good good" with the localizer's, "good bad film"
    after the classifier has read it in full.
    """
    model = planted_model(tokenizer, ngram_sizes=[2], ngram_counts=[2])
    no, good, bad = tokenizer.convert_tokens_to_ids(["not", "good", "bad"])
    pairs = torch.tensor([[no, good], [no, bad]])
    codes = model.ngrams.encode(pairs, torch.ones_like(pairs), len(tokenizer), 2)[:, 0]
    model.ngrams.set_codes(2, codes)
    with torch.no_grad():
        model.ngrams.tables[0].weight[1:] = torch.tensor([[30.0, -30.0], [-30.0, 30.0]])
    reader = SpanReader.load(classifier_folder)
    relabel(reader.model, ["positive", "negative"])
    rule = ExitRule.make(["ngrams", "localizer", 4, "full"], [0.9, 0.9, 1.0], [1.0, 2.0, 1.0, 1.0])
    return Cascade(TextLocalizer(model, tokenizer), reader, rule)


@pytest.fixture
def image_cascade(
    planted_image_model: AnchorNetForImageClassification,
    image_processor: AnchorNetImageProcessor,
    image_classifier_folder: str,
) -> Cascade:
    """As `text_cascade`, for images; the classifier reads 1 patch, 2, the whole image."""
    reader = PatchReader.load(image_classifier_folder)
    relabel(reader.model, ["warm", "cold"])
    rule = ExitRule.make([1, 2, "full"], [0.9, 1.0, 1.0])
    return Cascade(ImageLocalizer(planted_image_model, image_processor), reader, rule)


@pytest.fixture
def glance_folder(tmp_path: Path) -> str:
    """A random classifier of images of any size, saved with its image processor, of 16 x 16 px."""
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8],
        depths=[1],
        layer_type="basic",
        id2label={0: "warm", 1: "cold"},
        label2id={"warm": 0, "cold": 1},
    )
    model = ResNetForImageClassification(config)
    processor = ViTImageProcessorPil(size={"height": 16, "width": 16})
    return save_together(tmp_path / "glance_classifier", model, processor)


@pytest.fixture
def glance_cascade(image_cascade: Cascade, glance_folder: str) -> Cascade:
    """As `image_cascade`, after a glance at the whole image of 24 x 24 px, which is never sure."""
    glance = PatchReader.load(glance_folder, full_size=24)
    rule = ExitRule.make(["glance", "localizer", 1, "full"], [1.0, 0.9, 1.0], [2.0, 1.0, 1.0, 1.0])
    return Cascade(image_cascade.localizer, image_cascade.reader, rule, glance=glance)


@pytest.fixture(scope="session")
def graphs() -> dict[str, Any]:
    """ONNX graphs of models by their fingerprints: to make one takes seconds."""
    return {}


@pytest.fixture
def trace_once(graphs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """`trace_graph`, which remembers what it traced before, in the package too."""
    trace = export_anchornet.trace_graph

    def trace_once(model: Any) -> Any:
        key = export_anchornet.fingerprint(model)
        if key not in graphs:
            graphs[key] = trace(model)
        return graphs[key]

    for module in (backend_anchornet, export_anchornet):
        monkeypatch.setattr(module, "trace_graph", trace_once)
    return trace_once


@pytest.fixture
def trace_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.compile` as it is but for the C++ compiler, which takes half a minute."""
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


LaunchTraining = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def launch_training(tmp_path: Path) -> LaunchTraining:
    """Run a script with arguments on one or more processes, without a network."""

    def launch(script: Path, *arguments: str, num_processes: int = 1) -> Any:
        return subprocess.run(
            make_launch(num_processes, [str(script), *arguments]),
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(tmp_path),
                "PYTHONPATH": str(ROOT),
                "HF_HUB_OFFLINE": "1",
                "ACCELERATE_USE_CPU": "true",
                "OMP_NUM_THREADS": "1",
                "GLOO_SOCKET_IFNAME": "lo",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return launch


@pytest.fixture
def train_on_two_processes(
    tmp_path: Path, launch_training: LaunchTraining
) -> Callable[[str, str], tuple[dict[str, Any], str]]:
    """From a source and options of `scripts/train.py` to the report and what was logged."""

    def train(source: str, options: str) -> tuple[dict[str, Any], str]:
        arguments = ["--dataset", source, "--output_dir", str(tmp_path / "run"), *options.split()]
        done = launch_training(ROOT / "scripts" / "train.py", *arguments, num_processes=2)
        assert done.returncode == 0, done.stderr[-3000:]
        report = json.loads((tmp_path / "run" / "training.json").read_text("utf-8"))
        return report, done.stderr

    return train


def relabel(model: Any, labels: list[str]) -> None:
    """Give a model these labels in this order."""
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: index for index, label in enumerate(labels)}


def planted_model(
    tokenizer: PreTrainedTokenizerFast, **fields: Any
) -> AnchorNetTextForSequenceClassification:
    """A one-token localizer: "good" is positive, "bad" negative, and nothing else counts."""
    config = AnchorNetTextConfig(
        vocab_size=len(tokenizer),
        embedding_size=4,
        hidden_size=4,
        kernel_sizes=[],
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
        **fields,
    )
    model = AnchorNetTextForSequenceClassification(config).eval()
    ids = tokenizer.convert_tokens_to_ids(["good", "bad"])
    with torch.no_grad():
        model.anchornet.embeddings.weight.zero_()
        model.anchornet.embeddings.weight[ids[0], 0] = 4.0
        model.anchornet.embeddings.weight[ids[1], 1] = 4.0
        model.aggregation.heads[0].weight.copy_(
            torch.tensor([[-0.5, 0.5, 0.0, 0.0], [0.5, -0.5, 0.0, 0.0]])
        )
    return model


def assert_same(one: Any, other: Any) -> None:
    """Equal but for rounding."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    else:
        assert one == other
