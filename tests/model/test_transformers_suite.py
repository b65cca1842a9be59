"""transformers' own tests of models, configurations, image processors and training, run on ours.

The wheel of transformers has no tests, its source distribution has. `transformers_suite/` holds
what runs beside them, in a process of its own.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
import transformers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GUESTS = Path(__file__).parent / "transformers_suite"
VERSION = transformers.__version__

FAILS, SKIPS, MAY_SKIP = "fails", "is skipped", "may be skipped"

NO_ATTENTION = "there is no attention to choose or to return"
NO_ROPE = "there are no position embeddings"
NO_EXPERTS = "there are no experts"
NO_GENERATION = "nothing is generated"
ONE_BACKEND = "one processor, of Pillow, serves with and without torchvision"
MACHINE = "a GPU or an optional package, which this machine may lack"
PLAN = "a model of a few million weights is not spread over machines by layers"
NAMES = "checkpoints have had one set of names so far"
NO_CHECKPOINTING = "layers are too small for gradient checkpointing"

EXPECTED = (
    # Fails: the test asks for what is not meant to be.
    (FAILS, "NgramTest.test_inputs_embeds", "n-grams are looked up by token ids"),
    (FAILS, "ProcessorTest.test_call_numpy_4_channels", "pictures have 1 or 3 channels"),
    (FAILS, "ProcessorTest.test_new_models_require_torchvision_backend", ONE_BACKEND),
    # Is skipped by the mixin itself.
    (SKIPS, "attention_outputs|can_set_attention_dynamically.*|sliding_window_mask", NO_ATTENTION),
    (SKIPS, "attn_implementation_composite_models|sdpa_can_dispatch_.*composite.*", NO_ATTENTION),
    (SKIPS, "eager_matches_sdpa_inference_.*", NO_ATTENTION),
    (SKIPS, "model_rope_.*|vision_axial_rope|resize_position_vector_embeddings", NO_ROPE),
    (SKIPS, "eager_matches_batched_and_grouped_.*|.*router_logits.*", NO_EXPERTS),
    (SKIPS, "causal_lm_loss_.*|encoder_decoder_loss_.*", NO_GENERATION),
    (SKIPS, "can_capture_specific_layers_.*|capture_outputs_.*", "layers are read without hooks"),
    (SKIPS, "can_load_from_already_mapped_keys|reverse_loading_mapping", NAMES),
    (SKIPS, "can_load_ignoring_mismatched_shapes", "a head is a linear map for each branch"),
    (SKIPS, "enable_input_require_grads_with_gradient_checkpointing", NO_CHECKPOINTING),
    (SKIPS, "internal_model_config_and_subconfig_are_same", "there are no configurations inside"),
    (SKIPS, "keep_in_fp32_modules.*", "every layer may be of half precision"),
    (SKIPS, "tied_head_has_a_tp_plan_entry|tp_plan_matches_params", PLAN),
    (SKIPS, "ImageTest.test_inputs_embeds.*", "images have no token embeddings"),
    (SKIPS, "ImageTest.test_resize_.*_(untied.*|embeddings)", "images have no vocabulary"),
    (SKIPS, "ProcessorTest.test_(backends_equivalence|save_load_backends).*", ONE_BACKEND),
    (SKIPS, "ProcessorTest.test_fast_image_processor_.*", ONE_BACKEND),
    (SKIPS, "ProcessorTest.test_image_processor_preprocess_.*", "`preprocess` is the stock one"),
    (SKIPS, "ProcessorTest.test_override_instance_.*", "the tester gives a size, not all of it"),
    # May be skipped.
    (MAY_SKIP, "flash_attn.*|flex_attention.*|sdpa_can_.*", MACHINE),
    (MAY_SKIP, ".*deepspeed.*|.*_offload.*|model_parallelism|kernels_can_load.*", MACHINE),
    (MAY_SKIP, "can_load_with_(device_context_manager|global_device_set)", MACHINE),
    (MAY_SKIP, "torch_compile_for_training|can_compile_torchvision_backend", "needs RUN_SLOW"),
    (MAY_SKIP, "pil_can_run_without_torchvision", "needs RUN_SLOW"),
)
"""Each test of the suite that does not pass: how, a pattern of its name, and why."""

STUBS = {
    "__init__.py": "",
    # What the source distribution leaves out.
    "exporters/__init__.py": "",
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "generation/__init__.py": "",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "utils/__init__.py": "",
    "utils/test_configuration_utils.py": """
