"""Small image files that cost a careless reader gigabytes or minutes."""

import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

SIDE = 4_990
"""Side of the large images: just below the server's default limit of pixels."""


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """The content of a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def make_gif_of_comments(number: int = 200_000) -> bytes:
    """4 x 4 px with many comments of one byte."""
    raw = encode(Image.new("P", (4, 4)), "GIF")
    head = 13 + (3 * 2 ** ((raw[10] & 7) + 1) if raw[10] & 0x80 else 0)
    return raw[:head] + b"\x21\xfe\x01a\x00" * number + raw[head:]


def make_gif_of_one_comment(number: int = 500_000) -> bytes:
    """4 x 4 px with one comment in parts of one byte."""
    raw = encode(Image.new("P", (4, 4)), "GIF")
    head = 13 + (3 * 2 ** ((raw[10] & 7) + 1) if raw[10] & 0x80 else 0)
    return raw[:head] + b"\x21\xfe" + b"\x01a" * number + b"\x00" + raw[head:]


def make_tags(number: int, size: int) -> bytes:
    """The directory of a TIFF of 16 x 16 px whose private tags all hold the whole file."""
    tags = [(256, 4, 16), (257, 4, 16), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, 16), (279, 4, 256)]
    entries = [struct.pack("<HHLL", tag, kind, 1, value) for tag, kind, value in tags]
    entries += [struct.pack("<HHLL", 1000 + n, 7, size - 1, 0) for n in range(number)]
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
    return struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)


def make_tiff_of_tags(number: int = 8_000, padding: int = 0) -> bytes:
    """16 x 16 px with many tags that hold the same bytes."""
    size = 8 + 256 + 2 + 12 * (9 + number) + 4 + padding
    head = b"II*\0" + struct.pack("<L", 8 + 256) + b"\x80" * 256
    return head + make_tags(number, size) + bytes(padding)


def make_tiff_of_a_huge_tile() -> bytes:
    """16 x 16 px in a tile of 60,000 x 60,000 px."""
    tags = [(256, 4, 16), (257, 4, 16), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    tags += [(322, 4, 60_000), (323, 4, 60_000), (324, 4, 8), (325, 4, 256)]
    data = zlib.compress(bytes(256)).ljust(256, b"\0")
    entries = [struct.pack("<HHLL", tag, kind, 1, value) for tag, kind, value in tags]
    head = b"II*\0" + struct.pack("<L", 8 + 256) + data
    return head + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)


def make_jpeg_of_scans(number: int = 40_000, side: int = SIDE) -> bytes:
    """A progressive JPEG that repeats its smallest scan."""
    raw = encode(Image.new("RGB", (side, side), (90, 90, 90)), "JPEG", progressive=True, quality=50)
    starts = [n for n in range(len(raw) - 1) if raw[n : n + 2] == b"\xff\xda"]
    scans = [raw[a:b] for a, b in zip(starts, [*starts[1:], len(raw) - 2], strict=True)]
    return raw[:-2] + min(scans[1:], key=len) * number + b"\xff\xd9"


def make_jpeg_of_segments(number: int = 120_000) -> bytes:
    """A JPEG of 8 x 8 px whose EXIF data come in many parts."""
    raw = encode(Image.new("RGB", (8, 8)), "JPEG")
    part = b"\xff\xe1" + struct.pack(">H", 12) + b"Exif\0\0" + b"II*\0"
    return raw[:2] + part * number + raw[2:]


def make_png_of_chunks(number: int = 120_000) -> bytes:
    """A PNG of 4 x 4 px with many comments."""
    raw = encode(Image.new("RGB", (4, 4)), "PNG")
    data = b"tEXta\0b"
    chunk = struct.pack(">L", 3) + data + struct.pack(">L", zlib.crc32(data))
    return raw[:33] + chunk * number + raw[33:]


def make_png_of_exif() -> bytes:
    """A PNG of 4 x 4 px whose EXIF tags all hold the same bytes."""
    raw = encode(Image.new("RGB", (4, 4)), "PNG")
    data = b"eXIf" + make_tiff_of_tags(900, 1_900_000)
    chunk = struct.pack(">L", len(data) - 4) + data + struct.pack(">L", zlib.crc32(data))
    return raw[:33] + chunk + raw[33:]


MAKERS: dict[str, Callable[[], bytes]] = {
    "gif_comments": make_gif_of_comments,
    "gif_one_comment": make_gif_of_one_comment,
    "tiff_tags": make_tiff_of_tags,
    "tiff_few_tags_of_many_bytes": lambda: make_tiff_of_tags(900, 1_900_000),
    "tiff_tile": make_tiff_of_a_huge_tile,
    "jpeg_scans": make_jpeg_of_scans,
    "jpeg_scans_just_allowed": lambda: make_jpeg_of_scans(85),
    "jpeg_exif_segments": make_jpeg_of_segments,
    "png_chunks": make_png_of_chunks,
    "png_exif": make_png_of_exif,
    "png_large_transparent": lambda: encode(
        Image.new("RGBA", (SIDE, SIDE), (9, 9, 9, 9)), "PNG", compress_level=1
    ),
    "png_large_16_bit": lambda: encode(Image.new("I;16", (SIDE, SIDE), 9), "PNG", compress_level=1),
    "webp_large": lambda: encode(Image.new("RGB", (SIDE, SIDE), (9, 9, 9)), "WEBP", quality=1),
}
"""Content of a file by the name of its kind; the last four are large but otherwise honest."""
