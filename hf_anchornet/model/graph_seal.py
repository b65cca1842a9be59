"""The seal of an exported ONNX graph: proof that this user made it from a model's weights.

A graph decides what is answered, and anybody who can replace the file beside the weights could
answer anything with it. A seal is an HMAC, under a secret key of this user, of the whole file and
of the model's fingerprint. It is the last entry of the graph's metadata, of fixed length, so it is
checked on the bytes, before anything parses them. A sealed graph is one file: whatever it refers to
is part of what was sealed, and `export_onnx` writes no external data.
"""

import hashlib
import hmac
import logging
import os
import secrets
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

SEAL = "anchornet_seal"
"""Key of the seal in a graph's metadata."""
KEY_FILE = "anchornet_graph_key"
"""File with the secret key, in the folder of `HF_HOME`."""
_KEY_BYTES = 32


def seal_graph(body: bytes, fingerprint: str) -> bytes:
    """A serialized graph with its seal.

    Args:
        body: A serialized `onnx.ModelProto` without external data.
        fingerprint: The fingerprint of the model that it was made from.
    """
    return body + _encode_seal(_sign(body, fingerprint))


def is_sealed(content: bytes, fingerprint: str) -> bool:
    """Whether the content of a file is a graph that this user made from this model."""
    length = len(_encode_seal(_sign(b"", "")))
    body, seal = content[:-length], content[-length:]
    return hmac.compare_digest(seal, _encode_seal(_sign(body, fingerprint)))


def _sign(body: bytes, fingerprint: str) -> str:
    graph = hashlib.sha256(body).hexdigest()
    return hmac.new(_read_key(), f"{fingerprint} {graph}".encode(), "sha256").hexdigest()


def _encode_seal(value: str) -> bytes:
    """An entry of `metadata_props`, field 14 of `ModelProto`, as protobuf appends one."""
    key, held = SEAL.encode(), value.encode()
    entry = bytes([0x0A, len(key)]) + key + bytes([0x12, len(held)]) + held
    return bytes([14 << 3 | 2, len(entry)]) + entry


@cache
def _read_key() -> bytes:
    """The secret key of this user, made at the first use."""
    cache_folder = Path(os.getenv("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    path = Path(os.getenv("HF_HOME", cache_folder), KEY_FILE).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{KEY_FILE}.{secrets.token_hex(8)}")
        if not path.exists():
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            try:
                os.link(partial, path)  # fails if another process was faster
            except FileExistsError:
                pass
            finally:
                partial.unlink()
        key = path.read_bytes()
        if len(key) == _KEY_BYTES:
            return key
        reason = f"it holds {len(key)} bytes instead of {_KEY_BYTES}"
    except OSError as error:
        reason = str(error)
    logger.warning(
        "the key of ONNX graphs in %s cannot be used (%s): graphs exported by this process are "
        "not recognised by others",
        path,
        reason,
    )
    return secrets.token_bytes(_KEY_BYTES)
