"""The training loop, on Accelerate, shared by all models of the package."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather_object
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from hf_anchornet.files import write_json
from hf_anchornet.publishing.card import TRAINING_FILE

from .checkpoints import Checkpoints, Progress, describe_model
from .defaults import complete_options
from .early_stopping import describe_end, warn_of_overfitting
from .epoch_lines import describe_epoch
from .epochs import RowEpochs, StreamEpochs
from .normalization import (
    ESTIMATION_ROWS,
    estimate_statistics,
    has_running_statistics,
    in_full_precision,
    use_running_statistics,
)
from .options import CompleteOptions, TrainingOptions
from .output_folder import save_in_one_go
from .streams import StreamLoader
from .versions import list_versions

logger = logging.getLogger(__name__)


@dataclass
class _Run:
    """A running training: the parts that Accelerate prepared, and the progress."""

    model: Any
    epochs: RowEpochs | StreamEpochs
    optimizer: Any
    schedule: Any
    options: CompleteOptions
    accelerator: Accelerator
    checkpoints: Checkpoints
    settings: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)

    def describe(self, finished: bool) -> dict[str, Any]:
        """The report so far; see `run_training`."""
        history, metric = self.progress.history, self.options.metric_for_best_model
        return {
            "options": {**self.settings, **asdict(self.options)},
            "num_processes": self.accelerator.num_processes,
            "versions": list_versions(),
            "finished": finished,
            "ended": self._describe_end() if finished else None,
            "history": history,
            "best": max(history, key=lambda scores: scores[metric], default=None),
        }

    def end_early(self) -> str | None:
        """The reason to end before the last epoch; `None`: go on."""
        metric = self.options.metric_for_best_model
        return describe_end(self.progress.history, metric, self.options.patience)

    def _describe_end(self) -> dict[str, Any]:
        """The last epoch, and why it was the last."""
        reason = self.end_early() or f"num_epochs: all {self.options.num_epochs} epochs are done"
        return {"epoch": len(self.progress.history), "reason": reason}


def run_training(
    model: PreTrainedModel,
    loader: DataLoader[Any] | StreamLoader,
    evaluate: Callable[[nn.Module], dict[str, float]],
    options: TrainingOptions,
    accelerator: Accelerator,
    save: Callable[[PreTrainedModel, str], None],
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The report of a training, which scores the model after each epoch and keeps the best one.

    Before a model is scored, the running statistics of its batch normalisations are estimated anew.

    Args:
        model: The model, on any device.
        loader: Training batches, not yet prepared, or this process's batches of a stream.
        evaluate: Scores the prepared model on the validation split; the scores include
            `options.metric_for_best_model`.
        options: Options of the training.
        accelerator: From `make_accelerator`.
        save: Writes the model, and what belongs to it, to a folder.
        settings: Options of data and model, by name; a checkpoint made with others is refused.

    Returns:
        All options, from which the training can be repeated, versions of packages, the history of
        all epochs, the best one, and after which epoch and why it "ended"; also written to
        `training.json` in `options.output_dir`, where "finished" is false until training ends.

    Raises:
        FloatingPointError: if the loss is not finite.
        ValueError: if there are checkpoints of an earlier training without `options.resume`, or
            with it they were made with other options; if the order of `loader` cannot be resumed
            or `options.max_steps` does not suit it.
    """
    run = _prepare(model, loader, complete_options(options), accelerator, settings or {})
    progress, metric = run.progress, options.metric_for_best_model
    for epoch in range(progress.epoch, run.options.num_epochs + 1):
        loss = _train_epoch(run)
        scores = _score(run, evaluate)
        progress.history.append({"epoch": epoch, "train_loss": loss, **scores})
        logger.info(describe_epoch(progress.history, metric, run.options.num_epochs))
        warn_of_overfitting(progress.history)
        logged = {f"validation/{name}": score for name, score in scores.items()}
        accelerator.log({"train/epoch_loss": loss, **logged}, step=progress.step)
        best = int(max(progress.history, key=lambda scores: scores[metric])["epoch"])
        if best != progress.best_epoch:
            progress.best_epoch = best
            _save_best(run, save)
        progress.epoch, progress.batches, progress.losses = epoch + 1, 0, []
        if reason := run.end_early():
            logger.info("ended after epoch %d of %d, %s", epoch, run.options.num_epochs, reason)
            break
    report = run.describe(finished=True)
    if accelerator.is_main_process:
        write_json(Path(options.output_dir) / TRAINING_FILE, report)
    for tracker in accelerator.trackers:
        tracker.finish()
    run.checkpoints.remove()
    accelerator.wait_for_everyone()
    return report


