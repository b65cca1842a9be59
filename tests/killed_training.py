"""`anchornet train`, which writes down what each step sees and may kill itself before a step.

Usage: killed_training.py STEP FOLDER OPTIONS..., where STEP 0 is never and FOLDER gets a file of
each process and the final weights.
"""

import os
import signal
import sys
import zlib
from pathlib import Path

import datasets
from safetensors.torch import save_file

from hf_anchornet.cli.train import make_parser, run
from hf_anchornet.training import loop as training_loop

kill_at, folder, options = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0  # at the end of a pass over a stream
folder.mkdir(parents=True, exist_ok=True)
train_batch, remove = training_loop._train_batch, training_loop.Checkpoints.remove


def note_batch(run, batch):
    progress = run.progress
    if kill_at and progress.step == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    seen = zlib.crc32(batch["input_ids"].numpy().tobytes())
    with (folder / f"seen_{run.accelerator.process_index}.txt").open("a") as file:
        file.write(f"{progress.epoch}.{progress.batches} {seen}\n")
    return train_batch(run, batch)


def save_weights(self):
    if self.accelerator.is_main_process:
        model = self.accelerator.unwrap_model(self.accelerator._models[0])
        save_file(model.state_dict(), folder / "final.safetensors")
    remove(self)


training_loop._train_batch, training_loop.Checkpoints.remove = note_batch, save_weights
run(make_parser().parse(options))
