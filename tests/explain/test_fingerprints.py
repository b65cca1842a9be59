"""Fingerprints change with what they are of."""

from PIL import Image

from hf_anchornet.explain.fingerprints import hash_input


def test_texts_and_images_have_hashes_that_change_with_each_character_and_pixel():
    image = Image.new("RGB", (4, 4), "red")
    other = image.copy()
    other.putpixel((1, 1), (254, 0, 0))
    hashes = [hash_input(one) for one in ("a", "b", "\ud800", image, other)]
    assert len(set(hashes)) == 5
    assert hash_input(image.copy()) == hash_input(image)


def test_an_image_of_another_shape_with_the_same_pixels_has_another_hash():
    assert hash_input(Image.new("RGB", (2, 8))) != hash_input(Image.new("RGB", (4, 4)))