def _prepare(
    model: PreTrainedModel,
    loader: DataLoader[Any] | StreamLoader,
    options: CompleteOptions,
    accelerator: Accelerator,
    settings: Mapping[str, Any],
) -> _Run:
    """A training that is ready to run, resumed from its last checkpoint if wanted."""
    epochs: RowEpochs | StreamEpochs
    if isinstance(loader, StreamLoader):
        epochs = StreamEpochs(loader, options)
    else:
        epochs = RowEpochs(loader, options)
    decisive = {**options.decisive(), "num_processes": accelerator.num_processes, **settings}
    if options.checkpoint_steps or options.resume:
        # An error names the first that differs: options come before what follows from them.
        decisive = {**decisive, **epochs.describe(), **describe_model(model), **decisive}
    use_running_statistics(model)
    optimizer = torch.optim.AdamW(group_parameters(model, options), betas=(0.9, 0.98))
    model, optimizer = epochs.prepare(accelerator, model, optimizer)
    steps = epochs.count_steps()
    warmup = int(options.warmup_ratio * steps)
    # Accelerate steps the schedule once per process: count the steps of all of them.
    steps, warmup = (count * accelerator.num_processes for count in (steps, warmup))
    schedule = accelerator.prepare(get_linear_schedule_with_warmup(optimizer, warmup, steps))
    checkpoints = Checkpoints(accelerator, options.output_dir, options.keep_checkpoints, decisive)
    run = _Run(model, epochs, optimizer, schedule, options, accelerator, checkpoints, settings)
    if options.resume:
        run.progress = checkpoints.restore() or run.progress
        if isinstance(epochs, StreamEpochs) and run.progress.places:
            epochs.loader.load_state_dict(run.progress.places[accelerator.process_index])
    elif options.checkpoint_steps:
        checkpoints.refuse_leftovers()
    if options.log_with:
        accelerator.init_trackers("anchornet", config=options.decisive())
    return run


def _score(run: _Run, evaluate: Callable[[nn.Module], dict[str, float]]) -> dict[str, float]:
    """The scores of the model, its batch normalisations with statistics of its weights."""
    if not has_running_statistics(run.model):
        return evaluate(run.model)
    with in_full_precision(run.model, run.accelerator):
        estimate_statistics(run.model, run.epochs.sample(ESTIMATION_ROWS))
        return evaluate(run.model)


def _save_best(run: _Run, save: Callable[[PreTrainedModel, str], None]) -> None:
    accelerator, best = run.accelerator, run.accelerator.unwrap_model(run.model)
    sharded = accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)
    if sharded:  # each process may hold a part only: gather them
        weights = accelerator.get_state_dict(run.model)
        best.save_pretrained = partial(best.save_pretrained, state_dict=weights)
    if accelerator.is_main_process:
        folder = Path(run.options.output_dir)
        write_json(folder / TRAINING_FILE, run.describe(finished=False))
        save_in_one_go(partial(save, best), folder)
    if run.options.checkpoint_steps and run.progress.best_epoch is not None:
        run.checkpoints.write_best(run.progress.best_epoch, partial(save, best))
    if sharded:
        del best.save_pretrained


def _train_epoch(run: _Run) -> float:
    """The mean loss, over all processes, of an epoch or of the rest of a resumed one."""
    options, accelerator, progress = run.options, run.accelerator, run.progress
    run.model.train()
    total = progress.losses[accelerator.process_index] if progress.losses else 0.0
    bar = tqdm(
        run.epochs.rest(progress.epoch, progress.batches),
        total=run.epochs.count_batches(progress.epoch) - progress.batches,
        desc=f"epoch {progress.epoch}",
        disable=not accelerator.is_main_process,
        mininterval=5,
    )
    for batch in bar:
        loss = _train_batch(run, batch)
        total += loss
        progress.batches += 1
        bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        every = options.checkpoint_steps
        if accelerator.sync_gradients and every and progress.step % every == 0:
            progress.losses = gather_object([total])
            progress.places = gather_object([run.epochs.place()])
            run.checkpoints.write(progress)
    mean = torch.tensor(total / progress.batches, device=accelerator.device)
    return float(accelerator.reduce(mean, "mean"))


def _weigh_batch(run: _Run) -> float:
    """What the loss of the next batch is multiplied by: 1, except in a last step of fewer batches.

    The loss is divided by `gradient_accumulation_steps` whatever the number of batches in a step.
    """
    most, done = run.options.gradient_accumulation_steps, run.progress.batches
    left = run.epochs.count_batches(run.progress.epoch) - done // most * most
    return most / min(most, left)


def _train_batch(run: _Run, batch: Mapping[str, Any]) -> float:
    """The loss of one batch, which the model is trained on."""
    options, accelerator, progress = run.options, run.accelerator, run.progress
    with accelerator.accumulate(run.model):
        output = run.model(**batch).loss
        loss = output.item()
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss} in epoch {progress.epoch}; lower `learning_rate` "
                f"({options.learning_rate})."
            )
        rate = run.optimizer.param_groups[0]["lr"]
        accelerator.backward(output * _weigh_batch(run))
        if accelerator.sync_gradients and options.max_grad_norm:
            accelerator.clip_grad_norm_(run.model.parameters(), options.max_grad_norm)
        run.optimizer.step()
        run.schedule.step()
        run.optimizer.zero_grad()
    if accelerator.sync_gradients:
        progress.step += 1
        if accelerator.trackers:
            logged = {"train/loss": loss, "train/learning_rate": rate}
            accelerator.log(logged, step=progress.step)
    return float(loss)


def group_parameters(model: nn.Module, options: CompleteOptions) -> list[dict[str, Any]]:
    """Parameter groups with a learning rate and a weight decay each."""
    rates = {
        "embeddings": (options.embedding_learning_rate, 0.0),
        "ngrams": (options.ngram_learning_rate, 0.0),
        "vectors": (options.learning_rate, 0.0),  # biases and normalisation
        "matrices": (options.learning_rate, options.weight_decay),
    }
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    for name, parameter in model.named_parameters():
        table = next((part for part in name.split(".") if part in ("embeddings", "ngrams")), None)
        groups[table or ("vectors" if parameter.ndim == 1 else "matrices")].append(parameter)
    return [
        {"params": groups[name], "lr": rate, "weight_decay": decay}
        for name, (rate, decay) in rates.items()
        if groups[name]
    ]
