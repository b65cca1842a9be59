"""Limits on image files, checked before Pillow opens them.

Pillow reads all metadata of a file when it opens it, partly in time quadratic in their number, and
a decoder repeats its work as often as the file asks. So a file of a megabyte can take gigabytes or
minutes. The functions here only walk over the headers: linear in the size of the file, with a stop
at the first limit that is exceeded. Formats without a walker are bounded by their size alone.
"""

import re
import struct
from collections.abc import Callable
from contextlib import suppress
from io import SEEK_CUR, SEEK_END, BytesIO
from typing import Any, BinaryIO, NoReturn

BYTES_LIMIT = 2**30
"""Largest image file."""

SCANS_LIMIT = 100
"""Most scans of a JPEG; each may cost as much as decoding the whole image."""

PARTS_LIMIT = 1_000
"""Most JPEG segments, PNG and WebP chunks, GIF blocks and TIFF tags besides the image data."""

METADATA_LIMIT = 2**23
"""Most bytes of metadata: comments, profiles, EXIF, XMP."""

FRAMES_LIMIT = 10_000
"""Most frames of an animation; only the first is decoded."""

TILE_PIXELS_LIMIT = 2**20
"""Most pixels of a tile of a TIFF that is larger than its image."""

PART_BYTES = 128
"""Fewest bytes of compressed data in a part, on average, once there are `PARTS_LIMIT` parts."""

_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_BARE = frozenset([0x01, 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)])
"""JPEG markers that Pillow takes to have no length."""
_TAG_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TAG_SIZES |= {16: 8}
_TAG_NUMBERS = {3: "H", 4: "L", 13: "L", 16: "Q"}
_DIRECTORIES = (34665, 34853, 40965)
"""Tags that hold the place of another directory: EXIF, GPS, interoperability."""


