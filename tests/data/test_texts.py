"""Texts that are refused before anything learns from them."""

import pytest
from datasets import Dataset

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.data.texts import load_labelled_texts


def test_a_column_without_any_word_is_refused(tmp_path, cache_nothing_at_home):
    def load(*texts):
        path = tmp_path / f"{len(texts)}.parquet"
        Dataset.from_dict({"text": texts, "label": ["x", "y", "x"][: len(texts)]}).to_parquet(path)
        return load_labelled_texts(DataOptions(str(path), validation_split="train"))

    assert len(load("", "a")[0]) == 2
    with pytest.raises(ValueError, match=r"`text_column` must be .*, got 'text' with 3 blank ones"):
        load("", " \n", "")
