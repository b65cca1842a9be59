"""The same seed gives the same weights in any process, bit for bit."""

import subprocess
import sys

import pytest
from conftest import ROOT

CODE = """
import hashlib, sys
import torch
from transformers import set_seed
from hf_anchornet import (
    AnchorNetForImageClassification, AnchorNetImageConfig,
    AnchorNetTextConfig, AnchorNetTextForSequenceClassification,
)
torch.set_num_threads(1)
set_seed(int(sys.argv[1]))
text = AnchorNetTextConfig(vocab_size=50, hidden_size=16, embedding_size=8)
models = {
    "text": (AnchorNetTextForSequenceClassification(text), torch.randint(50, (4, 20))),
    "image": (AnchorNetForImageClassification(AnchorNetImageConfig()), torch.rand(2, 3, 128, 128)),
}
for name, (model, inputs) in models.items():
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=0.01)
    for _ in range(3):
        model(inputs, labels=torch.arange(len(inputs)) % 2).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    digest = hashlib.sha256()
    for key, weight in sorted(model.state_dict().items()):
        digest.update(key.encode() + weight.numpy().tobytes())
    print(name, digest.hexdigest())
"""


def train(seed):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(seed)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.slow
def test_fresh_processes_train_the_same_weights_from_the_same_seed():
    first, again, other = train(1), train(1), train(2)
    assert first == again
    assert first[::2] == other[::2] == ["text", "image"]
    assert first[1] != other[1]
    assert first[3] != other[3]
