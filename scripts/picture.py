"""The picture at the top of README.md: a shaded review beside a photo with its best patches."""

import argparse
import base64
import io
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

import hf_anchornet
from hf_anchornet.views.image_view import draw_panels
from hf_anchornet.views.text_view import render_html

WIDTH, HEIGHT = 1200, 400
TEXT = (
    "The comic scenes are dull, and the pacing belongs to another century. But the shadow climbing "
    "the stairs is still superb, the ending is brilliant and merciless, and I would recommend it "
    "to anyone who thinks that silent cinema is homework."
)
PAGE = """<!doctype html><meta charset="utf-8">
<style>
body {{ margin: 0; padding: 16px; box-sizing: border-box; width: {width}px; height: {height}px;
        display: grid; grid-template-columns: 1fr auto; gap: 32px; align-items: center;
        font: 21px/1.6 sans-serif; background: #ffffff; color: #222222; }}
details {{ display: none; }}
img {{ max-height: {inner}px; border-radius: 4px; }}
</style>
<div>{text}</div><img src="data:image/png;base64,{photo}">
"""


def make_page() -> str:
    """The page with both answers of the shipped models."""
    localize = hf_anchornet.load()
    text = render_html(TEXT, localize(TEXT, top_k=4), shares=True)
    localize = hf_anchornet.load(task="patch-localization")
    answer = localize(hf_anchornet.SAMPLE_IMAGE, top_k=3)
    photo = draw_panels(hf_anchornet.SAMPLE_IMAGE, answer)["boxes"]
    file = io.BytesIO()
    photo.save(file, "PNG")
    inner = HEIGHT - 32
    encoded = base64.b64encode(file.getvalue()).decode()
    return PAGE.format(width=WIDTH, height=HEIGHT, inner=inner, text=text, photo=encoded)


def main() -> None:
    """Write the picture; needs Chromium."""
    parser = argparse.ArgumentParser(prog="picture.py", description=__doc__)
    parser.add_argument("--output", default="model_cards/evidence.png", type=Path)
    output = parser.parse_args().output
    browser = shutil.which("chromium")
    if browser is None:
        parser.error("needs chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "page.html", Path(folder) / "shot.png"
        page.write_text(make_page(), "utf-8")
        flags = f"--headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir={folder}"
        size = [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}"]
        command = [browser, *flags.split(), *size, page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        Image.open(shot).convert("RGB").save(output, optimize=True)


if __name__ == "__main__":
    main()
