"""How fast one process and two train, and whether they learn the same.

Speed in float32, losses in float64. Needs a machine with two idle cores.
"""

import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from accelerate import PartialState
from transformers import HfArgumentParser

from hf_anchornet.files import write_json
from scripts.benchmarks.report_tables import describe_hardware
from scripts.benchmarks.training import ScalingOptions, measure_scaling, train_on_random_texts


@dataclass
class Output:
    """Where the numbers go.

    Attributes:
        output: File of the measurement.
        worker: File of one training: do that instead, in this process.
    """

    output: str = "results/training_scale.json"
    worker: str | None = None


def main() -> None:
    """Measure and write."""
    parser = HfArgumentParser((ScalingOptions, Output), allow_abbrev=False)
    options, output = parser.parse_args_into_dataclasses()
    if output.worker is not None:
        folder = Path(output.worker).parent
        report = train_on_random_texts(options, str(folder / "run"))
        if os.environ.get("RANK", "0") == "0":
            write_json(Path(output.worker), report)
        PartialState().destroy_process_group()  # else a process may be aborted at its end
        return
    load = os.getloadavg()[0]
    exact = replace(options, double=True, rounds=1, num_rows=options.num_rows // 2)
    report = {
        "settings": asdict(options),
        "machine": {"hardware": describe_hardware(), "load": load},
        "speed": measure_scaling(options, make_command(options)),
        "float64": {"settings": asdict(exact), **measure_scaling(exact, make_command(exact))},
    }
    write_json(Path(output.output), report)
    speed = report["speed"]
    print(f"steps a second: {speed['steps_per_second']}, speedup {speed['speedup']:.2f}")
    print(f"largest difference of losses: {report['float64']['largest_loss_difference']:.1e}")
    if load >= 1:
        sys.exit(f"the machine was busy (load {load:.1f}): measure the speed again when it is idle")


def make_command(options: ScalingOptions) -> list[str]:
    """This script as a worker, but for its file."""
    arguments = [f"--{name}={value}" for name, value in asdict(options).items()]
    return ["-m", "scripts.benchmarks.run_training", *arguments, "--worker"]


if __name__ == "__main__":
    main()
