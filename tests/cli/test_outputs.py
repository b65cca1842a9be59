"""Where a command writes: inputs and earlier files are safe."""

import pytest
from PIL import Image

from hf_anchornet.cli.main import main
from hf_anchornet.cli.outputs import write_parts


def fail_after(*parts):
    yield from parts
    raise ValueError("the third is bad")


def test_an_earlier_file_is_replaced_when_all_is_written(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("precious")
    write_parts(["a", "b"], page)
    assert page.read_text() == "ab"
    assert [*tmp_path.iterdir()] == [page]


def test_what_was_done_before_a_failure_is_kept_beside_an_earlier_file(tmp_path, capsys):
    page = tmp_path / "page.html"
    page.write_text("precious")
    with pytest.raises(ValueError, match="third"):
        write_parts(fail_after("a", "b"), page)
    assert page.read_text() == "precious"
    partial = tmp_path / "page.html.partial"
    assert partial.read_text() == "ab"
    assert f"what was done before is in {partial}" in capsys.readouterr().err
    with pytest.raises(ValueError, match="third"):
        write_parts(fail_after(), page)
    assert [*tmp_path.iterdir()] == [page]  # nothing was done


def test_a_link_and_a_device_stay_what_they_are(tmp_path):
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    page.write_text("old")
    link.symlink_to(page)
    write_parts(["new"], link)
    assert link.is_symlink()
    assert page.read_text() == "new"
    write_parts(["nothing"], tmp_path / "null")
    (tmp_path / "sink").symlink_to("/dev/null")
    write_parts(["nothing"], tmp_path / "sink")
    assert (tmp_path / "sink").is_symlink()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", "`--output` must be a file, got the folder"),
        ("missing/page.html", "`--output` must be in a folder that is there, got"),
        ("a.txt", "`--output` must not be one of the input files"),
    ],
)
def test_a_place_that_cannot_be_written_is_named_before_any_work(
    fake, tmp_path, capsys, output, message
):
    text = tmp_path / "a.txt"
    text.write_text("good")
    argv = ["localize", "--file", str(text), "--output", str(tmp_path / output)]
    assert main(argv) == 2
    assert message in capsys.readouterr().err
    assert text.read_text() == "good"
    assert fake.task is None  # no model was loaded


@pytest.mark.parametrize("form", ["png", "html", "text"])
def test_a_picture_is_never_written_over_an_input(fake, photo, capsys, form):
    assert main(["localize", "--image", photo, "--format", form, "--output", photo]) == 2
    assert "`--output` must not be one of the input files" in capsys.readouterr().err
    Image.open(photo).verify()


def test_pictures_in_a_folder_are_never_written_over_an_input(fake, photo, tmp_path, capsys):
    taken = tmp_path / "0001_0001_photo.png"
    Image.new("RGB", (20, 20)).save(tmp_path / "0001_photo.png")
    Image.new("RGB", (20, 20)).save(taken)
    before = taken.read_bytes()
    images = ["--image", str(tmp_path / "0001_photo.png"), "--image", photo, "--image", str(taken)]
    images[3] = str(tmp_path / "0001_photo.png")
    assert main(["localize", *images, "--format", "png", "--output", str(tmp_path)]) == 2
    assert "`--output` must not be one of the input files" in capsys.readouterr().err
    assert taken.read_bytes() == before


@pytest.mark.parametrize("name", ["missing.png", ".", "a" * 5000])
def test_an_input_that_is_missing_is_named_before_any_work(fake, photo, tmp_path, capsys, name):
    page = tmp_path / "page.html"
    argv = ["localize", "--image", photo, "--image", str(tmp_path / name), "--format", "html"]
    assert main([*argv, "--output", str(page)]) == 2
    assert "`--image` must be a file, got " in capsys.readouterr().err
    assert not page.exists()
    assert fake.task is None


def test_a_folder_for_several_pictures_is_no_file(fake, photo, capsys):
    argv = ["localize", "--image", photo, "--image", photo, "--format", "png", "--output", photo]
    assert main(argv) == 2
    assert "`--output` must be a folder for several images, got the file" in capsys.readouterr().err
