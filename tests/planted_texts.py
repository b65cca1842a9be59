"""Texts with a planted word that is their label, and options to learn them in seconds."""

import torch
from datasets import Dataset

FILLERS = ["the", "a", "film", "was", "it", "and", "of", "plot", "actor", "scene", "sound"]
SMALL = {
    "vocab_size": 200,
    "hidden_size": 16,
    "ngram_sizes": [1, 2],
    "ngram_min_count": 2,
    "ngram_penalty": 0.01,
    "crop_tokens": 20,
}
FAST = {"batch_size": 16, "learning_rate": 1e-2, "embedding_learning_rate": 5e-2}


def plant(folder, num_rows=480, num_shards=1):
    """Splits of ten to twenty filler words with one word at a random place that is the label.

    The split to learn from is in `num_shards` files.
    """
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)

    def draw(high):
        return int(torch.randint(high, (), generator=generator))

    for split, count in {"train": num_rows, "validation": 37}.items():
        texts, labels = [], []
        for row in range(count):
            words = [FILLERS[draw(len(FILLERS))] for _ in range(10 + draw(10))]
            words.insert(draw(len(words)), ["superb", "dreadful"][row % 2])
            texts.append(" ".join(words))
            labels.append(["positive", "negative"][row % 2])
        rows = Dataset.from_dict({"text": texts, "label": labels})
        shards = num_shards if split == "train" else 1
        for shard in range(shards):
            name = f"{split}-{shard}" if shards > 1 else split
            rows.shard(shards, shard).to_parquet(folder / f"{name}.parquet")
    return str(folder)
