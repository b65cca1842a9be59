"""Fingerprints of models and inputs: hashes that change with anything that an answer depends on."""

import hashlib
import json
from typing import Any

from PIL import Image

from hf_anchornet.model.classifier import count_readable_tokens
from hf_anchornet.model.export_onnx import fingerprint


def hash_model(model: Any, processor: Any) -> str:
    """A hash of weights, settings, labels and preprocessing.

    The tokenizer or image processor must be unused: using a tokenizer may change its state.
    """
    fields = model.config.to_dict()
    chosen = [fields.get(name) for name in ("id2label", "problem_type", "reading_scales")]
    if hasattr(processor, "to_json_string"):
        preprocessing = processor.to_json_string()
    else:
        # How much of a text is read, which the tokenizer itself does not say.
        reads = [count_readable_tokens(model, processor), processor.truncation_side]
        preprocessing = json.dumps([processor.backend_tokenizer.to_str(), reads])
    content = json.dumps([fingerprint(model), chosen, preprocessing], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def hash_input(item: str | Image.Image) -> str:
    """A hash of a text, or of the pixels of an upright RGB image."""
    if isinstance(item, str):
        return hashlib.sha256(item.encode("utf-8", "surrogatepass")).hexdigest()
    return hashlib.sha256(f"{item.size} ".encode() + item.tobytes()).hexdigest()
