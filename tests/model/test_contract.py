"""The six clauses of the model's contract, one suite over both modalities."""

import random
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from conftest import randomize_norms
from torch.testing import assert_close

from hf_anchornet import (
    AnchorNetImageConfig,
    AnchorNetImageModel,
    AnchorNetTextConfig,
    AnchorNetTextModel,
)
from hf_anchornet.model.geometry import center_evidence
from hf_anchornet.model.modeling_anchornet import SCORE_SCALE


@dataclass
class Text:
    """A text classifier; its inputs are ids, (batch, tokens)."""

    model: Any
    axes: ClassVar[int] = 1

    def draw(self, batch, size):
        return torch.randint(2, self.model.config.vocab_size, (batch, *size))

    def change(self, inputs, place):
        inputs = inputs.clone()
        inputs[(0, *place)] = 1  # a token that is never drawn
        return inputs

    @staticmethod
    def make_trunk(layers):
        return AnchorNetTextModel(
            AnchorNetTextConfig(vocab_size=20, embedding_size=4, hidden_size=8, **layers)
        )

    @staticmethod
    def probe(trunk, size):
        """Features of a random text and the embeddings that they come from, channels first."""
        embedded = torch.randn(1, *size, 4, requires_grad=True)
        trunk.embeddings.register_forward_hook(lambda *_: embedded)
        features = trunk(torch.ones(1, *size, dtype=torch.long)).features
        return features, embedded, lambda gradient: gradient[0].abs().sum(dim=-1)


@dataclass
class Image:
    """An image classifier; its inputs are pixels, (batch, channels, height, width)."""

    model: Any
    axes: ClassVar[int] = 2

    def draw(self, batch, size):
        return torch.randn(batch, 3, *size)

    def change(self, inputs, place):
        inputs = inputs.clone()
        inputs[(0, slice(None), *place)] += 1.0
        return inputs

    @staticmethod
    def make_trunk(layers):
        layers["branch_depths"] = layers["branch_depths"][1:]  # a pixel is no patch
        num_layers = len(layers["kernel_sizes"])
        config = AnchorNetImageConfig(
            hidden_size=8, channels=[4] * num_layers, expand_ratios=[2] * num_layers, **layers
        )
        return randomize_norms(AnchorNetImageModel(config))

    @staticmethod
    def probe(trunk, size):
        """Features of a random image and the pixels that they come from."""
        pixels = torch.randn(1, 3, *size, requires_grad=True)
        return trunk(pixels).features, pixels, lambda gradient: gradient[0].abs().sum(dim=0)


@pytest.fixture(params=[False, True], ids=["plain", "gated"])
def gated(request):
    """Whether windows say how much their scores count."""
    return request.param


@pytest.fixture(
    params=[
        (Text, "config", "model", 1.0),
        (Image, "image_config", "image_model", 1.0),
        (Image, "image_config", "image_model", 0.5),
    ],
    ids=["text", "image", "image with a root"],
)
def subject(request, gated):
    """A random classifier of one modality, no part of it at its neutral value."""
    modality, config, fixture, exponent = request.param
    request.getfixturevalue(config).gated = gated
    if exponent != 1:
        request.getfixturevalue(config).count_exponent = exponent
    model = request.getfixturevalue(fixture)
    torch.nn.init.normal_(model.aggregation.bias)
    return modality(model)


def size_of(subject, *more):
    """A size as much above the largest window as told, along each axis of the modality."""
    largest = max(window.size for window in subject.model.windows)
    return [largest + extra for extra in more[: subject.axes]]


def run(subject, inputs, mask=None):
    with torch.no_grad():
        return subject.model(inputs, mask, output_evidence=True)


def total(evidence):
    """Sum over the positions of all branches: (batch, labels)."""
    return torch.stack([branch.flatten(1, -2).sum(dim=1) for branch in evidence]).sum(dim=0)


def scores(subject, output):
    """Evidence of the first row without its weight `1 / (B |P_b| ** exponent)`, by branch."""
    num_branches, exponent = len(output.evidence), subject.model.count_exponent
    return [
        branch[0] * num_branches * int(mask[0].sum()) ** exponent
        for branch, mask in zip(output.evidence, output.masks, strict=True)
    ]


def windows_over(window, counts, place):
    """Which positions of a branch see one place of the input: (positions), bool."""
    sees = torch.ones(counts, dtype=torch.bool)
    for axis, (count, unit) in enumerate(zip(counts, place, strict=True)):
        starts = torch.arange(count) * window.stride
        along = (starts <= unit) & (unit < starts + window.size)
        sees &= along.view([-1 if axis == other else 1 for other in range(len(counts))])
    return sees


