"""Evidence of windows, shared among their tokens by importance; the sum stays exact."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_anchornet.model.geometry import Window
from hf_anchornet.model.text_localizer import TextLocalizer
from hf_anchornet.model.text_spans import attribute_tokens
from hf_anchornet.model.text_words import LocatedText, Words


def refine_evidence(localizer: TextLocalizer, text: str, label: int) -> NDArray[np.float64]:
    """Attribution of each word to a label, where windows share by importance: (words,), float64.

    `LocatedText` shares the evidence of a window evenly. Here token `i` of the `r` tokens of a
    window gets `e / r + d_i - mean d`, with `d_i` the drop of the window's evidence `e` if that
    token is unknown (occlusion, Zeiler and Fergus 2014, section 4.2, but within a window). The
    shares of a window sum to its evidence, so the words and the bias still sum to the logit.
    Windows are local, so texts of any length need only one pass per token of the largest window,
    each with every r-th token unknown. Evidence of n-grams is shared evenly.

    Args:
        localizer: The localizer.
        text: The text.
        label: Number of the explained label.
    """
    encoded = localizer.tokenize([text])
    (tokens_of_text,), (offsets,) = encoded["input_ids"], encoded["offset_mapping"]
    count = len(tokens_of_text)
    if not count:
        return np.zeros(len(Words.split(text)))
    num_trunk = len(localizer.windows) - len(localizer.model.config.ngram_sizes)
    trunk, ngrams = localizer.windows[:num_trunk], localizer.windows[num_trunk:]
    largest = max((window.size for window in trunk), default=0)
    ids = torch.tensor([tokens_of_text], device=localizer.model.device)
    ids = ids.repeat(1 + largest, 1)  # (passes, tokens)
    for first in range(largest):
        ids[1 + first, first::largest] = localizer.unknown_token_id
    passes = len(ids)
    read = localizer.read_tokens([text] * passes, list(ids), [offsets] * passes)
    evidence = [branch[..., label].double() for branch in read.evidence]  # (passes, positions)
    tokens = torch.zeros(count, dtype=torch.float64, device=ids.device)
    for window, branch in zip(trunk, evidence[:num_trunk], strict=True):
        tokens += share_windows(branch, window, count)
    if ngrams:
        even = [branch[:1, :, None] for branch in evidence[num_trunk:]]
        lengths = torch.tensor([count], device=ids.device)
        tokens += attribute_tokens(even, ngrams, lengths, count)[0, :, 0]
    located = LocatedText.build(text, offsets, tokens[:, None].cpu().numpy())
    return located.attribution[:, 0].copy()


def share_windows(evidence: Tensor, window: Window, count: int) -> Tensor:
    """Attribution of one branch to each token of a text: (tokens,), float64.

    Args:
        evidence: (1 + largest window, positions), of the text, then of the text with every r-th
            token unknown, starting from token 0, 1, ...
        window: The windows of the branch.
        count: Number of tokens of the text.
    """
    num_passes, positions = len(evidence) - 1, evidence.shape[1]
    starts = torch.arange(positions, device=evidence.device) * window.stride
    places = starts[:, None] + torch.arange(window.size, device=evidence.device)
    inside = places < count  # (positions, size): the last windows may exceed the text
    within = inside.sum(dim=1, keepdim=True).clamp(min=1)
    own = evidence[0, :, None]  # (positions, 1)
    hidden = evidence[1 + places % num_passes, torch.arange(positions)[:, None]]
    lost = (own - hidden) * inside  # (positions, size)
    shares = (own + lost * within - lost.sum(dim=1, keepdim=True)) / within
    tokens = torch.zeros(count, dtype=torch.float64, device=evidence.device)
    return tokens.index_add(0, places[inside], shares[inside])
