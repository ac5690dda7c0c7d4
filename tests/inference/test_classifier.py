import base64

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.config.backbone_table import BACKBONES
from pipeline.config.recipe import Recipe
from pipeline.inference.classifier import Classifier
from pipeline.inference.network import Network, apply_view
from pipeline.network.build import save_model
from pipeline.network.cut import describe
from tests.support.pictures import saved, smooth

SIZE = 24


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
        "base64 as bytes": [base64.encodebytes(file) for file in files],
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


def test_a_file_that_consists_of_letters_and_digits_is_not_taken_for_base64(classifier):
    levels = " ".join(["200"] * SIZE * SIZE)
    plain = f"P2\n{SIZE} {SIZE}\n255\n{levels}\n".encode()
    expected = classifier.predict(np.full((1, SIZE, SIZE), 200, np.uint8))
    pd.testing.assert_frame_equal(classifier.predict([plain]), expected)


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
