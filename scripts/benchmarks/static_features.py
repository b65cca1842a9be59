"""Static embeddings of a text, distilled from an encoder by the package model2vec."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class StaticFeatures:
    """The mean of a text's token vectors, scaled to length 1.

    A token's vector is what the encoder makes of this token alone, with the defaults of model2vec:
    256 principal components, weighed by the token's rank. Texts are read to their end.

    Args:
        encoder: Folder or Hub id of a transformers encoder.

    Raises:
        ImportError: if the extra `bench` is not installed.
    """

    def __init__(self, encoder: str) -> None:
        self.encoder, self._distill = encoder, _import_distill()

    def learn(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Distill the encoder, which takes no text to learn from; returns features of the texts."""
        self.model = self._distill(self.encoder, device="cpu")
        self.model.max_length = None
        return self(texts)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features of texts: (texts, dimensions); those of a text without tokens are 0."""
        vectors = self.model.encode(list(texts), use_multiprocessing=False)
        features: NDArray[np.float32] = vectors.astype(np.float32)
        return features

    @property
    def size(self) -> int:
        """Bytes of the token vectors and of the tokenizer."""
        return int(self.model.embedding.nbytes) + len(self.model.tokenizer.to_str().encode("utf-8"))


def _import_distill() -> Any:
    try:
        from model2vec.distill import distill
    except ImportError as error:
        raise ImportError(
            "`rivals` holds static, which needs model2vec and skeletoken; run `pip install "
            f"'hf-anchornet[bench]'` or leave static out ({error})."
        ) from error
    return distill
