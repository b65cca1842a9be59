"""The module map of the house style: which file may import which, by reading the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports

import hf_anchornet

PACKAGE = Path(hf_anchornet.__file__).parent
FOLDERS = "bench", "cards", "commands", "corpora", "demo", "explain", "publish", "serve", "train"
FILES = {
    path.stem: path
    for folder in ("", *FOLDERS)
    for path in (PACKAGE / folder).glob("*.py")
    if not folder or path.stem != "__init__"
}
METRICS = {f"metrics.{path.stem}": path for path in (PACKAGE / "metrics").glob("*.py")}

RING = {
    "cascade_file_anchornet",
    "limits_anchornet",
    "configuration_anchornet",
    "geometry_anchornet",
    "words_anchornet",
    "loading_anchornet",
    "modeling_anchornet",
    "modeling_anchornet_text",
    "modeling_anchornet_image",
    "budget_anchornet",
    "selection_anchornet",
    "spans_anchornet",
    "boxes_anchornet",
    "image_processing_anchornet",
    "timing",
    "export_anchornet",
    "backend_anchornet",
    "classifier_anchornet",
    "text_localizer_anchornet",
    "text_cuts_anchornet",
    "long_text_anchornet",
    "image_localizer_anchornet",
    "evidence_map_anchornet",
    "large_image_anchornet",
    "exit_rule_anchornet",
    "trace_anchornet",
    "localizer_anchornet",
    "cascade_anchornet",
    "span_reader_anchornet",
    "patch_reader_anchornet",
    "pipeline_anchornet",
    "pipeline_anchornet_text",
    "pipeline_anchornet_image",
}
MODELING = {"configuration_anchornet", "geometry_anchornet", "modeling_anchornet"}
LOCALIZING = {
    "backend_anchornet",
    "classifier_anchornet",
    "geometry_anchornet",
    "loading_anchornet",
    "timing",
}
READING = {"backend_anchornet", "classifier_anchornet", "exit_rule_anchornet", "timing"}
CASCADING = {
    "backend_anchornet",
    "cascade_anchornet",
    "classifier_anchornet",
    "exit_rule_anchornet",
    "selection_anchornet",
}
SELECTION = {"geometry_anchornet", "selection_anchornet"}
TRAINING = {
    "batches",
    "data",
    "streams",
    "vocabulary",
    "evaluation",
    "training",
    "training_card",
    "training_loop",
    "training_options",
    *METRICS,
}
VIEWS = {"visualization_image", "visualization_text"}
IMAGE_TRAINING = {"augmentation", "data_image", "localization_image"}
MAY_IMPORT = {
    "configuration_anchornet": {"limits_anchornet"},
    "geometry_anchornet": set(),
    "words_anchornet": set(),
    "loading_anchornet": set(),
    "modeling_anchornet": {"configuration_anchornet", "geometry_anchornet", "loading_anchornet"},
    "modeling_anchornet_text": MODELING,
    "modeling_anchornet_image": MODELING,
    "selection_anchornet": {"geometry_anchornet", "limits_anchornet"},
    "budget_anchornet": {"words_anchornet"},
    "spans_anchornet": SELECTION | {"budget_anchornet", "words_anchornet"},
    "boxes_anchornet": SELECTION,
    "image_processing_anchornet": set(),
    "timing": set(),
    "export_anchornet": set(),
    "backend_anchornet": {"export_anchornet"},
    "classifier_anchornet": {"loading_anchornet"},
    "text_localizer_anchornet": LOCALIZING | {"spans_anchornet", "words_anchornet"},
    "image_localizer_anchornet": LOCALIZING
    | {"boxes_anchornet", "image_processing_anchornet", "selection_anchornet"},
    "text_cuts_anchornet": {"words_anchornet"},
    "long_text_anchornet": {
        "classifier_anchornet",
        "geometry_anchornet",
        "selection_anchornet",
        "spans_anchornet",
        "text_cuts_anchornet",
        "text_localizer_anchornet",
        "words_anchornet",
    },
    "evidence_map_anchornet": SELECTION | {"boxes_anchornet", "image_processing_anchornet"},
    "large_image_anchornet": {
        "classifier_anchornet",
        "evidence_map_anchornet",
        "geometry_anchornet",
        "image_localizer_anchornet",
    },
    "exit_rule_anchornet": set(),
    "span_reader_anchornet": READING
    | {"budget_anchornet", "text_localizer_anchornet", "words_anchornet"},
    "patch_reader_anchornet": READING | {"image_localizer_anchornet", "image_processing_anchornet"},
    "trace_anchornet": {"exit_rule_anchornet"},
    "localizer_anchornet": {
        "backend_anchornet",
        "image_localizer_anchornet",
        "text_localizer_anchornet",
        "trace_anchornet",
    },
    "limits_anchornet": set(),
    "cascade_file_anchornet": {"selection_anchornet"},
    "cascade_anchornet": {
        "cascade_file_anchornet",
        "backend_anchornet",
        "classifier_anchornet",
        "exit_rule_anchornet",
        "localizer_anchornet",
        "patch_reader_anchornet",
        "span_reader_anchornet",
        "trace_anchornet",
    },
    "pipeline_anchornet": CASCADING | {"geometry_anchornet", "trace_anchornet"},
    "pipeline_anchornet_text": CASCADING
    | {
        "budget_anchornet",
        "geometry_anchornet",
        "long_text_anchornet",
        "pipeline_anchornet",
        "span_reader_anchornet",
        "spans_anchornet",
        "text_localizer_anchornet",
        "words_anchornet",
    },
    "pipeline_anchornet_image": CASCADING
    | {
        "boxes_anchornet",
        "image_localizer_anchornet",
        "image_processing_anchornet",
        "large_image_anchornet",
        "patch_reader_anchornet",
        "pipeline_anchornet",
    },
    "version": set(),
    "vocabulary": RING,
    "data_source": set(),
    "data": RING | {"data_source"},
    "augmentation": set(),
    "data_image": RING | {"augmentation", "data"},
    "evaluation": RING | {"data", *METRICS},
    "localization_image": RING,
    "evaluation_image": RING
    | {"data", "data_image", "localization_image", "map_agreement", *METRICS},
    "batches": set(),
    "whole_folders": set(),
    "checkpoints": {"batches", "training_options", "whole_folders"},
    "streams": {"batches"},
    "stream_sources": {"data", "data_source", "streams", "training_options"},
    "stream_texts": {"data", "stream_sources", "streams"},
    "stream_images": RING | {"augmentation", "data", "data_image", "stream_sources", "streams"},
    "epochs": {"batches", "checkpoints", "streams", "training_options"},
    "training_options": set(),
    "training_loop": {"cards", "checkpoints", "epochs", "streams", "training_options"},
    "training": RING
    | {"batches", "data", "evaluation", "streams", "training_loop", "training_options", *METRICS},
    "training_card": {"cards", "data", "training_loop"},
    "distillation": RING | {"data"},
    "training_text": RING | TRAINING | {"distillation", "stream_sources", "stream_texts"},
    "training_image": RING
    | TRAINING
    | IMAGE_TRAINING
    | {"evaluation_image", "stream_images", "stream_sources"},
    "controls": RING,
    "adaptation": RING | TRAINING | {"controls"},
    "ablation": RING | TRAINING | {"adaptation", "temperature"},
    "ablation_evidence": RING
    | TRAINING
    | {"explained_text", "explaining", "explanation_summary", "training_text"},
    "measurement": RING | TRAINING | {"adaptation"},
    "adaptation_image": RING | TRAINING | IMAGE_TRAINING,
    "measurement_image": RING
    | TRAINING
    | IMAGE_TRAINING
    | {"adaptation_image", "evaluation_image", "measurement"},
    "explaining": RING
    | {
        "data",
        "data_image",
        "explained_image",
        "explained_text",
        "explainers_image",
        "explainers_text",
        "explaining_cost",
        "faithfulness_image",
        "faithfulness_text",
        "plausibility",
    },
    "calibrated_model": {"data", "data_image", "explained_image", "explained_text", "temperature"},
    "explanations": {
        "calibrated_model",
        "data",
        "explained_image",
        "explained_text",
        "explaining",
        "explanation_records",
        "explanation_summary",
    },
    "scoring": RING | {"data", "data_image", "evaluation_image", "explaining", "explanations"},
    "faithfulness": set(),
    "faithfulness_text": {"faithfulness", "words_anchornet"},
    "faithfulness_image": {"faithfulness"},
    "exit_search": RING,
    "temperature": RING | METRICS.keys(),
    "calibration": RING | {"data", "exit_search", "temperature"},
    "agreement": RING | {"data", "data_image"},
    "benchmark_methods": RING,
    "benchmark": RING | {"benchmark_methods"},
    "benchmark_backends": RING,
    "benchmark_text": RING | TRAINING | {"adaptation", "benchmark_methods", "controls"},
    "benchmark_image": RING | TRAINING | IMAGE_TRAINING | {"adaptation_image", "benchmark_methods"},
    "benchmark_corpus": set(),
    "benchmark_long_input": {"benchmark_report", "hub"},
    "benchmark_report": set(),
    "benchmark_serving": {"free_port", "hub"},
    "benchmark_training": RING | TRAINING | {"free_port"},
    "free_port": set(),
    "benchmark_streaming": TRAINING | {"benchmark_report", "stream_sources", "stream_texts"},
    "fuzz_numbers": RING,
    "fuzz_inputs": set(),
    "fuzz_media": RING | {"fuzz_inputs", "hub"},
    "fuzz_coverage": set(),
    "fuzzing": {
        "benchmark_report",
        "fuzz_coverage",
        "fuzz_inputs",
        "fuzz_media",
        "fuzz_numbers",
    },
    "result_tables": {"benchmark_report"},
    "scale_table": {"benchmark_report"},
    "explanation_tables": {"benchmark_report"},
    "refined_evidence": RING,
    "retrieval": RING | {"data", "plausibility", *METRICS},
    "plausibility": {"budget_anchornet", "words_anchornet", *METRICS},
    "explanation_records": set(),
    "explanation_summary": {"map_agreement", "plausibility", "words_anchornet", *METRICS},
    "conversion": RING,
    "conversion_efficientnet": set(),
    "reference": RING | {"conversion"},
    "captum_extra": set(),
    "black_box": {"captum_extra"},
    "explained_text": RING | {"explained_model"},
    "explained_image": RING | {"explained_model"},
    "path_gradients": {"captum_extra"},
    "token_gradients": RING | {"explained_text", "path_gradients"},
    "attention_rollout": {"explained_text"},
    "grad_cam": RING | {"captum_extra", "explained_image"},
    "explainers_text": RING
    | {
        "attention_rollout",
        "black_box",
        "explained_model",
        "explained_text",
        "refined_evidence",
        "token_gradients",
    },
    "explainers_image": RING
    | {"black_box", "explained_image", "explained_model", "grad_cam", "path_gradients"},
    "explaining_cost": set(),
    "visualization": set(),
    "visualization_text": {"visualization"},
    "visualization_image": {"image_processing_anchornet", "visualization"},
    "hub": RING | {"version"},
    "card_results": {"explanation_tables"},
    "cards": RING | {"card_results"},
    "folder_check": RING | {"hub", "training_options"},
    "publishing": RING | {"cards", "folder_check"},
    "uploading": {"cascade_anchornet"},
    "demo_models": RING | {"hub", "visualization"},
    "demo_views": RING | {"demo_models", "visualization", *VIEWS},
    "demo_answers": RING | {"demo_models", "demo_views", "hub"},
    "demo_app": {"demo_answers", "demo_models", "demo_views", "hub", "visualization"},
    "demo_space": set(),
    "serving_batches": set(),
    "serving_extra": set(),
    "serving_limits": {"serving_extra"},
    "serving_requests": {"serving_extra", "serving_limits"},
    "serving_app": RING
    | {"hub", "serving_batches", "serving_extra", "serving_limits"}
    | {"serving_memory", "serving_requests"},
    "serving_memory": set(),
    "cli_serving": {"cli_options", "serving_app", "serving_limits"},
    "corpus": set(),
    "corpus_settings": RING | {"corpus", "hub"},
    "corpus_answers": RING | {"corpus", "corpus_settings"},
    "corpus_jobs": {"corpus", "corpus_answers", "corpus_settings"},
    "corpus_ray": {"corpus", "corpus_answers", "corpus_jobs", "corpus_settings"},
    "cli_shared": {"hub", "visualization"},
    "cli_corpus": {"cli_shared", "corpus", "corpus_jobs", "corpus_ray"},
    "cli_text": {"cli_shared", "hub", "visualization", "visualization_text"},
    "cli_image": {"cli_shared", "hub", "visualization", "visualization_image"},
    "cli_options": {"cli_shared", "data"},
    "cli_training": RING
    | TRAINING
    | IMAGE_TRAINING
    | {"adaptation", "adaptation_image", "calibration", "cli_options"}
    | {"training_image", "training_text"},
    "map_agreement": METRICS.keys(),
    "explained_model": RING,
    "cli_evaluation": {
        "cli_options",
        "cli_shared",
        "data",
        "explaining",
        "explanation_tables",
        "scoring",
        "training_loop",
    },
    "cli_publishing": RING
    | {"agreement", "cards", "cli_options", "data", "hub", "publishing", "uploading"},
    "cli": {
        "cli_corpus",
        "cli_shared",
        "cli_text",
        "cli_image",
        "cli_training",
        "cli_evaluation",
        "cli_publishing",
        "cli_serving",
        "version",
        "visualization",
    },
    "__init__": RING | {"version", "hub", *VIEWS},
    "__main__": {"cli"},
    **{name: set() for name in METRICS},
}
RING_LIBRARIES = {"numpy", "PIL", "safetensors", "torch", "transformers", "huggingface_hub"}
OPTIONAL_LIBRARIES = {"onnx", "onnxruntime", "onnxscript"}


def imports(path):
    """Each imported module: how many dots, which module, which names."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name, []) for alias in node.names)


