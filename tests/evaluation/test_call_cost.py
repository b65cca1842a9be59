"""Seconds and peak memory of a call."""

import time

import numpy as np
import pytest
import torch

from hf_anchornet.evaluation import call_cost
from hf_anchornet.evaluation.call_cost import measure_call

MIB = 2**20
on_linux = pytest.mark.skipif(
    not call_cost._CLEAR_REFS.exists(), reason="only Linux reports the peak"
)


def fill(mib):
    """Use and free so much memory."""
    return int(np.ones(mib * MIB, dtype=np.uint8)[-1])


def test_the_result_of_the_call_is_returned():
    assert measure_call(lambda: "answer").result == "answer"


def test_seconds_are_those_of_the_processor():
    def work():
        stop = time.process_time() + 0.05
        while time.process_time() < stop:
            pass

    assert measure_call(work).seconds == pytest.approx(0.05, abs=0.02)
    assert measure_call(lambda: time.sleep(0.1)).seconds < 0.05


@on_linux
@pytest.mark.parametrize("mib", [16, 64])
def test_the_peak_is_what_was_in_use_at_a_time_though_it_was_freed(mib):
    measure_call(lambda: fill(128))  # an earlier peak does not count
    assert measure_call(lambda: fill(mib)).peak_mib == pytest.approx(mib, abs=4)


@on_linux
def test_what_was_in_use_before_does_not_count():
    kept = np.ones(64 * MIB, dtype=np.uint8)
    assert measure_call(lambda: int(kept[0])).peak_mib < 4


@on_linux
def test_a_call_that_uses_freed_memory_again_needs_it_all_the_same():
    blocks = [np.ones(1000, dtype=np.uint8) for _ in range(32_000)]  # too small to be mapped
    del blocks

    def allocate():
        return len([np.ones(1000, dtype=np.uint8) for _ in range(32_000)])

    assert measure_call(allocate).peak_mib > 20


def test_a_system_that_does_not_tell_gives_no_peak(monkeypatch, tmp_path):
    monkeypatch.setattr(call_cost, "_CLEAR_REFS", tmp_path / "missing")
    cost = measure_call(lambda: fill(1))
    assert cost.peak_mib is None
    assert cost.seconds >= 0


@on_linux
def test_a_status_without_what_it_should_tell_is_reported(monkeypatch, tmp_path):
    status = tmp_path / "status"
    status.write_text("VmHWM: 10 kB\n", "ascii")
    monkeypatch.setattr(call_cost, "_STATUS", status)
    monkeypatch.setattr(call_cost, "_CLEAR_REFS", tmp_path / "status_2")
    (tmp_path / "status_2").touch()
    with pytest.raises(OSError, match="must contain VmRSS"):
        measure_call(lambda: None)


@pytest.mark.gpu
def test_on_a_gpu_the_peak_is_what_torch_has_allocated_there():
    kept = torch.zeros(8 * MIB, dtype=torch.uint8, device="cuda")
    cost = measure_call(lambda: float((kept + 1).sum()), "cuda")
    assert cost.peak_mib >= 8
    assert measure_call(lambda: None, "cuda").peak_mib == 0
