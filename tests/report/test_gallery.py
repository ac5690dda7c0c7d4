import base64
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.report import gallery

CLASSES = ["ash", "oak", "yew"]


def table(rows, seeds=(1, 2)):
    """rows: {id: (label, probabilities)}, the same for each seed."""
    records = [
        {"split": split, "seed": seed, "id": name, "label": label, **dict(zip(("p_ash", "p_oak", "p_yew"), shares))}
        for split in ("valid", "test")
        for seed in seeds
        for name, (label, shares) in rows.items()
    ]
    return pd.DataFrame(records)


@pytest.fixture
def predictions():
    first = {"a": (0, (0.1, 0.9, 0)), "b": (0, (0, 0, 1)), "c": (1, (0, 0.6, 0.4)), "d": (2, (0, 0.8, 0.2))}
    second = {"a": (0, (0.4, 0.6, 0)), "b": (0, (0, 1, 0)), "c": (1, (0.1, 0.8, 0.1)), "d": (2, (0, 0.3, 0.7))}
    return {"x": table(first), "y": table(second)}


def ids(found, rows):
    return list(found.ids[rows])


def test_images_that_all_get_wrong_come_with_the_most_confident_first(predictions):
    found = gallery.answers(predictions)
    assert ids(found, gallery.all_wrong(found)) == ["b", "a"]


def test_images_that_they_say_different_things_of(predictions):
    found = gallery.answers(predictions)
    assert ids(found, gallery.disputed(found)) == ["b", "d"]


def test_answers_are_means_over_seeds_of_the_test_split_alone():
    tables = {"x": table({"a": (0, (0.9, 0.1, 0))}, seeds=[1])}
    second = table({"a": (0, (0, 0.6, 0.4))}, seeds=[2])
    tables["x"] = pd.concat([tables["x"], second[second["split"] == "test"]])
    tables["x"].loc[tables["x"]["split"] == "valid", ["p_ash", "p_yew"]] = (0, 1)
    found = gallery.answers(tables)
    assert found.said["x"].tolist() == [0]
    assert found.confidence["x"].tolist() == pytest.approx([0.45])


@given(st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_the_rows(rng):
    rows = {f"{n:02}": (n % 3, tuple(np.random.default_rng(n).dirichlet(np.ones(3)))) for n in range(12)}
    tables = {name: table(rows).assign(p_ash=lambda t, k=k: t["p_ash"] * k) for k, name in ((1, "x"), (3, "y"))}
    order = list(range(len(tables["x"])))
    rng.shuffle(order)
    mixed = {name: t.iloc[order] for name, t in reversed(tables.items())}
    one, other = gallery.answers(tables), gallery.answers(mixed)
    for choose in (gallery.all_wrong, gallery.disputed):
        assert ids(one, choose(one)) == ids(other, choose(other))
    assert gallery.patterns(one) == gallery.patterns(other)


def test_one_content_under_two_labels_counts_twice():
    both = pd.concat([table({"a": (0, (1, 0, 0))}), table({"a": (1, (1, 0, 0))})])
    found = gallery.answers({"x": both})
    assert (list(found.ids), found.labels.tolist(), found.right["x"].tolist()) == (["a", "a"], [0, 1], [True, False])


def test_every_image_is_in_one_combination_of_right_and_wrong(predictions):
    found = gallery.patterns(gallery.answers(predictions))
    assert {(tuple(row["right"].values()), row["images"]) for row in found} == {
        ((False, False), 2),
        ((True, True), 1),
        ((False, True), 1),
    }
    assert found[0]["images"] == 2
    short = gallery.patterns(gallery.answers(predictions), most=1)
    assert short[1] == {"right": None, "images": 2}


def test_a_card_tells_who_says_what(predictions):
    found = gallery.answers(predictions)
    card = gallery.card(3, found, CLASSES, None, {"d": "shots/d.png"})
    assert card["text"] == "Test image shots/d.png, labelled yew; x predicts oak (80 %); y predicts yew (70 %)"
    assert [a["right"] for a in card["answers"]] == [False, True]
    assert card["picture"] is None


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.mark.parametrize(
    ("shape", "size"), [((300, 300, 1), (160, 160)), ((40, 40, 3), (40, 40)), ((320, 160, 3), (80, 160))]
)
def test_thumbnails_are_small_and_keep_their_colours(shape, size):
    image = np.zeros(shape, np.uint8)
    image[..., 0] = 200
    with decoded(gallery.data_uri(image)) as picture:
        assert picture.size == size
        red = np.asarray(picture.convert("RGB"))[..., 0].mean()
    assert red == pytest.approx(200, abs=3)


def test_noise_is_a_jpeg_and_a_flat_image_a_png():
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    assert gallery.data_uri(noise).startswith("data:image/jpeg;base64,")
    assert gallery.data_uri(noise * 0).startswith("data:image/png;base64,")


def test_no_more_thumbnails_than_the_budget_pays_for():
    images = np.random.default_rng(0).integers(0, 256, (5, 50, 50, 1), dtype=np.uint8)
    size = max(len(gallery.data_uri(image)) for image in images)
    thumbnails = gallery.Thumbnails(images, "abcde", int(2.5 * size))
    made = [thumbnails.of(name) for name in "aabcde"]
    assert made[0] == made[1]
    assert sum(map(len, filter(None, made[1:]))) <= 2.5 * size
    assert [uri is None for uri in made] == [False, False, False, True, True, True]
    assert thumbnails.of("not there") is None
