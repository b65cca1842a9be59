"""Backends side by side."""

import pytest
import torch

from hf_anchornet import SAMPLE_IMAGE, SAMPLE_REVIEW
from scripts.benchmarks.backends import BackendBenchmark, benchmark_backends


@pytest.mark.slow
def test_every_backend_of_both_localizers_is_timed(
    random_folder, random_image_folder, trace_once, trace_quickly
):
    threads = torch.get_num_threads()
    options = BackendBenchmark(
        random_folder,
        random_image_folder,
        str(SAMPLE_REVIEW),
        str(SAMPLE_IMAGE),
        tokens=30,
        batch_sizes=[1, 2],
        rounds=2,
    )
    report = benchmark_backends(options)
    assert torch.get_num_threads() == threads
    assert report["text"]["shape"] == [30]
    assert report["image"]["shape"][0] == 3
    for kind in ("text", "image"):
        assert set(report[kind]["start_seconds"]) == {"eager", "compile", "onnx"}
        assert [batch["batch_size"] for batch in report[kind]["batches"]] == [1, 2]
        for batch in report[kind]["batches"]:
            assert batch["eager"]["ratio"] == {"median": 1.0, "min": 1.0, "max": 1.0}
            for backend in ("eager", "compile", "onnx"):
                assert batch[backend]["milliseconds"] > 0
                assert batch[backend]["largest_difference"] < 1e-3
