"""Pictures of every kind and shape."""

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from archsearch.readers import pictures
from archsearch.readers.pictures import map_quietly, resize, upright_size, why_broken


def decode(path, height, width):
    return pictures.decode(path.read_bytes(), height, width)


def test_resizing_keeps_the_aspect_and_pads_with_black():
    resized = resize(np.full((1, 4, 8, 1), 200, np.uint8), 8, 8)
    assert resized[0, :, 0, 0].tolist() == [0, 0, 200, 200, 200, 200, 0, 0]


def test_a_wide_picture_is_padded_above_and_below(tmp_path, picture):
    pixels = decode(picture(tmp_path / "1.png", 4, 16), 8, 8)
    assert pixels[:, 4].tolist() == [[0, 0, 0]] * 3 + [[200, 0, 0]] * 2 + [[0, 0, 0]] * 3


@pytest.mark.parametrize(("height", "width"), [(1, 500), (500, 1), (1, 1)])
def test_a_picture_of_one_line_still_has_a_line(tmp_path, height, width, picture):
    pixels = decode(picture(tmp_path / "1.png", height, width), 8, 8)
    assert pixels.shape == (8, 8, 3)
    assert pixels.max() == 200


def test_a_picture_is_turned_as_its_exif_data_say(tmp_path):
    image = Image.new("RGB", (16, 8), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 8, 8))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: left becomes top
    image.save(tmp_path / "1.jpg", exif=exif, quality=100)
    pixels = decode(tmp_path / "1.jpg", 16, 8)
    assert pixels[:7].min() > 250
    assert pixels[9:].max() < 5


def test_transparency_is_laid_on_white(tmp_path):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 8, 4))
    image.save(tmp_path / "1.png")
    pixels = decode(tmp_path / "1.png", 8, 8)
    assert pixels[3, 0].tolist() == [0, 0, 0]
    assert pixels[4, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, [255, 255, 255]),
        ("L", 77, [77, 77, 77]),
        ("LA", (10, 255), [10, 10, 10]),
        ("I;16", 0x8000, [128, 128, 128]),
        ("I;16", 0xFFFF, [255, 255, 255]),
        ("RGBA", (10, 20, 30, 255), [10, 20, 30]),
    ],
)
def test_every_kind_of_png_becomes_rgb(tmp_path, mode, value, expected):
    Image.new(mode, (8, 8), value).save(tmp_path / "1.png")
    assert decode(tmp_path / "1.png", 8, 8)[2, 5].tolist() == expected


def test_a_palette_and_its_transparent_colour_are_resolved(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.paste(1, (0, 0, 8, 4))
    image.save(tmp_path / "1.gif")
    image.save(tmp_path / "2.png", transparency=1)
    assert decode(tmp_path / "1.gif", 8, 8)[[0, 7], 0].tolist() == [[40, 50, 60], [10, 20, 30]]
    assert decode(tmp_path / "2.png", 8, 8)[[0, 7], 0].tolist() == [[255, 255, 255], [10, 20, 30]]


def test_a_picture_for_print_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "1.tif")
    assert decode(tmp_path / "1.tif", 8, 8)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("ending", ["bmp", "webp", "jpg", "tiff"])
def test_other_formats_are_read(tmp_path, ending, picture):
    pixels = decode(picture(tmp_path / f"1.{ending}", 16, 16, (0, 128, 0)), 8, 8)
    assert np.abs(pixels.astype(int) - [0, 128, 0]).max() <= 3


def test_a_large_photograph_keeps_its_halves(tmp_path):
    image = Image.new("RGB", (1600, 800), (255, 255, 255))
    image.paste((0, 0, 0), (800, 0, 1600, 800))
    image.save(tmp_path / "1.jpg")
    pixels = decode(tmp_path / "1.jpg", 8, 16)
    assert pixels[:, 6].min() > 250
    assert pixels[:, 9].max() < 5


def test_a_picture_that_lies_and_is_transparent_is_turned_first(tmp_path):
    image = Image.new("RGBA", (16, 8), (0, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 8, 8))  # left half blue, the rest clear
    exif = Image.Exif()
    exif[0x0112] = 8  # to be turned by 90 degrees against the clock: left becomes bottom
    image.save(tmp_path / "1.png", exif=exif)
    pixels = decode(tmp_path / "1.png", 16, 8)
    assert pixels[2, 3].tolist() == [255, 255, 255]
    assert pixels[13, 3].tolist() == [0, 0, 255]


def test_of_an_animation_the_first_picture_counts(tmp_path):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 0, 250)))
    first.save(tmp_path / "1.gif", save_all=True, append_images=[second])
    assert decode(tmp_path / "1.gif", 8, 8)[4, 4].tolist() == [250, 0, 0]


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICNS", "PPM"])
def test_a_kind_that_is_not_for_pictures_is_none_whatever_its_ending(tmp_path, kind):
    """Of PostScript PIL would start an interpreter."""
    path = tmp_path / "1.png"
    Image.new("RGB", (32, 32)).save(path, format=kind)
    with pytest.raises(UnidentifiedImageError, match="cannot identify") as caught:
        decode(path, 8, 8)
    assert why_broken(caught.value) == "no image"
    assert upright_size(path) is None


def test_a_large_picture_is_decoded_like_a_small_one(tmp_path, monkeypatch, picture):
    path = picture(tmp_path / "1.png", 10, 20, (1, 2, 3))
    small = decode(path, 8, 8)
    monkeypatch.setattr(pictures, "LARGE", 199)
    assert np.array_equal(decode(path, 8, 8), small)


@pytest.mark.parametrize("num_items", [0, 1, 63, 64, 65, 200])
def test_results_come_in_the_order_of_the_items(num_items):
    told = []
    results = map_quietly(lambda item: item**2, range(num_items), lambda *each: told.append(each))
    assert results == [item**2 for item in range(num_items)]
    assert told[-1:] == ([(num_items, num_items)] if num_items else [])


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (OSError("image file is truncated (5 bytes not processed)"), "image file is truncated (5 bytes not"),
        (ValueError(), "ValueError"),
        (SyntaxError("broken\n  PNG file"), "broken PNG file"),
    ],
)
def test_why_a_picture_is_broken_is_said_in_a_few_words(error, words):
    assert why_broken(error).startswith(words)
