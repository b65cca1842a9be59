"""The description of the machine."""

from scripts.benchmarks.machine import describe_hardware


def test_the_hardware_is_named_wherever_this_runs(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast One\ncpu MHz\t: 1\n")
    assert describe_hardware(tmp_path / "cpuinfo").startswith("Fast One, ")
    assert describe_hardware(tmp_path / "missing").endswith(" processors")