def siblings(name):
    """Files of this package that a file imports, by their names in the module map."""
    found = set()
    for level, module, _ in imports({**FILES, **METRICS}[name]):
        inside = module.removeprefix("hf_anchornet.")
        if level or inside != module:
            found.add(inside if inside in METRICS else inside.rpartition(".")[2])
    return found


@pytest.mark.parametrize("name", sorted({**FILES, **METRICS}))
def test_a_file_imports_only_what_the_module_map_allows(name):
    assert name in MAY_IMPORT, f"{name} is not in the module map"
    assert siblings(name) <= MAY_IMPORT[name]


@pytest.mark.parametrize("name", sorted(FILES))
def test_nothing_imports_the_package_from_inside(name):
    for level, module, _ in imports(FILES[name]):
        assert module != "hf_anchornet", "`__init__` is for users: name the file"
        assert not level or module, "`from . import x` fails as remote code"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_imported_by_its_files(folder):
    """Each has but a line of docstring in its `__init__`, and no two files share a name."""
    tree = ast.parse((PACKAGE / folder / "__init__.py").read_text("utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1
    for path in (PACKAGE / folder).glob("[!_]*.py"):
        assert FILES[path.stem] == path


@pytest.mark.parametrize("name", sorted(RING))
def test_ring_files_import_only_what_every_user_of_remote_code_has(name):
    for level, module, _ in imports(FILES[name]):
        if level:
            assert level == 1
            assert module in RING
        else:
            root = module.partition(".")[0]
            assert root in RING_LIBRARIES | OPTIONAL_LIBRARIES | sys.stdlib_module_names
            assert root != "huggingface_hub" or module == "huggingface_hub.dataclasses"


@pytest.mark.parametrize("name", sorted(RING))
def test_ring_files_need_no_optional_library(name):
    assert not set(get_imports(FILES[name])) & OPTIONAL_LIBRARIES


@pytest.mark.parametrize("name", sorted(RING))
def test_ring_files_show_no_relative_import_that_the_copier_would_take_for_real(name):
    tree = ast.parse(FILES[name].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not any(line.strip().startswith("from .") for line in node.value.splitlines())


def test_config_and_model_files_keep_their_annotations_as_types():
    for name in RING:
        assert not any(module == "__future__" for _, module, _ in imports(FILES[name]))


def test_no_file_imports_itself_through_others():
    free = set()

    def reach(name, path):
        assert name not in path, " -> ".join([*path, name])
        if name not in free:
            for sibling in siblings(name):
                reach(sibling.removeprefix("."), [*path, name])
            free.add(name)

    for name in FILES:
        reach(name, [])


def test_importing_the_package_registers_models_and_tasks_in_a_fresh_process():
    code = """
import hf_anchornet
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.pipelines import PIPELINE_REGISTRY
config = AutoConfig.for_model("anchornet_text")
model = AutoModelForSequenceClassification.from_config(config)
assert type(model) is hf_anchornet.AnchorNetTextForSequenceClassification
assert "span-localization" in PIPELINE_REGISTRY.supported_tasks
assert all(hasattr(hf_anchornet, name) for name in hf_anchornet.__all__)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


@pytest.mark.parametrize("name", sorted({**FILES, **METRICS}))
def test_nothing_is_unpickled(name):
    """Only published checkpoints of others are, on demand, and as plain tensors."""
    tree = ast.parse({**FILES, **METRICS}[name].read_text("utf-8"))
    modules = {module.partition(".")[0] for _, module, _ in imports({**FILES, **METRICS}[name])}
    assert not modules & {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        assert ast.unparse(call.func) not in ("eval", "exec")
        if ast.unparse(call.func) in ("torch.load", "np.load", "numpy.load"):
            assert name in ("conversion", "conversion_efficientnet")
            assert {word.arg: ast.unparse(word.value) for word in call.keywords}[
                "weights_only"
            ] == "True"


@pytest.mark.parametrize("name", sorted({**FILES, **METRICS}))
def test_models_of_others_are_loaded_from_safetensors_files(name):
    """`AutoModel...from_pretrained` stands alone only where an AnchorNet is, which sees to it."""
    whose = {"options.classifier", "checkpoint", "teacher", "classifier"}
    for call in ast.walk(ast.parse({**FILES, **METRICS}[name].read_text("utf-8"))):
        if not isinstance(call, ast.Call) or not ast.unparse(call.func).endswith("from_pretrained"):
            continue
        if "AutoModel" in ast.unparse(call.func) and ast.unparse(call.args[0]) in whose:
            assert "use_safetensors" in {word.arg for word in call.keywords}