class _Header:
    """A file with counts of what was found in it.

    Args:
        file: The file, open for reading.
        name: Name of the file in errors.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file = file
        self.name = name
        self.size = file.seek(0, SEEK_END)
        self.parts = self.data_parts = self.metadata = 0
        file.seek(0)

    def refuse(self, limit: int, what: str) -> NoReturn:
        """Raise the error for a file beyond a limit."""
        raise ValueError(
            f"an image must have at most {limit:,} {what}, got more in {self.name}; save it again "
            "without them."
        )

    def check(self, number: int, limit: int, what: str) -> None:
        """Refuse a number of something above its limit."""
        if number > limit:
            self.refuse(limit, what)

    def count_part(self, num_bytes: int) -> None:
        """Count one part that is not image data, and its bytes."""
        self.parts += 1
        self.metadata += num_bytes
        self.check(self.parts, PARTS_LIMIT, "segments, chunks, blocks or tags")
        self.check(self.metadata, METADATA_LIMIT, "bytes of metadata")

    def count_data(self) -> None:
        """Count one part of image data: tiny ones cost more than what they hold."""
        self.data_parts += 1
        self.check(self.data_parts, PARTS_LIMIT + self.size // PART_BYTES, "parts of its data")

    def skip(self, num_bytes: int) -> None:
        """Go forward."""
        self.file.seek(num_bytes, SEEK_CUR)

    def unpack(self, form: str) -> tuple[Any, ...]:
        """The next values; raises `EOFError` at the end of the file."""
        data = self.file.read(struct.calcsize(form))
        if len(data) < struct.calcsize(form):
            raise EOFError
        return struct.unpack(form, data)


def check_headers(file: BinaryIO, name: str) -> str | None:
    """The format of a file that has a walker here, `None` for others; leaves it at its start.

    Raises:
        ValueError: if a limit is exceeded, naming the limit and the file.
    """
    header = _Header(file, name)
    header.check(header.size, BYTES_LIMIT, "bytes")
    start = file.read(12)
    for kind, (pattern, walk) in _WALKERS.items():
        if pattern.match(start):
            file.seek(0)
            with suppress(EOFError):  # a truncated file, which Pillow reports
                walk(header)
            file.seek(0)
            return kind
    file.seek(0)
    return None


def check_exif(content: bytes, name: str) -> None:
    """Check the tags of an EXIF block, as `check_headers` checks those of a TIFF file."""
    header = _Header(BytesIO(content.removeprefix(b"Exif\0\0")), name)
    with suppress(EOFError):
        _Tags(header)


def _walk_jpeg(header: _Header) -> None:
    """Segments until the end of the image (ITU-T T.81, annex B)."""
    header.skip(2)
    scans = 0
    exif: list[bytes] = []
    while (marker := _find_marker(header)) is not None:
        if marker == 0xD9 and scans:
            break
        if marker in _BARE or marker < 0xC0:
            continue
        (length,) = header.unpack(">H")
        if marker == 0xDA:
            scans += 1
            header.check(scans, SCANS_LIMIT, "JPEG scans")
        else:
            header.count_part(length)
        content = header.file.read(max(0, length - 2))
        if marker == 0xE1 and content.startswith(b"Exif\0\0") and not scans:
            exif.append(content if not exif else content[6:])
    check_exif(b"".join(exif), header.name)


def _find_marker(header: _Header) -> int | None:
    """The next JPEG marker, behind which the file stands then; `None` at the end."""
    while block := header.file.read(2**16):
        found = _MARKER.search(block)
        if found:
            header.skip(found.end() - len(block))
            return found[1][0]
        if block.endswith(b"\xff") and len(block) > 1:
            header.skip(-1)
    return None


def _walk_png(header: _Header) -> None:
    """Chunks until the end of the image (PNG, section 5.3)."""
    header.skip(8)
    frames = 0
    while True:
        length, kind = header.unpack(">L4s")
        if kind == b"IEND":
            return
        if kind in (b"IDAT", b"fdAT"):
            header.count_data()
        elif kind == b"fcTL":
            frames += 1
            header.check(frames, FRAMES_LIMIT, "frames")
        else:
            header.count_part(length)
        header.skip(length + 4)


def _walk_gif(header: _Header) -> None:
    """Blocks before the first frame (GIF89a, section 15); Pillow reads no further."""
    header.skip(10)
    flags, _, _ = header.unpack("BBB")
    header.skip(3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    while True:
        (introducer,) = header.unpack("B")
        if introducer in b",;":
            return
        header.count_part(1)
        if introducer != 0x21:
            continue
        (kind,) = header.unpack("B")
        while length := header.unpack("B")[0]:
            if kind == 0xFE:  # Pillow joins the parts of comments one by one
                header.count_part(length)
            else:
                header.metadata += length
                header.count_data()
            header.skip(length)


def _walk_webp(header: _Header) -> None:
    """RIFF chunks (RFC 9649, section 2.3)."""
    header.skip(12)
    frames = 0
    while True:
        kind, length = header.unpack("<4sL")
        if kind == b"ANMF":
            frames += 1
            header.check(frames, FRAMES_LIMIT, "frames")
        elif kind not in (b"VP8 ", b"VP8L", b"ALPH"):
            header.count_part(length)
        header.skip(length + length % 2)


class _Tags:
    """The tags of a TIFF file or EXIF block, with those of the directories that Pillow reads too.

    Attributes:
        found: Count and first number of each tag of the first directory.
    """

    def __init__(self, header: _Header) -> None:
        self.header = header
        start = header.file.read(4)
        if len(start) < 4:
            raise EOFError
        self.large = start[2] == 43  # as Pillow tells BigTIFF from TIFF
        self.offset = ("<" if start[:2] == b"II" else ">") + ("Q" if self.large else "L")
        self.total = 0
        self.found: dict[int, list[tuple[int, int]]] = {}
        header.skip(4 if self.large else 0)
        self._walk(header.unpack(self.offset)[0], self.found)
        for tag in _DIRECTORIES:
            for _, place in list(self.found.get(tag, [])):
                with suppress(EOFError):
                    self._walk(place, {})

    def _walk(self, place: int, found: dict[int, list[tuple[int, int]]]) -> None:
        """Count the tags of a directory and their bytes (TIFF 6.0, section 2)."""
        header, order, inline = self.header, self.offset[0], struct.calcsize(self.offset)
        header.file.seek(place)
        (number,) = header.unpack(order + ("Q" if self.large else "H"))
        header.check(number, PARTS_LIMIT, "TIFF or EXIF tags")
        for _ in range(number):
            tag, kind, count = header.unpack(f"{order}HH{self.offset[1]}")
            value = header.file.read(inline)
            if len(value) < inline:
                raise EOFError
            self._count(count * _TAG_SIZES.get(kind, 0), struct.unpack(self.offset, value)[0])
            form, first = order + _TAG_NUMBERS.get(kind, "B"), 0
            if struct.calcsize(form) <= inline:
                (first,) = struct.unpack_from(form, value)
            found.setdefault(tag, []).append((count, first))

    def _count(self, size: int, offset: int) -> None:
        """Count the bytes of a value that stands elsewhere; many may stand at the same place."""
        header = self.header
        if size > struct.calcsize(self.offset):
            self.total += min(size, max(0, header.size - offset))
            most = min(4 * header.size, header.size + METADATA_LIMIT)
            header.check(self.total, most, "bytes of TIFF or EXIF tags for a file of its size")


def _walk_tiff(header: _Header) -> None:
    """The tags, and the tiles or strips against the size of the image."""
    tags = _Tags(header).found

    def read(tag: int, default: int) -> list[int]:
        return [first for _, first in tags.get(tag, [])] or [default]

    width, height = min(read(256, 0)), min(read(257, 0))
    tile_width, tile_height = max(read(322, 0)), max(read(323, 0))
    most = max(width * height, TILE_PIXELS_LIMIT)
    header.check(tile_width * tile_height, most, "pixels in a TIFF tile")
    samples = max(1, *read(277, 1))
    if 324 in tags:
        expected = -(-width // max(1, min(read(322, 1)))) * -(-height // max(1, min(read(323, 1))))
    else:
        expected = -(-height // max(1, min(read(278, height))))
    places = max(count for tag in (273, 324) for count, _ in tags.get(tag, [(0, 0)]))
    header.check(places, samples * max(1, expected), "strips or tiles, as its size asks for,")


_WALKERS: dict[str, tuple[re.Pattern[bytes], Callable[[_Header], None]]] = {
    "JPEG": (re.compile(rb"\xff\xd8\xff"), _walk_jpeg),
    "PNG": (re.compile(rb"\x89PNG\r\n\x1a\n"), _walk_png),
    "GIF": (re.compile(rb"GIF8[79]a"), _walk_gif),
    "TIFF": (re.compile(rb"(?:II|MM)(?:[*+]\x00|\x00[*+])", re.DOTALL), _walk_tiff),
    "WEBP": (re.compile(rb"RIFF....WEBP", re.DOTALL), _walk_webp),
}
"""By Pillow's name of the format: its first bytes, and the function that checks a file of it."""
