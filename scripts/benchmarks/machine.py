"""The machine that a benchmark runs on: its processor and a free port."""

import os
import platform
import re
import socket
from pathlib import Path


def describe_hardware(source: str | Path = "/proc/cpuinfo") -> str:
    """The processor's name and the number of logical processors.

    Args:
        source: Where Linux names the processor; without this file Python is asked.
    """
    content = Path(source).read_text("utf-8") if Path(source).exists() else ""
    found = re.search(r"model name\s*: (.+)", content)
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} processors"


def find_free_port() -> int:
    """A port that is free now; another process may take it before it is used."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
    return port