def stack(subject, items, width):
    """Items of any size in one batch, padded at the far end with what must not matter."""
    canvas = subject.draw(len(items), width)
    mask = torch.zeros(len(items), *width, dtype=torch.long)
    for row, item in enumerate(items):
        extent = tuple(slice(0, side) for side in item.shape[-subject.axes :])
        canvas[(row, ..., *extent)] = item[0]
        mask[(row, *extent)] = 1
    return canvas, mask


SIZES = [(0, 0), (1, 0), (0, 6), (7, 3), (30, 41)]


# Clause 1: additive


@pytest.mark.parametrize("more", SIZES)
def test_the_bias_plus_all_evidence_is_the_logits(subject, more):
    output = run(subject, subject.draw(2, size_of(subject, *more)))
    assert_close(output.bias + total(output.evidence), output.logits, rtol=1e-5, atol=1e-6)


def test_the_bias_is_the_models_own_and_counts_once(subject):
    output = run(subject, subject.draw(2, size_of(subject, 9, 4)))
    bias = subject.model.aggregation.bias.expand(2, -1)
    assert_close(output.bias, bias, rtol=0, atol=0)
    assert_close(output.logits - total(output.evidence), bias, rtol=1e-5, atol=1e-6)


def test_evidence_is_the_linear_score_of_the_features_over_branches_and_windows(subject):
    inputs = subject.draw(1, size_of(subject, 9, 4))
    output, heads = run(subject, inputs), subject.model.aggregation
    with torch.no_grad():
        features = subject.model.anchornet(inputs).features
    for index, feature in enumerate(features):
        score = SCORE_SCALE * heads.heads[index](heads.norms[index](feature))
        if subject.model.config.gated:
            score = score * torch.sigmoid(heads.gates[index](heads.norms[index](feature)))
        count = feature[0, ..., 0].numel()
        weight = len(output.evidence) * count**subject.model.count_exponent
        assert_close(output.evidence[index], score / weight, rtol=1e-5, atol=1e-7)


def test_evidence_varies_so_that_the_identity_says_something(subject):
    output = run(subject, subject.draw(50, size_of(subject, 50, 50)))
    assert all(branch.std() > 1e-6 for branch in output.evidence)


# Clause 2: local


def test_a_change_outside_a_window_leaves_its_evidence_unchanged(subject):
    inputs, place = subject.draw(1, size_of(subject, 20, 13)), (20, 9)[: subject.axes]
    before = run(subject, inputs).evidence
    after = run(subject, subject.change(inputs, place)).evidence
    for window, old, new in zip(subject.model.windows, before, after, strict=True):
        sees = windows_over(window, old.shape[1:-1], place)
        assert 0 < sees.sum() < sees.numel()
        assert_close(new[0][~sees], old[0][~sees], rtol=0, atol=0)
        if window.size != 2:  # few n-grams are known, so a new one can score 0 as the old did
            assert (new[0][sees] != old[0][sees]).all()


def test_a_window_cut_out_and_read_alone_has_the_score_that_it_had_in_the_whole(subject):
    windows = subject.model.windows
    branch = max(range(len(windows)), key=lambda index: windows[index].size)
    window, inputs = windows[branch], subject.draw(1, size_of(subject, 12, 8))
    whole = scores(subject, run(subject, inputs))[branch]
    for position in [(0, 0), (3, 2), (1, 4)]:
        place = position[: subject.axes]
        cut = tuple(slice(p * window.stride, p * window.stride + window.size) for p in place)
        (alone,) = scores(subject, run(subject, inputs[(..., *cut)]))[branch].flatten(0, -2)
        assert_close(alone, whole[place], rtol=1e-4, atol=1e-5)


# Clause 3: exact geometry


