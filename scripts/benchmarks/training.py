"""Training a text localizer on one process and on two: speed, and whether losses agree.

Speed is measured in float32, losses are compared in float64. Needs two idle cores.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset
from torch import nn

from hf_anchornet.data.texts import make_collator
from hf_anchornet.evaluation.accuracy import evaluate_accuracy
from hf_anchornet.files import write_json
from hf_anchornet.model.configuration_anchornet import AnchorNetTextConfig
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.training.batches import make_text_loader
from hf_anchornet.training.fit import make_accelerator
from hf_anchornet.training.loop import run_training
from hf_anchornet.training.options import TrainingOptions
from scripts.benchmarks.machine import describe_hardware, find_free_port
from scripts.options import parse_options

VOCABULARY_SIZE = 1000


@dataclass
class ScalingOptions:
    """Training of a localizer without dropout, on random tokens of which one tells the label.

    Attributes:
        num_rows: Texts an epoch; a multiple of `global_batch_size`.
        num_tokens: Tokens of the longest text; the shortest has half as many.
        hidden_size: Width of the localizer.
        global_batch_size: Texts a step, over all processes and accumulated batches.
        gradient_accumulation_steps: Batches that these are split into, in each process.
        num_epochs: Number of epochs; the first is not timed.
        rounds: Trainings of each number of processes, in turn.
        double: Whether to compute in float64.
    """

    num_rows: int = 2048
    num_tokens: int = 256
    hidden_size: int = 128
    global_batch_size: int = 64
    gradient_accumulation_steps: int = 1
    num_epochs: int = 4
    rounds: int = 3
    double: bool = False


def train_on_random_texts(options: ScalingOptions, output_dir: str) -> dict[str, Any]:
    """Train in this process and in those that were launched with it.

    Returns:
        `num_processes`; `seconds` of each epoch with its evaluation; `num_steps` of an epoch;
        `history`: the losses and scores of each epoch.
    """
    accumulated = options.gradient_accumulation_steps
    settings = TrainingOptions(
        output_dir, num_epochs=options.num_epochs, gradient_accumulation_steps=accumulated
    )
    accelerator = make_accelerator(settings)
    batches = accelerator.num_processes * accumulated
    batch_size = options.global_batch_size // batches
    rows = make_random_texts(options.num_rows, options.num_tokens)
    collate = make_collator(pad_token_id=0)
    judged = make_text_loader(rows.select(range(options.global_batch_size)), collate, batch_size)
    validation, times = accelerator.prepare(judged), [0.0]

    def evaluate(model: nn.Module) -> dict[str, float]:
        times.append(time.perf_counter())
        return evaluate_accuracy(model, validation, accelerator)

    loader = make_text_loader(rows, collate, batch_size, settings.seed, batches)
    model = _make_model(options)
    times[0] = time.perf_counter()
    report = run_training(model, loader, evaluate, settings, accelerator, lambda *_: None)
    seconds = [after - before for before, after in pairwise(times)]
    return {
        "num_processes": accelerator.num_processes,
        "seconds": seconds,
        "num_steps": options.num_rows // options.global_batch_size,
        "history": report["history"],
    }


def make_random_texts(num_rows: int, num_tokens: int) -> Dataset:
    """Rows of random tokens; token 1 or 2, at a random place, tells the label."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for row in range(num_rows):
        length = int(torch.randint(num_tokens // 2, num_tokens + 1, (), generator=generator))
        ids = torch.randint(3, VOCABULARY_SIZE, (length,), generator=generator)
        ids[int(torch.randint(length, (), generator=generator))] = 1 + row % 2
        rows.append({"input_ids": ids.tolist(), "length": length, "labels": row % 2})
    return Dataset.from_list(rows)


def _make_model(options: ScalingOptions) -> AnchorNetTextForSequenceClassification:
    """A model without dropout, which would differ from process to process."""
    config = AnchorNetTextConfig(
        vocab_size=VOCABULARY_SIZE,
        embedding_size=options.hidden_size,
        hidden_size=options.hidden_size,
        kernel_sizes=[3, 3],
        hidden_dropout_prob=0.0,
        token_dropout_prob=0.0,
        auxiliary_loss_weight=0.3,
        evidence_penalty=0.01,
    )
    torch.manual_seed(0)
    model = AnchorNetTextForSequenceClassification(config)
    return model.double() if options.double else model


def launch_processes(num_processes: int, command: Sequence[str]) -> None:
    """Run a Python script with its arguments on processes of this machine, one thread each.

    Raises:
        RuntimeError: If a process fails; the message ends with its last output.
    """
    done = subprocess.run(
        make_launch(num_processes, command),
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"training on {num_processes} processes failed: {done.stderr[-3000:]}")


def make_launch(num_processes: int, command: Sequence[str]) -> list[str]:
    """The command line that runs a Python script in processes of this machine.

    Set ACCELERATE_USE_CPU for it: with `--cpu --num_processes 2` only one process would start.
    """
    if num_processes == 1:
        return [sys.executable, *command]
    launcher = f"-m accelerate.commands.launch --multi_gpu --num_processes {num_processes}"
    launcher += " --num_machines 1 --mixed_precision no --dynamo_backend no"
    launcher += f" --main_process_port {find_free_port()}"
    return [sys.executable, *launcher.split(), *command]


def measure_scaling(options: ScalingOptions, command: Sequence[str]) -> dict[str, Any]:
    """Speed and losses of trainings on one process and on two, in turn.

    Args:
        options: Options of the training.
        command: A script and arguments that write the report of `train_on_random_texts` to the
            file whose name is added as the last argument.

    Returns:
        `steps_per_second` of "1" and "2" processes, the median of rounds of the median epoch;
        `speedup`; `largest_loss_difference` between them, absolute, over all epochs; `rounds`.
    """
    rounds = []
    for _ in range(options.rounds):
        for num_processes in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                report = Path(folder, "report.json")
                launch_processes(num_processes, [*command, str(report)])
                rounds.append(json.loads(report.read_text("utf-8")))
    return {**compare_rounds(rounds), "rounds": rounds}


def compare_rounds(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The numbers of `measure_scaling` from reports of `train_on_random_texts`."""
    speeds, curves = {}, []
    for num_processes in (1, 2):
        own = [report for report in rounds if report["num_processes"] == num_processes]
        speeds[str(num_processes)] = median(
            report["num_steps"] / median(report["seconds"][1:]) for report in own
        )
        curves.append(
            [[epoch["train_loss"], epoch["loss"]] for report in own for epoch in report["history"]]
        )
    difference = (torch.tensor(curves[0]) - torch.tensor(curves[1])).abs().max()
    return {
        "steps_per_second": speeds,
        "speedup": speeds["2"] / speeds["1"],
        "largest_loss_difference": float(difference),
    }


@dataclass
class Output:
    """Where the numbers go.

    Attributes:
        output: JSON file of the measurement.
        worker: JSON file of one training; given, only this training runs, in this process.
    """

    output: str = "results/training_scale.json"
    worker: str | None = None


def main() -> None:
    """Parse the options, measure, write, print; or run one training for a measurement."""
    options, output = parse_options(ScalingOptions, Output, description=__doc__)
    if output.worker is not None:
        report = train_on_random_texts(options, str(Path(output.worker).parent / "run"))
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
    """The arguments of Python for this module as a worker, without the name of its file."""
    arguments = [f"--{name}={value}" for name, value in asdict(options).items()]
    return ["-m", "scripts.benchmarks.training", *arguments, "--worker"]


if __name__ == "__main__":
    main()
