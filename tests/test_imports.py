"""The layout of CONTRIBUTING.md: which folder may import which, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports

import hf_anchornet
from scripts.structure import find_circles, find_upward, list_files, list_imports, make_graph

PACKAGE = Path(hf_anchornet.__file__).parent
FILES = list_files(PACKAGE)
GRAPH = make_graph(FILES)
RING = [name for name in FILES if name.startswith("model.")]

RING_LIBRARIES = {"numpy", "PIL", "safetensors", "torch", "transformers", "huggingface_hub"}
OPTIONAL_LIBRARIES = {"onnx", "onnxruntime", "onnxscript", "peft"}


def test_imports_run_downward():
    assert find_upward(GRAPH) == []


def test_no_file_imports_itself_through_others():
    assert find_circles(GRAPH) == []


@pytest.mark.parametrize("name", FILES)
def test_nothing_imports_the_package_from_inside(name):
    for level, module, _ in list_imports(FILES[name]):
        assert module != "hf_anchornet", "`__init__` is for users: name the file"
        assert not level or module, "`from . import x` fails as remote code"


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".__init__")])
def test_a_folder_says_what_it_holds_and_nothing_else(name):
    tree = ast.parse(FILES[name].read_text("utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1 or name == "metrics.__init__"


@pytest.mark.parametrize("name", RING)
def test_the_ring_needs_only_what_every_user_of_remote_code_has(name):
    for level, module, _ in list_imports(FILES[name]):
        if level:
            assert level == 1
            assert f"model.{module}" in RING
            continue
        library = module.partition(".")[0]
        assert library in RING_LIBRARIES | OPTIONAL_LIBRARIES | sys.stdlib_module_names
        assert library != "huggingface_hub" or module == "huggingface_hub.dataclasses"
        assert module != "__future__", "strict configs need their annotations as types"
    assert not set(get_imports(FILES[name])) & OPTIONAL_LIBRARIES


@pytest.mark.parametrize("name", RING)
def test_the_ring_shows_no_relative_import_that_the_copier_would_take_for_real(name):
    for node in ast.walk(ast.parse(FILES[name].read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not any(line.strip().startswith("from .") for line in node.value.splitlines())


def test_importing_the_package_registers_models_and_tasks_in_a_fresh_process():
    code = """
import sys
import hf_anchornet
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.pipelines import PIPELINE_REGISTRY
config = AutoConfig.for_model("anchornet_text")
model = AutoModelForSequenceClassification.from_config(config)
assert type(model) is hf_anchornet.AnchorNetTextForSequenceClassification
assert "span-localization" in PIPELINE_REGISTRY.supported_tasks
assert all(hasattr(hf_anchornet, name) for name in hf_anchornet.__all__)
heavy = {"datasets", "hf_anchornet.training", "hf_anchornet.publishing", "hf_anchornet.cli"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_unpickled(name):
    modules = {module.partition(".")[0] for _, module, _ in list_imports(FILES[name])}
    assert not modules & {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for call in ast.walk(ast.parse(FILES[name].read_text("utf-8"))):
        if isinstance(call, ast.Call):
            called = ast.unparse(call.func)
            assert called not in ("eval", "exec", "torch.load", "np.load", "numpy.load")


@pytest.mark.parametrize("name", FILES)
def test_models_of_others_are_loaded_from_safetensors_files(name):
    """`AutoModel...from_pretrained` stands alone only where an AnchorNet is, which sees to it."""
    whose = {"options.classifier", "checkpoint", "teacher", "classifier"}
    for call in ast.walk(ast.parse(FILES[name].read_text("utf-8"))):
        if not isinstance(call, ast.Call) or not ast.unparse(call.func).endswith("from_pretrained"):
            continue
        if "AutoModel" in ast.unparse(call.func) and ast.unparse(call.args[0]) in whose:
            assert "use_safetensors" in {word.arg for word in call.keywords}
