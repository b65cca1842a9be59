"""Each metric as an `evaluate` module: loaded by its path, alone, and fed in batches."""

import json
import os
import subprocess
import sys
from importlib import import_module
from inspect import getmembers, isclass
from pathlib import Path

import evaluate
import pytest
from evaluate.loading import get_imports

from hf_anchornet import metrics

FOLDER = Path(metrics.__file__).parent
WORDS = {"predictions": [[0.1, 0.9, 0.3], [0.7]], "references": [[1, 0, 1], [1]]}
SPANS = {"predictions": [[[0, 2], [3, 5]], []], "references": [[[0, 3]], [[1, 2]]]}
BOXES = {
    "predictions": [[[2, 2, 6, 6]], [[0, 1, 9, 8]]],
    "references": [[[2, 2, 5, 6]], [[5, 1, 9, 8]]],
}
MAPS = {
    "predictions": [[[0, 0, 1], [0, 2, 1]], [[1, 0, 0], [1, 0, 0]]],
    "references": [[[1, 1, 3, 2]], [[0, 0, 2, 2]]],
}
EXAMPLES = {
    "box_iou_recall": BOXES,
    "box_pointing": BOXES,
    "character_f1": SPANS,
    "energy_pointing_game": MAPS,
    "expected_calibration_error": {"predictions": [[0.2, 0.8], [0.6, 0.4]], "references": [1, 1]},
    "faithfulness": {
        "predictions": [
            {"without": [0.5, 0.1], "only": [1, 0]},
            {"without": [0, 1], "only": [1, 1]},
        ],
        "references": [0.9, 0.5],
    },
    "max_box_acc_v2": MAPS,
    "pointing_game": WORDS,
    "span_hit_rate": SPANS,
    "span_iou_f1": SPANS,
    "span_jaccard": {"predictions": ["so good", "bad"], "references": ["good", "BAD"]},
    "token_auprc": WORDS,
    "token_f1": {"predictions": [[1, 0, 1], [0]], "references": [[1, 1, 0], [1]]},
}

each = pytest.mark.parametrize("name", EXAMPLES)


def find_class(name):
    module = import_module(f"hf_anchornet.metrics.{name}")
    (found,) = [
        kind for _, kind in getmembers(module, isclass) if issubclass(kind, evaluate.Metric)
    ]
    return found


def test_every_metric_has_an_example():
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "common"} == set(EXAMPLES)


@each
def test_loading_by_path_equals_the_class(name):
    loaded = evaluate.load(str(FOLDER / f"{name}.py"))
    assert loaded.compute(**EXAMPLES[name]) == find_class(name)().compute(**EXAMPLES[name])


@pytest.mark.parametrize("name", [*EXAMPLES, "common"])
def test_a_metric_imports_nothing_of_the_package_but_the_common_file(name):
    imports = get_imports(str(FOLDER / f"{name}.py"))
    siblings = {module for kind, module, *_ in imports if kind == "internal"}
    assert siblings == ({"common"} if name != "common" else set())
    assert "hf_anchornet" not in {module for _, module, *_ in imports}


@pytest.mark.slow
def test_every_metric_loads_offline_without_the_package(tmp_path):
    code = """
import json, sys
sys.modules["hf_anchornet"] = None
import evaluate
folder, examples = sys.argv[1], json.loads(sys.argv[2])
for name, example in examples.items():
    assert evaluate.load(f"{folder}/{name}.py", keep_in_memory=True).compute(**example), name
"""
    argv = [sys.executable, "-c", code, str(FOLDER), json.dumps(EXAMPLES)]
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    subprocess.run(argv, check=True, cwd=tmp_path, env=environment)


@each
def test_batches_added_one_by_one_equal_one_call(name):
    metric, examples = find_class(name), EXAMPLES[name]
    streamed = metric()
    for one, other in zip(*examples.values(), strict=True):
        streamed.add_batch(predictions=[one], references=[other])
    assert streamed.compute() == metric().compute(**examples)
