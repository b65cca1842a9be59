"""Files that would cost Pillow gigabytes or minutes are refused by their headers, no others."""

import io
import struct
import time
import zlib

import pytest
from PIL import Image, PngImagePlugin

from hf_anchornet.model.image_files import open_image
from hf_anchornet.model.image_headers import check_headers


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def make_jpeg(parts=b"", scans=1, before=b""):
    """A progressive JPEG with segments before its image data and its last scan repeated."""
    raw = encode(Image.new("RGB", (16, 16), (90, 9, 9)), "JPEG", progressive=True)
    last = raw[raw.rindex(b"\xff\xda") : -2]
    return raw[:2] + before + parts + raw[2:-2] + last * (scans - 1) + b"\xff\xd9"


def make_segment(content, marker=0xE1):
    return b"\xff" + bytes([marker]) + struct.pack(">H", 2 + len(content)) + content


def make_png(chunks=b"", behind=b""):
    raw = encode(Image.new("RGB", (4, 4)), "PNG")
    return raw[:33] + chunks + raw[33:-12] + behind + raw[-12:]


def make_chunk(kind, content):
    data = kind + content
    return struct.pack(">L", len(content)) + data + struct.pack(">L", zlib.crc32(data))


def make_gif(blocks):
    raw = encode(Image.new("P", (4, 4)), "GIF")
    head = 13 + (3 * 2 ** ((raw[10] & 7) + 1) if raw[10] & 0x80 else 0)
    return raw[:head] + blocks + raw[head:]


def make_webp(chunks):
    body = encode(Image.new("RGB", (4, 4)), "WEBP")[12:]
    head = b"VP8X" + struct.pack("<LB3x", 10, 0b1100) + (3).to_bytes(3, "little") * 2
    content = b"WEBP" + head + body + chunks
    return b"RIFF" + struct.pack("<L", len(content)) + content


def make_tiff(extra, order="<", **changed):
    """A TIFF of 16 x 16 px, uncompressed, with more tags, each `(tag, type, count, value)`."""
    tags = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: 256}
    entries = [(tag, 4, 1, value) for tag, value in tags.items()] + list(extra)
    packed = b"".join(struct.pack(order + "HHLL", *entry) for entry in sorted(entries))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8 + 256)
    return head + b"\x80" * 256 + struct.pack(order + "H", len(entries)) + packed + bytes(4)


def make_exif(number, count):
    """An EXIF block whose tags all hold the whole block."""
    entries = [(0x9000 + n, 7, count, 8) for n in range(number)]
    packed = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", number) + packed + bytes(count)


