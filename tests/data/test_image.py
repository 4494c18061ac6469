"""Laws of images: they are resized as Pillow does it, whatever its version."""

import numpy as np
import pytest
from PIL import Image

from emotion_jax.data.image import in_color, read_photo, resize


@pytest.mark.parametrize("side", [5, 12, 24])
def test_resize_is_pillows_bilinear(side):
    image = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 1), dtype=np.uint8)
    resized = resize(image, side)
    assert resized.shape == (3, side, side, 1) and resized.dtype == np.uint8
    pillow = Image.fromarray(image[2, :, :, 0])
    expected = np.asarray(pillow.resize((side, side), Image.Resampling.BILINEAR))
    assert (resized[2, :, :, 0] == expected).all()


def test_tall_images_are_resized_across_and_then_down():
    """Whichever of the two this Pillow would do first."""
    image = np.random.default_rng(0).integers(0, 256, (1, 80, 50, 1), dtype=np.uint8)
    across = Image.fromarray(image[0, :, :, 0]).resize((48, 80), Image.BILINEAR)
    expected = np.asarray(across.resize((48, 48), Image.BILINEAR))
    assert (resize(image, 48)[0, :, :, 0] == expected).all()


def test_resize_to_the_same_side_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (2, 9, 9, 1), dtype=np.uint8)
    assert (resize(image, 9) == image).all()


def test_an_open_image_is_what_its_file_is_palette_rotation_and_all(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn
    few = Image.fromarray(rgb).quantize(16)
    few.save(tmp_path / "few.png", exif=turned)
    with Image.open(tmp_path / "few.png") as image:
        assert image.mode == "P"
        found = in_color(image)
    np.testing.assert_array_equal(found, read_photo(tmp_path / "few.png"))
    np.testing.assert_array_equal(found, np.rot90(np.asarray(few.convert("RGB")), -1))
