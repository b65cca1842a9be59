"""Ways to count n-grams, compared on few planted texts."""

import numpy as np
import pytest
from planted_texts import plant

from hf_anchornet.data.splits import DataOptions
from scripts.ablations import ngram_tables
from scripts.ablations.ngram_tables import WAYS, NgramTablesOptions, compare_ways

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


def test_every_way_tells_planted_words(tmp_path):
    data, seen = DataOptions(plant(tmp_path / "data")), []
    ways = [name for name, way in WAYS.items() if way.buckets <= 2**15]
    options = NgramTablesOptions(ways, vocab_size=200)
    report = compare_ways(data, options, lambda found: seen.append(len(found["ways"])))
    assert list(report["ways"]) == ways
    assert seen == list(range(1, len(ways) + 1))
    assert all(found["accuracy"] > 0.9 for found in report["ways"].values())
    counts = {name: found["ngrams"] for name, found in report["ways"].items()}
    assert counts["seen 20 times"] < counts["listed pieces, mean, log ratios"]
    assert counts["hashed, 3 x 2^15 rows"] == 3 * 2**15


def test_hashed_ngrams_are_frequencies_whatever_row_they_share():
    ids = [[1, 2, 3, 1, 2], [5], []]
    for buckets in (1, 2**10):
        found = ngram_tables._hash_frequencies(ids, buckets, vocab_size=10)
        assert found.shape == (3, 3 * buckets)
        np.testing.assert_allclose(found.sum(axis=1).ravel(), [[3, 1, 0]])
    single = found[0, : 2**10]
    assert sorted(single.data) == pytest.approx([0.2, 0.4, 0.4])


def test_ways_are_named():
    with pytest.raises(ValueError, match="`ways` must be among"):
        NgramTablesOptions(ways=["words", "magic"])
