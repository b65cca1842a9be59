"""Builds on draws of a set, judged by its test split."""

import shutil

import pytest
from planted_texts import plant

from scripts.benchmarks import builds
from scripts.benchmarks.builds import BuildsOptions, compare_builds

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")


def test_each_draw_is_built_and_judged_on_the_test_split(tmp_path, monkeypatch):
    source, seen = plant(tmp_path / "data"), []
    shutil.copy(tmp_path / "data" / "validation.parquet", tmp_path / "data" / "test.parquet")
    built = []

    def build(dataset, output_dir, **options):
        built.append(options["seed"])
        return original(dataset, output_dir, **options)

    original = builds.hf_anchornet.build
    monkeypatch.setattr(builds.hf_anchornet, "build", build)
    options = BuildsOptions([f"{source}=60"], draws=1, test_rows=10)
    report = compare_builds(options, lambda found: seen.append(len(found["sets"])))
    (entry,) = report["sets"].values()
    assert (built, seen) == ([0], [1])
    assert (entry["num_rows"], entry["num_test_rows"]) == (60, 10)
    for draw in entry["draws"]:
        assert 0.8 < draw["linear"] <= draw["linear_all"] == 1.0
        assert draw["answer"] == "localizer"
        assert draw["right"] == (draw["worth_it"] == (draw["accuracy"] > draw["linear"] + 0.005))
        assert draw["majority"] < 0.7
        assert draw["seconds"] > 0


@pytest.mark.parametrize("given", ["data", "data=", "=5", "data=many", "data=0"])
def test_sets_are_given_with_their_rows(given):
    with pytest.raises(ValueError, match="`sets` must be given as path=rows, got"):
        BuildsOptions([given])
