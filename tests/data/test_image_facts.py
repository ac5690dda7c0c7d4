import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.data.image_facts import examine, phash
from pipeline.inference.decoding import decode
from tests.support.pictures import saved, smooth


def facts(data, path="a.png", size=16):
    return examine(data, path, size, 10**6)[0]


def frames(form):
    first, second = (Image.fromarray(smooth(1, 8) // part) for part in (1, 2))
    return saved(first, form, save_all=True, append_images=[second])


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(smooth(), "JPEG", exif=exif)


def see_through():
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) // 32).convert("P")
    image.putpalette([90, 90, 90, 10, 10, 10])
    return saved(image, transparency=0)


PLAIN = Image.fromarray(smooth())
MARKED = {
    "nothing": (saved(smooth()), "a.png", ()),
    "a JPEG": (saved(smooth(), "JPEG"), "a.JPG", ()),
    "a JPEG of several pictures": (
        saved(smooth(), "MPO", save_all=True, append_images=[PLAIN]),
        "a.jpg",
        ("animated",),
    ),
    "an animated GIF": (frames("GIF"), "a.gif", ("animated", "palette")),
    "pages of a TIFF": (frames("TIFF"), "a.tif", ("animated",)),
    "an animated PNG": (frames("PNG"), "a.png", ("animated",)),
    "an animated WebP": (frames("WEBP"), "a.webp", ("animated",)),
    "colours of print": (saved(PLAIN.convert("CMYK"), "JPEG"), "a.jpeg", ("CMYK",)),
    "16 bits of grey": (saved(smooth(1).astype(np.uint16)), "a.png", ("16 bit",)),
    "a palette": (saved(PLAIN.quantize(16)), "a.png", ("palette",)),
    "a palette, partly transparent": (see_through(), "a.png", ("palette", "alpha")),
    "transparency": (saved(PLAIN.convert("RGBA")), "a.png", ("alpha",)),
    "grey and transparency": (saved(PLAIN.convert("LA")), "a.png", ("alpha",)),
    "turned": (turned(6), "a.jpg", ("rotated",)),
    "turned by nothing": (turned(1), "a.jpg", ()),
    "a PNG called JPEG": (saved(smooth()), "b/a.jpg", ("extension",)),
    "a suffix that says nothing": (saved(smooth()), "images.npy/0000001", ()),
}


@pytest.mark.parametrize("case", MARKED)
def test_what_is_unusual_about_a_file_is_marked(case):
    data, path, marks = MARKED[case]
    assert facts(data, path).marks == marks


def test_16_bits_of_colour_are_marked_though_pillow_reads_8():
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(2))
    data = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))  # fmt: skip
    assert facts(data).marks == ("16 bit",)


def test_content_size_and_colour_are_those_of_the_file_as_stored():
    data = saved(Image.fromarray(smooth(1)).resize((200, 300)), "JPEG")
    assert facts(data, size=8)[:4] == (hashlib.sha256(data).hexdigest()[:32], 200, 300, True)
    assert facts(saved(smooth()))[3] is False


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "RGB", "RGBA", "P", "CMYK"])
def test_pixels_are_those_that_decode_gives_whether_one_level_is_kept_or_three(mode):
    data = saved(smooth(1).astype(np.uint16) * 257 if mode == "I;16" else Image.fromarray(smooth()).convert(mode),
                 "TIFF" if mode == "CMYK" else "PNG")  # fmt: skip
    found, pixels = examine(data, "", 16, 10**6)
    assert pixels.shape[2] == (1 if found.grey else 3)
    for channels in (1, 3) if found.grey else (3,):
        assert np.array_equal(np.broadcast_to(pixels, (16, 16, channels)), decode(data, 16, channels))


BLANK = {
    "black": (saved(np.zeros((40, 40, 3), np.uint8)), "black all over"),
    "black, as a JPEG": (saved(np.zeros((40, 40), np.uint8), "JPEG"), "black all over"),
    "one colour": (saved(np.full((40, 40, 3), (1, 2, 3), np.uint8)), "one colour all over"),
    "16 bits of white": (saved(np.full((9, 9), 2**16 - 1, np.uint16)), "one colour all over"),
    "a pixel": (saved(np.full((1, 1), 7, np.uint8)), "a single pixel"),
    "transparent": (saved(np.dstack([smooth(), np.zeros((24, 24), np.uint8)])), "transparent all over"),
}


@pytest.mark.parametrize("case", BLANK)
def test_an_image_without_content_is_refused(case):
    data, how = BLANK[case]
    with pytest.raises(ValueError, match=rf"^has no content \({how}\)$"):
        facts(data)


def test_an_image_that_is_transparent_in_part_has_content():
    alpha = np.zeros((24, 24), np.uint8)
    alpha[:8] = 255
    assert facts(saved(np.dstack([smooth(), alpha]))).marks == ("alpha",)


def distance(one, other):
    return (one ^ other).bit_count()


@given(st.integers(0, 255))
def test_an_image_of_one_level_looks_like_no_other(level):
    assert phash(np.full((16, 16, 1), level, np.uint8)) == -1


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]), st.integers(4, 70))
def test_a_look_is_a_number_of_63_bits(seed, channels, side):
    assert 0 <= phash(np.random.default_rng(seed).integers(0, 256, (side, side, channels), dtype=np.uint8)) < 2**63


def blobs(seed, size=96):
    """A picture of few, large shapes."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("seed", range(8))
def test_copies_look_alike_and_other_images_do_not(seed):
    picture = blobs(seed)
    there = facts(saved(picture), size=64).phash
    copies = {
        "JPEG": saved(picture, "JPEG", quality=40), "larger": saved(picture.resize((300, 200))),
        "colour": saved(picture.convert("RGB")), "darker": saved(picture.point(lambda level: level * 0.8)),
    }  # fmt: skip
    for name, copy in copies.items():
        assert distance(there, facts(copy, size=64).phash) <= 6, name
    assert distance(there, facts(saved(blobs(seed + 100)), size=64).phash) >= 14


def test_the_look_is_the_same_at_other_sizes_but_for_a_few_bits():
    for seed in range(8):
        data = saved(blobs(seed))
        assert distance(facts(data, size=32).phash, facts(data, size=224).phash) <= 6
