import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.inference.decoding import decode, is_grey
from tests.support.pictures import SIZE, saved, smooth

LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "PPM": {}, "WEBP": {"lossless": True, "exact": True}}
UPRIGHT = {  # EXIF orientation -> what makes such an image upright
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("form", LOSSLESS)
def test_what_was_saved_without_loss_is_decoded_without_loss(form):
    assert np.array_equal(decode(saved(smooth(), form, **LOSSLESS[form]), SIZE, 3), smooth())


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_jpegs_are_decoded_in_their_colours(mode):
    wanted = smooth() if mode != "L" else np.repeat(smooth(1)[..., None], 3, 2)
    image = Image.fromarray(smooth() if mode != "L" else smooth(1)).convert(mode)
    found = decode(saved(image, "JPEG", quality=95), SIZE, 3)
    assert np.abs(found.astype(int) - wanted).mean() < 5


def test_palettes_are_looked_up():
    image = Image.fromarray(smooth()).quantize(16)
    assert image.mode == "P"
    assert np.array_equal(decode(saved(image), SIZE, 3), np.asarray(image.convert("RGB")))


def test_an_animation_shows_its_first_frame():
    frames = [Image.fromarray(np.full((SIZE, SIZE), level, np.uint8)) for level in (10, 200, 90)]
    for form in ("GIF", "TIFF"):
        animation = saved(frames[0], form, save_all=True, append_images=frames[1:])
        assert np.unique(decode(animation, SIZE, 1)).tolist() == [10]


def test_one_bit_is_black_or_white():
    bits = smooth(1) > 100
    assert np.array_equal(decode(saved(Image.fromarray(bits)), SIZE, 1)[..., 0], 255 * bits)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(form):
    assert np.array_equal(decode(saved(smooth(1).astype(np.uint16) * 257, form), SIZE, 1)[..., 0], smooth(1))


@given(st.integers(0, 65535))
def test_a_level_of_sixteen_bits_is_its_share_of_white_however_dark_the_image(level):
    found = decode(saved(np.full((4, 4), level, np.uint16)), 4, 1)
    assert abs(int(found[0, 0, 0]) - level / 257) <= 1


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_are_turned_upright_by_their_exif_tag(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(saved(smooth(), exif=exif), SIZE, 3)
    assert np.array_equal(found, UPRIGHT[orientation](smooth()))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (128, 178), (255, 100)])
def test_transparent_images_are_laid_on_white(mode, alpha, expected):
    image = Image.new("L", (8, 8), 100).convert(mode)
    image.putalpha(alpha)
    assert np.abs(decode(saved(image), 8, 3).astype(int) - expected).max() <= 1


def test_a_transparent_entry_of_a_palette_is_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([90, 90, 90, 10, 10, 10])
    image.putpixel((0, 0), 1)
    found = decode(saved(image, transparency=0), 8, 1)
    assert (found[0, 0, 0], found[7, 7, 0]) == (10, 255)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3]), st.integers(1, 30))
def test_any_shape_is_squeezed_to_a_square_of_the_size_asked_for(width, height, channels, size):
    found = decode(saved(np.full((height, width, 3), 77, np.uint8)), size, channels)
    assert (found.shape, found.dtype) == ((size, size, channels), np.uint8)
    assert np.unique(found).tolist() == [77]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b"path,label\na.png,1\n", "not a readable image"),
        (saved(smooth())[:-40], "not a readable image"),
        (saved(smooth(), "JPEG")[:-40], "not a readable image"),
        (saved(smooth(size=40)), "40x40 pixels are over the limit of 1000"),
    ],
    ids=["empty", "text", "part of a PNG", "part of a JPEG", "large"],
)
def test_what_is_no_image_or_too_large_is_refused(data, said):
    with pytest.raises(ValueError, match=said):
        decode(data, SIZE, 3, max_pixels=1000)


def test_the_same_is_said_of_the_same_bytes():
    said = set()
    for _ in range(2):
        with pytest.raises(ValueError, match="of no known format") as caught:
            decode(b"no image at all", 8, 3)
        said.add(str(caught.value))
    assert len(said) == 1
    assert "0x" not in said.pop()


def test_a_small_file_that_claims_to_be_huge_is_refused_unread():
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for side in (10_000, 60_000):  # beyond our limit, and beyond Pillow's own
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        with pytest.raises(ValueError, match=r"over the limit|not a readable image"):
            decode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""), SIZE, 1)


@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=5),
)
def test_damaged_files_are_decoded_or_refused_but_never_crash(form, kept, changes):
    data = bytearray(saved(smooth(), form))
    del data[int(kept * len(data)) + 1 :]
    for where, value in changes:
        data[int(where * (len(data) - 1))] = value
    with suppress(ValueError):
        assert decode(bytes(data), SIZE, 3, max_pixels=10_000).shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize(("mode", "grey"), [("1", 1), ("L", 1), ("LA", 1), ("I;16", 1), ("RGB", 0), ("RGBA", 0)])
def test_grey_files_are_known_from_their_header(mode, grey):
    with Image.open(io.BytesIO(saved(Image.new(mode, (4, 4))))) as image:
        assert is_grey(image) == bool(grey)


def test_floating_point_levels_are_refused_as_nobody_knows_where_white_is():
    with pytest.raises(ValueError, match="floating-point numbers; save it with 8 or 16 bits"):
        decode(saved(np.ones((4, 4), np.float32), "TIFF"), 4, 1)


def photo(mode="RGB", size=(1000, 700)):
    return Image.fromarray(smooth(size=64)).resize(size, Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_large_jpeg_is_decoded_small_and_shows_what_it_does_in_full(mode, orientation, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(photo(mode), "JPEG", quality=90, exif=exif)
    sizes = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, *how, **more: (sizes.append(self.size), resize(self, *how))[1]
    )
    small = decode(data, 32, 3).astype(int)
    monkeypatch.setattr(JpegImageFile, "draft", lambda self, mode, size: None)
    full = decode(data, 32, 3).astype(int)
    assert sorted(sizes[0]) == [88, 125]  # an eighth
    assert sorted(sizes[1]) == [700, 1000]
    assert np.abs(small - full).mean() < 1.5
    assert np.abs(small - full).max() < 25


@pytest.mark.parametrize("size", [175, 350, 700])
def test_a_jpeg_that_is_not_twice_as_large_is_decoded_as_it_is(size, monkeypatch):
    data = saved(photo(), "JPEG")
    found = decode(data, size, 3)
    monkeypatch.setattr(JpegImageFile, "draft", lambda self, mode, size: None)
    assert np.array_equal(found, decode(data, size, 3)) == (size > 175)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.98])
def test_half_a_large_jpeg_is_refused_though_it_would_be_decoded_small(cut):
    data = saved(photo(), "JPEG")
    with pytest.raises(ValueError, match="not a readable image"):
        decode(data[: int(cut * len(data))], 32, 3)


@pytest.mark.parametrize("side", [1, 8, 4000])
def test_images_of_8_to_4000_pixels_are_decoded(side):
    assert np.unique(decode(saved(np.full((side, side, 3), 9, np.uint8), "JPEG"), 128, 3)).tolist() == [9]