COMMENT = b"\x21\xfe\x01a\x00"
HOSTILE = {
    "jpeg scans": (lambda: make_jpeg(scans=20_000), "at most 100 JPEG scans"),
    "jpeg segments": (
        lambda: make_jpeg(make_segment(b"Exif\0\0II*\0") * 50_000),
        "at most 1,000 segments",
    ),
    "jpeg segments behind an end": (
        lambda: make_jpeg(make_segment(b"Exif\0\0II*\0") * 50_000, before=b"\xff\xd9"),
        "at most 1,000 segments",
    ),
    "jpeg segments hidden in one that Pillow does not skip": (
        lambda: make_jpeg(make_segment(b"Exif\0\0II*\0") * 5_000, before=b"\xff\xf0\xff\xff"),
        "at most 1,000 segments",
    ),
    "jpeg metadata": (lambda: make_jpeg(make_segment(b"x" * 65_000) * 140), "at most 8,388,608 b"),
    "jpeg exif tags": (
        lambda: make_jpeg(make_segment(b"Exif\0\0" + make_exif(900, 50_000))),
        "bytes of TIFF or EXIF tags",
    ),
    "png chunks": (lambda: make_png(make_chunk(b"tEXt", b"a\0b") * 50_000), "at most 1,000 segm"),
    "png chunks behind the data": (
        lambda: make_png(behind=make_chunk(b"tEXt", b"a\0b") * 50_000),
        "at most 1,000 segments",
    ),
    "png data in empty parts": (
        lambda: make_png(behind=make_chunk(b"IDAT", b"") * 50_000),
        "parts of its data",
    ),
    "png frames": (lambda: make_png(behind=make_chunk(b"fcTL", bytes(26)) * 20_000), "10,000 fram"),
    "png metadata": (lambda: make_png(make_chunk(b"prVt", bytes(9_000_000))), "bytes of metadata"),
    "png exif tags": (
        lambda: make_png(make_chunk(b"eXIf", make_exif(900, 500_000))),
        "bytes of TIFF or EXIF tags",
    ),
    "png exif tags as text": (
        lambda: make_png(
            make_chunk(
                b"zTXt",
                b"Raw profile type exif\0\0"
                + zlib.compress(b"\nexif\n 1\n" + make_exif(900, 100_000).hex().encode()),
            )
        ),
        "bytes of TIFF or EXIF tags",
    ),
    "gif comments": (lambda: make_gif(COMMENT * 50_000), "at most 1,000 segments, chunks, blocks"),
    "gif comment of many parts": (
        lambda: make_gif(b"\x21\xfe" + b"\x01a" * 50_000 + b"\0"),
        "at most 1,000 segments",
    ),
    "gif extension of many parts": (
        lambda: make_gif(b"\x21\xff" + b"\x01a" * 500_000 + b"\0"),
        "parts of its data",
    ),
    "webp chunks": (lambda: make_webp((b"abcd" + bytes(4)) * 5_000), "at most 1,000 segments"),
    "webp frames": (lambda: make_webp((b"ANMF" + bytes(4)) * 20_000), "at most 10,000 frames"),
    "webp exif tags": (
        lambda: make_webp(b"EXIF" + struct.pack("<L", 10_810 + 500_000) + make_exif(900, 500_000)),
        "bytes of TIFF or EXIF tags",
    ),
    "tiff tags": (
        lambda: make_tiff([(1000 + n, 7, 90_000, 0) for n in range(8_000)]),
        "at most 1,000 TIFF or EXIF tags",
    ),
    "tiff bytes of few tags": (
        lambda: make_tiff([(1000 + n, 7, 500_000, 0) for n in range(900)]) + bytes(500_000),
        "bytes of TIFF or EXIF tags",
    ),
    "tiff bytes, big endian": (
        lambda: make_tiff([(1000 + n, 7, 500_000, 0) for n in range(900)], ">") + bytes(500_000),
        "bytes of TIFF or EXIF tags",
    ),
    "tiff tags of its exif directory": (
        lambda: make_tiff([(34665, 4, 1, 8 + 256 + 2 + 120 + 4)]) + make_exif(900, 500_000)[8:],
        "bytes of TIFF or EXIF tags",
    ),
    "tiff tile": (
        lambda: make_tiff([(322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 8)]),
        "at most 1,048,576 pixels in a TIFF tile",
    ),
    "tiff strips": (
        lambda: make_tiff([(273, 4, 100_000, 0)]) + bytes(400_000),
        "at most 1 strips or tiles",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_would_cost_gigabytes_or_minutes_is_refused_at_once(kind):
    make, message = HOSTILE[kind]
    content = make()
    started = time.process_time()
    with pytest.raises(ValueError, match=f"an image must have .*{message}"):
        open_image(content)
    assert time.process_time() - started < 1


def test_the_limit_names_the_file_and_the_remedy(tmp_path):
    path = tmp_path / "scans.jpg"
    path.write_bytes(make_jpeg(scans=101))
    with pytest.raises(ValueError, match=rf"JPEG scans, got more in {path}; save it again"):
        open_image(path)


def test_the_largest_file_is_bounded(monkeypatch):
    monkeypatch.setattr("hf_anchornet.model.image_headers.BYTES_LIMIT", 1000)
    with pytest.raises(ValueError, match="at most 1,000 bytes, got more in 1001 bytes"):
        open_image(bytes(1001))


def test_files_just_within_the_limits_are_opened():
    exif = Image.Exif()
    exif[0x0112] = 6
    parts = make_segment(b"Exif\0\0" + exif.tobytes()) + make_segment(b"x" * 65_000) * 100
    assert open_image(make_jpeg(parts, scans=90)).size == (16, 16)
    assert open_image(make_png(make_chunk(b"tEXt", b"a\0b") * 900)).size == (4, 4)
    assert open_image(make_gif(COMMENT * 450)).size == (4, 4)
    assert open_image(make_webp(b"XMP " + struct.pack("<L", 10**6) + bytes(10**6))).size == (4, 4)
    assert open_image(make_tiff([(1000 + n, 7, 4, 0) for n in range(900)])).size == (16, 16)


@pytest.mark.parametrize("size", [(1, 1), (300, 2), (640, 480)])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (
            "JPEG",
            {"quality": 100, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0", "comment": b"c" * 60_000},
        ),
        ("JPEG", {"progressive": True, "icc_profile": bytes(9_000)}),
        ("PNG", {"interlace": True}),
        ("PNG", {"save_all": True, "append_images": [Image.new("RGB", (1, 1))]}),
        ("GIF", {"comment": b"c" * 60_000, "save_all": True}),
        ("WEBP", {"exif": b"II*\0\x08\0\0\0\0\0", "xmp": b"x" * 9}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {"compression": "tiff_lzw", "tiffinfo": {270: "d" * 60_000}}),
        ("TIFF", {"compression": "jpeg"}),
        ("TIFF", {"big_tiff": True}),
    ],
)
def test_what_pillow_writes_is_opened(kind, options, size):
    image = Image.effect_noise(size, 90).convert("RGB")
    content = encode(image, kind, **options)
    assert open_image(content).size == size


def test_entropy_coded_data_are_no_scans():
    """A byte 0xFF in the data is followed by 0, restart markers by anything."""
    image = Image.effect_noise((400, 400), 200).convert("RGB")
    content = encode(image, "JPEG", quality=100, restart_marker_blocks=1)
    assert content.count(b"\xff") > 2000
    assert open_image(content).size == (400, 400)


def test_a_film_behind_a_photo_is_not_read():
    assert open_image(make_jpeg() + b"\xff\xda\0\2" * 1000).size == (16, 16)


def test_headers_are_found_at_the_borders_of_what_is_read_at_a_time():
    for length in range(65_500, 65_534):
        parts = make_segment(bytes(length))
        content = make_jpeg(parts)[:-2] + bytes(30) + b"\xff\xda\0\2" * 100 + b"\xff\xd9"
        with pytest.raises(ValueError, match="JPEG scans"):
            check_headers(io.BytesIO(content), "it")


def test_damaged_exif_data_do_not_matter():
    """Cameras write counts that reach beyond the end."""
    broken = b"II*\0\x08\0\0\0" + struct.pack("<HHHLL", 1, 0x9000, 7, 2**31, 9)
    assert open_image(make_jpeg(make_segment(b"Exif\0\0" + broken))).size == (16, 16)
    assert open_image(make_jpeg(make_segment(b"Exif\0\0II"))).size == (16, 16)


def test_text_chunks_of_a_png_are_read_over():
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "b" * 1000, zip=True)
    assert open_image(encode(Image.new("L", (4, 4)), "PNG", pnginfo=info)).size == (4, 4)


@pytest.mark.parametrize("cut", range(0, 120, 7))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_a_truncated_header_is_left_to_pillow(kind, cut):
    content = encode(Image.new("RGB", (4, 4)), kind)
    assert check_headers(io.BytesIO(content[:cut]), "it") in (kind, None)