config_common_kwargs = {
    "return_dict": False,
    "output_hidden_states": True,
    "output_attentions": True,
    "dtype": "float16",
    "chunk_size_feed_forward": 5,
    "architectures": ["BertModel"],
    "id2label": {0: "label"},
    "label2id": {"label": "0"},
    "problem_type": "regression",
}
""",
    "../fetch_hub_objects_for_ci.py": "def url_to_local_path(url):\n    return url\n",
    # A package that the tests need and ours does not: one test for each set of arguments.
    "../parameterized.py": """
import sys

class parameterized:
    @staticmethod
    def expand(sets):
        def add(function):
            names = sys._getframe(1).f_locals
            for index, found in enumerate(sets):
                found = found if isinstance(found, tuple) else (found,)
                names[f"{function.__name__}_{index}"] = lambda self, a=found: function(self, *a)
        return add
""",
}


@pytest.fixture(scope="module")
def sources(request):
    """The `tests` folder of the source distribution, downloaded once."""
    folder = request.config.cache.mkdir(f"transformers-{VERSION}")
    archive = folder / f"transformers-{VERSION}.tar.gz"
    if not archive.is_file():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", str(folder), f"transformers=={VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not archive.is_file():
            pytest.skip(f"the source of transformers is out of reach: {done.stderr[-300:]}")
    return archive


@pytest.fixture(scope="module")
def outcomes(sources, tmp_path_factory):
    """What became of every test: "passed" or the reason why not, by "Class.test"."""
    folder = tmp_path_factory.mktemp("suite")
    with tarfile.open(sources) as archive:
        prefix = f"transformers-{VERSION}/tests/"
        members = [member for member in archive if member.name.startswith(prefix)]
        archive.extractall(folder, members, filter="data")
    tests = folder / prefix
    for name, content in STUBS.items():
        file = tests / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, "utf-8")
    shutil.copy(GUESTS / "anchornets.py", tests / "test_anchornets.py")
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["--rootdir", str(tests.parent), "--junitxml", str(report), "-W", "ignore"]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tests.parent}{os.pathsep}{ROOT}",
        "HF_HUB_OFFLINE": "1",
        "RUN_TRAINING_TESTS": "1",
    }
    subprocess.run(
        [*command, "tests/test_anchornets.py"],
        cwd=tests.parent,
        env=environment,
        check=False,
        timeout=1800,
    )
    return dict(map(read_case, ElementTree.parse(report).iter("testcase")))


def read_case(case):
    """Name of a test of a JUnit report and what became of it."""
    name = f"{case.get('classname').rpartition('.')[2]}.{case.get('name')}"
    for kind, what in (("failure", FAILS), ("error", FAILS), ("skipped", SKIPS)):
        if (found := case.find(kind)) is not None:
            return name, f"{what}: {found.get('message')}"
    return name, "passes"


def fits(pattern, name):
    """Whether a pattern of `EXPECTED` is of this "Class.test"."""
    return re.fullmatch(pattern if "Test." in pattern else rf"\w+\.test_({pattern})", name)


def test_the_suite_runs_both_model_types(outcomes):
    for name in ("TextTest", "NgramTest", "ImageTest", "ProcessorTest"):
        passed = [test for test in outcomes if test.startswith(name) and outcomes[test] == "passes"]
        assert len(passed) > 10, f"{name}: {len(passed)}"


def test_every_test_passes_or_is_in_the_table(outcomes):
    surprising = {
        name: what
        for name, what in outcomes.items()
        if what != "passes"
        and not any(
            fits(pattern, name) and what.startswith(SKIPS if how == MAY_SKIP else how)
            for how, pattern, _ in EXPECTED
        )
    }
    assert surprising == {}


def test_every_line_of_the_table_is_needed(outcomes):
    others = [name for name, what in outcomes.items() if what != "passes"]
    assert [
        pattern
        for how, pattern, _ in EXPECTED
        if how != MAY_SKIP and not any(fits(pattern, name) for name in others)
    ] == []