@pytest.mark.parametrize("modality", [Text, Image])
@pytest.mark.parametrize("seed", range(8))
def test_windows_agree_with_a_gradient_probe_for_random_layers(modality, seed):
    draw = random.Random(seed)
    num_layers = draw.randint(1, 4)
    trunk = modality.make_trunk(
        {
            "kernel_sizes": [draw.randint(1, 4) for _ in range(num_layers)],
            "strides": [draw.randint(1, 3) for _ in range(num_layers)],
            "dilations": [draw.randint(1, 3) for _ in range(num_layers)],
            "branch_depths": [*range(num_layers + 1)],
        }
    ).eval()
    size = [trunk.windows[-1].length(positions) for positions in (3, 2)[: modality.axes]]
    features, leaf, by_place = modality.probe(trunk, size)
    for window, feature in zip(trunk.windows, features, strict=True):
        counts = feature.shape[1:-1]
        assert list(counts) == [window.num_positions(side) for side in size]
        for position in {(0, 0), (counts[0] - 1, counts[-1] - 1), (counts[0] // 2, 0)}:
            place = position[: modality.axes]
            probe = feature[(0, *place)].abs().sum()
            (gradient,) = torch.autograd.grad(probe, leaf, retain_graph=True)
            seen = by_place(gradient).nonzero()  # (units, axes)
            start = [p * window.stride for p in place]
            assert seen.amin(dim=0).tolist() == start
            assert seen.amax(dim=0).tolist() == [first + window.size - 1 for first in start]


# Clause 4: batch-invariant


def test_padding_and_neighbours_change_nothing(subject):
    sizes = [size_of(subject, *more) for more in SIZES]
    items = [subject.draw(1, size) for size in sizes]
    together = run(subject, *stack(subject, items, size_of(subject, 33, 45)))
    for row, item in enumerate(items):
        alone = run(subject, item)
        assert_close(together.logits[row], alone.logits[0], rtol=1e-5, atol=1e-6)
        for branch, old in enumerate(alone.evidence):
            new, mask = together.evidence[branch][row], together.masks[branch][row]
            own = tuple(slice(0, count) for count in old.shape[1:-1])
            assert mask[own].all()
            assert mask.sum() == old[0, ..., 0].numel()
            assert_close(new[own], old[0], rtol=1e-5, atol=1e-6)
            assert not new[~mask].any()


def test_what_stands_in_the_padding_changes_nothing(subject):
    items = [subject.draw(1, size_of(subject, 3, 5))]
    width = size_of(subject, 8, 9)
    one, other = (run(subject, *stack(subject, items, width)) for _ in range(2))
    assert_close(one.logits, other.logits, rtol=0, atol=0)
    assert_close(one.evidence, other.evidence, rtol=0, atol=0)


def test_a_mask_of_ones_is_no_mask(subject):
    inputs = subject.draw(2, size_of(subject, 3, 5))
    mask = torch.ones(2, *inputs.shape[-subject.axes :], dtype=torch.long)
    assert_close(run(subject, inputs, mask).logits, run(subject, inputs).logits, rtol=0, atol=0)


def test_the_order_of_a_batch_changes_nothing(subject):
    inputs = subject.draw(3, size_of(subject, 3, 5))
    logits = run(subject, inputs).logits
    assert_close(run(subject, inputs.flip(0)).logits, logits.flip(0), rtol=1e-5, atol=1e-6)


# Clause 5: any size


@pytest.mark.parametrize("more", SIZES)
def test_an_input_of_any_size_has_a_finite_answer_and_every_whole_window(subject, more):
    size = size_of(subject, *more)
    output = run(subject, subject.draw(1, size))
    assert output.logits.isfinite().all()
    for window, branch, mask in zip(
        subject.model.windows, output.evidence, output.masks, strict=True
    ):
        assert list(branch.shape[1:-1]) == [window.num_positions(side) for side in size]
        assert mask.all()


def test_more_input_adds_windows_and_changes_the_score_of_none(subject):
    inputs = subject.draw(1, size_of(subject, 25, 18))
    part = tuple(slice(0, side) for side in size_of(subject, 11, 6))
    for whole, cut in zip(
        scores(subject, run(subject, inputs)),
        scores(subject, run(subject, inputs[(..., *part)])),
        strict=True,
    ):
        own = tuple(slice(0, count) for count in cut.shape[:-1])
        assert_close(cut, whole[own], rtol=1e-4, atol=1e-5)


# Clause 6: shown evidence is centred


def test_centred_evidence_sums_to_zero_over_labels_and_keeps_softmax(subject):
    output = run(subject, subject.draw(2, size_of(subject, 21, 12)))
    centred = [center_evidence(branch) for branch in output.evidence]
    for branch in centred:
        assert_close(branch.sum(dim=-1), torch.zeros(branch.shape[:-1]), rtol=0, atol=1e-6)
    logits = center_evidence(output.bias) + total(centred)
    assert_close(logits.softmax(-1), output.logits.softmax(-1), rtol=1e-5, atol=1e-6)
