"""Low-rank adapters to be trained instead of all weights of a classifier; see `model.adapters`."""

from typing import Any

from transformers import PreTrainedModel

from hf_anchornet.model.adapters import PACKAGED, find_packaged, is_adapted


def add_adapters(model: PreTrainedModel, rank: int) -> Any:
    """A model of which only low-rank adapters of all linear layers, and the head, are trained.

    Args:
        model: A classifier loaded from a checkpoint.
        rank: Rank of the change of each weight matrix.

    Returns:
        A `PeftModel`, which saves the adapters and the head alone.

    Raises:
        ImportError: if peft is not installed.
        ValueError: if the model is a checkpoint changed by adapters already.
    """
    if is_adapted(model.name_or_path):
        raise ValueError(
            f"`lora_rank` must be 0 for a `classifier` that is stored as adapters, got {rank} for "
            f"{model.name_or_path}; start from the checkpoint that they change."
        )
    try:
        from peft import LoraConfig, TaskType, get_peft_model
    except ImportError as error:
        raise ImportError(
            f"peft must be installed for `lora_rank`, got {rank}; run "
            "pip install 'hf-anchornet[minilm]', or leave it out."
        ) from error
    model.config.architectures = [type(model).__name__]
    adapters = LoraConfig(
        task_type=TaskType.SEQ_CLS, r=rank, lora_alpha=2 * rank, target_modules="all-linear"
    )
    learner = get_peft_model(model, adapters)
    # peft has put the model's path there.
    learner.active_peft_config.base_model_name_or_path = name_packaged(model.name_or_path or "")
    return learner


def name_packaged(source: str) -> str:
    """The Hub id of a checkpoint that was loaded from its package, otherwise `source`."""
    known = {find_packaged(checkpoint): checkpoint for checkpoint in PACKAGED}
    return known.get(source, source)
