"""Random texts and pictures that are likely to break readers, as bytes."""

import io
from typing import Any

import numpy as np
from PIL import Image

TEXTS_IN_CASE = 16
SEPARATOR = "\x1e"  # between the texts of one input

ODD = (
    "\x00\t\r\n \u00a0\u3000\u200b\u200c\u200d\u2028\ufeff\ufffd.,!?'\u2019\u00b7\u05f4-"
    "\u0301\u0323\u0e31\u0e48\u093f\u094d\ufe0f\u20e3\U0001f3fd\U0001f1eb\U0001f1e9\U000e0067"
    "e\u00e9\u00df\u0130\ufb01\u1e9e\u0643\u0650\u05e9\u05c1\u7535\u5f71\u304c\u0e14\uac00\u1100"
    "\U0001f469\U0001f44d\u2764\U0001d54f\ud800\udfff\U0010ffff"
)
"""Blanks, joiners, marks, emoji, right-to-left and unspaced scripts, lone surrogates, NUL."""
COMMON = "the film was not good , bad it's a joy 3.5 I loved this one"

FORMATS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("L", "P", "RGB"),
    "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "F"),
    "WEBP": ("RGB", "RGBA"),
    "PPM": ("1", "L", "RGB"),
    "TGA": ("L", "P", "RGB", "RGBA"),
    "ICO": ("RGBA",),
    "PCX": ("1", "L", "P", "RGB"),
}
"""Pillow's modes to write in each file format."""


def draw_texts(rng: np.random.Generator) -> bytes:
    """Separated odd texts of word-breaking characters, common words and random code points."""
    words = COMMON.split()
    texts = []
    for _ in range(TEXTS_IN_CASE):
        parts = []
        for kind in rng.integers(0, 4, int(rng.integers(0, 9))).tolist():
            count = int(rng.integers(1, 6))
            if kind == 0:
                parts += [" ", str(rng.choice(words)), " "]
            elif kind == 1:
                parts += [ODD[i] for i in rng.integers(0, len(ODD), count).tolist()]
            elif kind == 2:
                parts += [chr(i) for i in rng.integers(0, 0x3000, count).tolist()]
            else:
                parts += [chr(int(rng.integers(0, 0x110000))) * count]
        texts.append("".join(parts))
    return SEPARATOR.join(texts).encode("utf-8", "surrogatepass")


def draw_picture(rng: np.random.Generator) -> bytes:
    """A file of a random format, mode and size, whole or damaged."""
    kind = str(rng.choice(list(FORMATS)))
    mode = str(rng.choice(FORMATS[kind]))
    width, height = (int(side) for side in rng.integers(1, 65, 2))
    noise = rng.integers(0, 256, (height, width), dtype=np.uint8)
    picture = Image.fromarray(noise)
    if mode == "LAB":  # Pillow converts colours only
        picture = picture.convert("RGB").convert("YCbCr")
    elif mode == "I;16":
        picture = Image.fromarray(noise.astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    options: dict[str, Any] = {}
    if kind in ("JPEG", "PNG", "WEBP", "TIFF") and rng.random() < 0.3:
        exif = Image.Exif()
        exif[0x0112] = int(rng.integers(0, 10))  # the orientation
        options["exif"] = exif
    if kind in ("GIF", "WEBP", "PNG", "TIFF") and rng.random() < 0.2:
        options |= {"save_all": True, "append_images": [picture] * 2}
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue() if rng.random() < 0.3 else damage(out.getvalue(), rng)


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with bytes changed, removed, repeated or cut off, mostly near the start."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        place = int(len(data) * rng.random() ** 3)
        kind, length = int(rng.integers(0, 6)), int(rng.integers(1, 9))
        if kind <= 1:
            data[place : place + 1] = bytes([int(rng.integers(0, 256))])
        elif kind == 2:
            value = bytes([int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))])
            data[place : place + length] = value * length
        elif kind == 3:
            del data[place : place + length]
        elif kind == 4:
            data[place:place] = data[place : place + length]
        elif rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def split_texts(data: bytes) -> list[str]:
    """The texts encoded by any bytes; bytes that are not UTF-8 become lone surrogates."""
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape")
    return text.split(SEPARATOR)[:64]
