import base64
import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.catalog import BACKBONES
from pipeline.models import save_model
from pipeline.network import describe
from pipeline.recipe import Recipe
from pipeline.serving import Classifier, Network, apply_view, decode, is_grey

SIZE = 24
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


def smooth(channels=3, size=SIZE):
    """Return an image (size, size[, 3]) whose corners differ and whose levels change slowly."""
    ramp = np.linspace(0, 255, size)
    red, green = np.meshgrid(ramp, ramp)
    pixels = np.stack([red, green, (red + 2 * green) / 3], 2).astype(np.uint8)
    return pixels if channels == 3 else pixels[..., 2]


def saved(image, form="PNG", **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, form, **options)
    return file.getvalue()


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
    assert is_grey(saved(Image.new(mode, (4, 4)))) == bool(grey)


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def classifier(request, tmp_path_factory):
    """A network with random weights, served as a trained one would be."""
    recipe = Recipe(backbone="compact", weights="random", cut="input", image_size=32, epochs=1, learning_rate=0.1)
    views = ("identity", "hflip")
    spec = describe(recipe, BACKBONES["compact"], ("low", "top", "none"), SIZE, request.param, views)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    save_model(Network(spec), spec, folder)
    return Classifier(folder)


@pytest.fixture
def images(classifier):
    """Seven images as one array, (7, SIZE, SIZE) of grey ones and (7, SIZE, SIZE, 3) of colour."""
    channels = classifier.spec["channels"]
    found = np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE, channels), dtype=np.uint8)
    return found if channels == 3 else found[..., 0]


def test_every_way_to_give_images_gives_the_same_answer(classifier, images):
    files = [saved(image) for image in images]
    text = [base64.b64encode(file).decode() for file in files]
    expected = classifier.predict(images)
    ways = {
        "bytes": files,
        "bytearrays": [bytearray(file) for file in files],
        "base64": text,
        "base64 in lines": [base64.encodebytes(file).decode() for file in files],
        "base64 with other spaces": [f"  {t[:9]}\t{t[9:40]}\r\n{t[40:]}\n" for t in text],
        "a column": pd.DataFrame({"number": range(7), "image": files}),
        "the only column": pd.DataFrame({"anything": text}),
        "a series": pd.Series(files),
        "a list of arrays": list(images),
        "an array of objects": np.array(files, dtype=object),
        "wider integers": images.astype(np.int64),
        "a channel axis": images.reshape(7, SIZE, SIZE, -1),
        "mixed": [files[0], text[1], images[2], *files[3:]],
    }
    for way, given_so in ways.items():
        pd.testing.assert_frame_equal(classifier.predict(given_so), expected, obj=way)


def test_a_single_image_is_a_batch_of_one(classifier, images):
    file = saved(images[0])
    for single in (file, base64.b64encode(file).decode()):
        pd.testing.assert_frame_equal(classifier.predict(single), classifier.predict([file]))


def test_the_answer_names_the_likeliest_class_and_all_probabilities(classifier, images):
    table = classifier.predict(images)
    assert list(table) == ["label", "probability", "p_low", "p_top", "p_none"]
    each = table[["p_low", "p_top", "p_none"]].to_numpy()
    np.testing.assert_allclose(each.sum(1), 1)
    assert list(table["probability"]) == each.max(1).tolist()
    assert list(table["label"]) == [("low", "top", "none")[i] for i in each.argmax(1)]
    assert len(np.unique(each[:, 0])) == 7


def test_the_number_of_images_at_a_time_does_not_matter(classifier, images):
    many = np.concatenate([images] * 10)  # more than one batch
    together = classifier.predict(many)
    alone = pd.concat([classifier.predict(many[i : i + 1]) for i in range(7)] * 10, ignore_index=True)
    pd.testing.assert_frame_equal(together, alone, rtol=1e-4)


def test_the_answer_is_the_mean_over_the_views(classifier, images):
    flipped = np.ascontiguousarray(np.flip(images, 2))
    pd.testing.assert_frame_equal(classifier.predict(images), classifier.predict(flipped), rtol=1e-5)
    batch = torch.from_numpy(images.reshape(7, SIZE, SIZE, -1)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        shown = [classifier.network(apply_view(batch, view)).softmax(1) for view in ("identity", "hflip")]
    np.testing.assert_allclose(classifier.predict(images)["p_low"], (shown[0] + shown[1])[:, 0] / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("not base64!", "text must be the base64 of an image file"),
        (base64.b64encode(saved(smooth())).decode().replace("A", "A!", 1), "text must be the base64"),
        (base64.encodebytes(saved(smooth())).decode()[:-3], "text must be the base64"),
        ("é", "text must be the base64"),
        (" \n", "the file is empty"),
        (base64.b64encode(b"hello").decode(), "not a readable image"),
        (b"", "the file is empty"),
        (b"hello", "not a readable image"),
        (None, "uint8"),
        (np.zeros((4, 4)), "uint8, found float64"),
        (np.full((4, 4), 300), "uint8, found int64"),
        (np.full((4, 4), -1), "uint8, found int64"),
        (np.zeros((4, 4, 2, 2), np.uint8), ""),
        (np.zeros((0, 4), np.uint8), ""),
        (np.zeros(4, np.uint8), ""),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_read_is_named_by_its_position(classifier, images, bad, said):
    with pytest.raises(ValueError, match=f"^image 1: .*({said})"):
        classifier.predict([saved(images[0]), bad, saved(images[2])])


@pytest.mark.parametrize("nothing", [[], pd.DataFrame({"image": []}), np.zeros((0, 4, 4), np.uint8)], ids=type)
def test_no_images_at_all_is_a_mistake(classifier, nothing):
    with pytest.raises(ValueError, match="no images"):
        classifier.predict(nothing)
