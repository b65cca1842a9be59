"""Tar shards of pictures, as WebDataset lays them out."""

import io
import json
import tarfile

from PIL import Image


def make_red(number):
    """8 px of a red that is the number."""
    return Image.new("RGB", (8, 8), (number, 0, 0))


def write_tar(path, numbers, describe, paint=make_red):
    """A picture of each number, with what `describe` gives of it: extension and content."""
    with tarfile.open(path, "w") as archive:
        for number in numbers:
            picture = io.BytesIO()
            paint(number).save(picture, "png")
            extension, content = describe(number)
            for end, data in (("png", picture.getvalue()), (extension, content)):
                entry = tarfile.TarInfo(f"{number:05d}.{end}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))


def number(row):
    return "cls", str(row % 2).encode()


def describe(row):
    return "json", json.dumps({"label": "rb"[row % 2], "size": [8, 8]}).encode()
