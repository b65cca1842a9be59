"""Evaluations of several trainings as one report and one table."""

import json
import sys

import pytest

from scripts.benchmarks import seeds
from scripts.benchmarks.seeds import SeedsOptions, gather_scores, make_seeds_table

TEXT_SCORES, IMAGE_SCORES = seeds.SCORES[:4], ("pointing", *seeds.SCORES[4:])
SIDES = {"comprehensiveness": 0.4, "sufficiency": -0.1}


def make_report(accuracy, pointing, explainers=("evidence", "random"), mass=0.1):
    plausibility = dict.fromkeys(TEXT_SCORES, 0.5) | {"pointing": pointing}
    faithfulness = {"cut": dict.fromkeys(SIDES, 0.9), "rationale": SIDES}
    scores = {"plausibility": plausibility, "faithfulness": faithfulness}
    return {
        "num_rows": 100,
        "localizer": {"accuracy": accuracy, "macro_f1": accuracy},
        "explanations": {
            "settings": {"dataset": "toxic", "mass": mass},
            "explainers": dict.fromkeys(explainers, scores),
        },
    }


def test_each_score_has_its_mean_and_its_ends():
    reports = {
        "one": make_report(0.8, 0.6),
        "two": make_report(0.9, 0.7, ["evidence"]),
        "three": make_report(0.7, 0.5),
    }
    found = gather_scores(reports)
    assert found["reports"] == ["one", "two", "three"]
    assert found["accuracy"] == pytest.approx({"mean": 0.8, "low": 0.7, "high": 0.9})
    assert list(found["explainers"]) == ["evidence"]
    pointing = found["explainers"]["evidence"]["pointing"]
    assert pointing == pytest.approx({"mean": 0.6, "low": 0.5, "high": 0.7})
    row = make_seeds_table({"toxic": found}).splitlines()[2]
    assert row.startswith("| toxic | 3 | 0.800 (0.700 to 0.900) |")
    assert "0.600 (0.500 to 0.700)" in row


def test_pictures_have_scores_and_a_table_of_their_own():
    reports = {"one": make_report(0.8, 0.6), "two": make_report(0.9, 0.7)}
    pictures = {name: make_report(0.8, 0.6, ["evidence"]) for name in ("one", "two")}
    for place, report in enumerate(pictures.values()):
        plausibility = dict.fromkeys(IMAGE_SCORES, 0.25)
        scores = {"plausibility": plausibility, "faithfulness": {"blur": SIDES}}
        report["explanations"]["explainers"]["evidence"] = scores
        report["boxes"] = {"pointing": {"localizer": 0.9 + 0.1 * place, "peak": 0.1}}
    gathered = {"texts": gather_scores(reports), "photos": gather_scores(pictures)}
    assert gathered["texts"]["explainers"]["evidence"]["sufficiency"]["mean"] == -0.1
    assert "patch_pointing" not in gathered["texts"]
    texts, photos = make_seeds_table(gathered).split("\n\n")
    assert "| token AUPRC | pointing | token-F1 | IoU-F1 | comp" in texts.splitlines()[0]
    assert texts.count("\n") == 2
    assert f"| {seeds.PATCHES} | pointing | energy in boxes | MaxBoxAccV2 | c" in photos
    row = photos.splitlines()[2]
    assert row.startswith("| photos | 2 | 0.800 (0.800 to 0.800) |")
    assert "| 0.950 (0.900 to 1.000) | 0.250 (" in row


def test_reports_of_other_settings_are_refused():
    with pytest.raises(ValueError, match=r"the same `mass`, 0.1, got 0.3 in two"):
        gather_scores({"one": make_report(0.8, 0.6), "two": make_report(0.8, 0.6, mass=0.3)})
    with pytest.raises(ValueError, match="`reports` must name at least two files"):
        SeedsOptions(["one.json"], "out.json")


def test_the_command_reads_and_writes_files(tmp_path, monkeypatch, capsys):
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(make_report(0.8, 0.6)), "utf-8")
    files = [str(tmp_path / f"{name}.json") for name in ("one", "two", "seeds_toxic")]
    monkeypatch.setattr(sys, "argv", ["seeds", "--reports", *files[:2], "--output", files[2]])
    seeds.main()
    assert json.loads((tmp_path / "seeds_toxic.json").read_text("utf-8"))["num_rows"] == 100
    assert "| seeds_toxic | 2 |" in capsys.readouterr().out
