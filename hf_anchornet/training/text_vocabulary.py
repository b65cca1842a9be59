"""The vocabulary of a text model: tokenizer, known n-grams and initial embeddings."""

from collections.abc import Sequence

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import (
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from hf_anchornet.model.modeling_anchornet_text import NgramScores
from hf_anchornet.model.text_words import encodable


def train_tokenizer(
    texts: Sequence[str], vocab_size: int, classifies: bool = False
) -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer trained on `texts`, identical in every process.

    Args:
        texts: Training texts.
        vocab_size: Largest number of tokens.
        classifies: `True` for a BERT, which reads "[CLS] text [SEP]"; `False` for a localizer,
            whose windows hold text only.
    """
    special = ["[PAD]", "[UNK]", *(["[CLS]", "[SEP]"] if classifies else [])]
    # The trainer numbers inner letters ("##a") in an order that changes from run to run, and
    # breaks ties by number: find these letters first and fix their numbers.
    letters = _learn_pieces(texts, 1, special)
    inside = sorted(piece for piece in letters if piece.startswith("##"))
    pieces = _learn_pieces(texts, vocab_size, special + inside)
    inner, names = _make_wordpiece(pieces), {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    if not classifies:
        return PreTrainedTokenizerFast(tokenizer_object=inner, **names)
    names |= {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    sep, cls = (("[SEP]", pieces["[SEP]"]), ("[CLS]", pieces["[CLS]"]))
    inner.post_processor = processors.BertProcessing(sep, cls)
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_input_names=inputs, **names)


def _learn_pieces(texts: Sequence[str], vocab_size: int, special: list[str]) -> dict[str, int]:
    """Pieces of words and their ids; `special` come first, single letters are always included."""
    inner = _make_wordpiece({})
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=special, show_progress=False
    )
    inner.train_from_iterator(map(encodable, texts), trainer)
    return inner.get_vocab()


def _make_wordpiece(pieces: dict[str, int]) -> Tokenizer:
    """A tokenizer into pieces of words."""
    return split_words(models.WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=100))


def split_words(model: models.Model) -> Tokenizer:
    """A tokenizer that lower-cases and splits at white space and punctuation, then by `model`."""
    inner = Tokenizer(model)
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return inner


def load_tokenizer(checkpoint: str) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a checkpoint, changed to add no special tokens.

    Raises:
        ValueError: if it has no fast tokenizer or no padding token.
    """
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise ValueError(
            f"`tokenizer` must be a fast tokenizer with a padding token, got {checkpoint}; choose "
            "another one, or leave out `tokenizer` to train one."
        )
    inner = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    inner.post_processor = None
    inner.no_truncation()
    inner.no_padding()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=tokenizer.pad_token, unk_token=tokenizer.unk_token
    )


def find_ngrams(
    rows: Dataset, sizes: Sequence[int], min_count: int, vocab_size: int
) -> dict[int, Tensor]:
    """Codes of the n-grams of each size, as `count_ngrams`; sizes without any are left out."""
    found = {size: count_ngrams(rows, size, min_count, vocab_size) for size in sizes}
    return {size: codes for size, codes in found.items() if len(codes)}


def count_ngrams(rows: Dataset, size: int, min_count: int, vocab_size: int) -> Tensor:
    """Codes of the n-grams that occur at least `min_count` times: (count,), int64, sorted.

    Args:
        rows: Tokenized texts with a column `input_ids`.
        size: Tokens per n-gram.
        min_count: Fewest occurrences.
        vocab_size: Number of tokens of the tokenizer.
    """
    codes = [encode_ngrams(ids, size, vocab_size) for ids in [[], *rows["input_ids"]]]
    known, counts = np.unique(np.concatenate(codes), return_counts=True)
    return torch.from_numpy(known[counts >= min_count])


def encode_ngrams(ids: Sequence[int], size: int, vocab_size: int) -> NDArray[np.int64]:
    """Codes of the n-grams of a text, see `NgramScores.encode`: (positions,); none if shorter."""
    text = torch.tensor([ids], dtype=torch.long)
    if len(ids) < size:
        return np.empty(0, dtype=np.int64)
    return NgramScores.encode(text, torch.ones_like(text), vocab_size, size)[0].numpy()


@torch.no_grad()
def embed_vocabulary(
    tokenizer: PreTrainedTokenizerBase, checkpoint: str, size: int, batch_size: int = 1024
) -> Tensor:
    """Initial embeddings of a vocabulary from a pretrained encoder: (vocabulary, size).

    The encoder reads each token alone (Tulkens and van Dongen, Model2Vec, 2024). Its mean input
    embedding and mean outputs are centred, scaled to unit mean norm, concatenated and reduced to
    `size` by principal components.

    Args:
        tokenizer: The localizer's tokenizer.
        checkpoint: Hub id or folder of an encoder with a fast tokenizer.
        size: Width of the table.
        batch_size: Tokens per forward pass.

    Raises:
        ValueError: if `size` is larger than the concatenated vectors are wide.
    """
    encoder: PreTrainedModel = AutoModel.from_pretrained(checkpoint, use_safetensors=True).eval()
    reader = AutoTokenizer.from_pretrained(checkpoint)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    surfaces = [
        tokenizer.convert_tokens_to_string([token]).removeprefix("##").strip() for token in tokens
    ]
    order = sorted(range(len(surfaces)), key=lambda index: len(surfaces[index]))  # pads little
    views: list[list[Tensor]] = [[], [], []]
    for start in range(0, len(surfaces), batch_size):
        inputs = reader(
            [surfaces[index] for index in order[start : start + batch_size]],
            padding=True,
            truncation=True,
            max_length=16,
            return_tensors="pt",
            return_special_tokens_mask=True,
        )
        special = inputs.pop("special_tokens_mask").bool()
        real = inputs["attention_mask"].bool()
        output = encoder(**inputs).last_hidden_state
        embedded = encoder.get_input_embeddings()(inputs["input_ids"])
        views[0].append(_mean(embedded, real & ~special))
        views[1].append(_mean(output, real))
        views[2].append(_mean(output, real & ~special))
    places = torch.tensor(order).argsort()
    blocks = [torch.cat(view)[places] for view in views]
    blocks = [block - block.mean(dim=0) for block in blocks]
    blocks = [block / block.square().sum(dim=1).mean().sqrt() for block in blocks]
    reduced = _principal_components(torch.cat(blocks, dim=1), size)
    return reduced / reduced.std()


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over the masked tokens: (batch, hidden); 0 without any."""
    weights = mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def _principal_components(points: Tensor, size: int) -> Tensor:
    covariance = points.double().T @ points.double()
    directions = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :size]
    if directions.shape[1] < size:
        raise ValueError(
            f"`size` must be at most {directions.shape[1]}, the width of this encoder's vectors, "
            f"got {size}; lower `hidden_size` or choose a wider encoder."
        )
    reduced: Tensor = (points.double() @ directions).to(points.dtype)
    return reduced
