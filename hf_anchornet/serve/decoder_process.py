"""Program that decodes image files for the server, within limits on its memory and time.

The server may end it at any time. It reads requests from its standard input and writes replies to
its standard output. A request is `REQUEST`, then the content of a file. A reply is `REPLY`, then
the message of an error or, for a decoded image, its pixels row by row, three bytes each.
"""

import os
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

if __name__ == "__main__":
    del sys.path[0]  # this folder, whose names would hide libraries
    # Importing the package itself would load torch, ten times the memory and time.
    package = ModuleType("hf_anchornet")
    package.__path__ = [str(Path(__file__).parents[1])]
    sys.modules["hf_anchornet"] = package

from PIL import Image

from hf_anchornet.model.image_arrays import BAND_PIXELS
from hf_anchornet.model.image_files import FORMATS, decode_image, open_file

REQUEST = struct.Struct("<cQ")
"""`MEASURE` or `DECODE`, and the number of bytes of the file."""

REPLY = struct.Struct("<cII")
"""`DONE` with width and height, or an error with the number of bytes of its message and 0."""

MEASURE, DECODE = b"M", b"D"
READY, DONE, REFUSED, NO_MEMORY = b"R", b"D", b"E", b"X"

CPU_MARGIN_S = 5
"""CPU seconds beyond the server's time limit after which the process ends without the server."""


def main(memory_bytes: int, seconds: int) -> None:
    """Answer requests until the input ends.

    Args:
        memory_bytes: Memory for an image, beyond that of the process at its start.
        seconds: Time limit of a request, as a bound on CPU time should the server be gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C
    Image.init()
    _limit_memory(memory_bytes)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    _reply(target, READY)
    while len(head := source.read(REQUEST.size)) == REQUEST.size:
        kind, num_bytes = REQUEST.unpack(head)
        content = source.read(num_bytes)
        if len(content) < num_bytes:
            return
        _limit_time(seconds + CPU_MARGIN_S)
        try:
            _answer(target, kind, content)
        except (OSError, ValueError) as error:
            message = str(error).encode(errors="replace")
            _reply(target, REFUSED, len(message), 0, message)
        except MemoryError:
            _reply(target, NO_MEMORY)


def _answer(target: BinaryIO, kind: bytes, content: bytes) -> None:
    with open_file(content, FORMATS) as (opened, name):
        if kind == MEASURE:
            _reply(target, DONE, *opened.size)
            return
        image = decode_image(opened, name)
    _reply(target, DONE, *image.size)
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        target.write(band.tobytes())
    target.flush()


def _reply(
    target: BinaryIO, kind: bytes, first: int = 0, second: int = 0, message: bytes = b""
) -> None:
    target.write(REPLY.pack(kind, first, second) + message)
    target.flush()


def _limit_memory(num_bytes: int) -> None:
    with suppress(ImportError, OSError, ValueError):  # not on Windows
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + num_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _limit_time(seconds: int) -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
