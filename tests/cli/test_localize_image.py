"""Images on the command line: tables, JSON lines, pages and pictures."""

import json
from pathlib import Path

import pytest
from PIL import Image

from hf_anchornet.cli.main import main


def test_images_are_localized_by_the_shipped_model_in_their_order(fake, capsys, photo):
    assert main(["localize", "--image", photo, "--image", photo, "--top-k", "2"]) == 0
    assert fake.task == "patch-localization"
    assert fake.options == {"model": str(Path("shipped/images")), "top_k": 2}
    assert capsys.readouterr().out.count(f"{photo}: nut (97.0%), shown by 1 patch") == 2


def test_images_as_json_lines_carry_their_path(fake, capsys, photo):
    assert main(["localize", "--image", photo, "--format", "jsonl"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["image"] == photo
    assert record["patches"][0]["box"]["xmax"] == 12


def test_a_drawn_image_goes_to_a_file_and_several_to_a_folder(fake, capsys, photo, tmp_path):
    one, several = tmp_path / "one.png", tmp_path / "several"
    argv = ["localize", "--format", "png", "--image", photo]
    assert main([*argv, "--output", str(one)]) == 0
    assert fake.options["return_maps"] is True
    assert main([*argv, "--image", photo, "--output", str(several)]) == 0
    with Image.open(one) as drawn:
        assert drawn.format == "PNG"
    assert [path.name for path in sorted(several.iterdir())] == ["0000_photo.png", "0001_photo.png"]


def test_html_is_one_page_for_all_images(fake, capsys, photo, tmp_path):
    page = tmp_path / "page.html"
    argv = ["localize", "--image", photo, "--image", photo, "--format", "html"]
    assert main([*argv, "--output", str(page)]) == 0
    assert fake.options["return_maps"] is True
    html = page.read_text("utf-8")
    assert html.count("<!DOCTYPE html>") == html.count("</html>") == 1
    assert html.count(f">{photo}</h2>") == 2
    assert html.count('src="data:image/jpeg;base64,') == 4  # boxes and heat map of each
    assert main(argv) == 0
    assert capsys.readouterr().out == html


def test_an_image_is_read_larger_on_demand(fake, photo, tmp_path):
    drawn = ["--format", "png", "--output", str(tmp_path / "drawn.png")]
    assert main(["localize", "--image", photo, "--full-resolution", *drawn]) == 0
    assert fake.options["full_resolution"] is fake.options["return_maps"] is True
    assert main(["localize", "--image", photo, "--zoom", "3", *drawn]) == 0
    assert fake.options["zoom"] == 3
    assert "return_maps" not in fake.options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lines"], "`--lines` must not be given with `--image`"),
        (["--jsonl"], "`--jsonl` must not be given with `--image`"),
        (["--format", "png"], "`--format png` needs `--output`"),
        (["--max-tokens", "8"], "`--max-tokens` must not be given for patch-localization"),
        (["--unit", "word"], "an option for span-localization; leave it out"),
    ],
)
def test_options_that_do_not_go_with_images_are_refused(fake, capsys, photo, options, message):
    assert main(["localize", "--image", photo, *options]) == 2
    assert message in capsys.readouterr().err


def test_an_error_names_the_file_of_the_image(fake, monkeypatch, capsys, photo, tmp_path):
    def refuse(path):
        raise ValueError("item 1 of `inputs`: an image must be a picture, got another; save it.")

    localize = fake.localize_image
    other = tmp_path / "10.png"
    other.write_bytes(b"")
    answers = {photo: localize, str(other): refuse}
    monkeypatch.setattr(fake, "localize_image", lambda path: answers[path](path))
    assert main(["localize", "--image", photo, "--image", str(other)]) == 2
    shown = capsys.readouterr()
    assert shown.err == (
        f"anchornet: error: `--image` {other}: an image must be a picture, got another; save it.\n"
    )
    assert shown.out.startswith(f"{photo}: nut")
