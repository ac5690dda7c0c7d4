import hashlib
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.data import readers
from pipeline.data.image_facts import ImageFacts
from pipeline.data.image_set import load
from pipeline.data.manifest import (
    check_labels,
    class_problems,
    copy_problems,
    facts_table,
    group_problems,
    printed,
    unusable,
    with_facts,
)
from tests.support.packing import index, pack

text = st.text(st.characters(codec="utf-8"), max_size=5)


def indexed(root, stratify=("camera",), label="label"):
    return index(root, readers.read(root), label, stratify)


def test_each_file_is_known_by_its_content_size_and_colour(image_folder):
    table = indexed(image_folder)
    first = table.iloc[0]
    data = (image_folder / first["path"]).read_bytes()
    assert first["id"] == hashlib.sha256(data).hexdigest()[:32]
    assert (first["width"], first["height"], first["grey"]) == (24, 24, True)
    assert table["id"].is_unique


def test_a_stratum_is_the_label_and_the_columns_asked_for(image_folder):
    assert set(indexed(image_folder)["stratum"]) == {"low/a", "low/b", "top/a", "top/b"}
    assert set(indexed(image_folder, stratify=())["stratum"]) == {"low", "top"}


def test_any_column_can_be_the_one_to_learn(image_folder):
    assert set(indexed(image_folder, (), "camera")["label"]) == {"a", "b"}


@pytest.mark.parametrize(("label", "stratify"), [("kind", ()), ("label", ("kind",))])
def test_a_missing_column_is_named_with_those_there_are(image_folder, label, stratify):
    with pytest.raises(UserError, match="no column 'kind'; there are path, label, camera"):
        indexed(image_folder, stratify, label)


@pytest.mark.parametrize("empty", ["", "  "])
def test_a_row_without_a_label_is_named(image_folder, empty):
    table = readers.read(image_folder)
    table.loc[3, "label"] = empty
    with pytest.raises(UserError, match=r"no label for 003\.png \(1 such rows\)"):
        index(image_folder, table, "label", ())


def test_bad_files_are_counted_and_three_of_each_reason_are_named(lay_out):
    root = lay_out()
    for number in range(12):
        (root / f"{number:03}.png").write_bytes(b"" if number < 11 else b"junk")
    with pytest.raises(UserError, match=r"12 file\(s\) cannot be used") as caught:
        indexed(root)
    assert str(caught.value).splitlines()[1:] == [
        "  000.png, 001.png, 002.png and 8 more: the file is empty",
        "  011.png: not a readable image (of no known format)",
        "  `uv run headstart check` writes a list of all of them",
    ]


def test_no_more_than_ten_reasons_are_named():
    said = unusable(Path("photos"), [(f"{n}.png", f"reason {n}") for n in range(11)])
    assert said.count(": reason") == 10
    assert said.endswith("list of all of them")
    assert "list" not in unusable(Path("photos"), [(f"{n}.png", f"reason {n}") for n in range(10)])


@pytest.mark.parametrize("name", ["stratum", "id", "width", "grey"])
def test_a_column_of_the_users_with_a_name_of_ours_gives_way(image_folder, name):
    table = readers.read(image_folder).assign(**{name: "theirs"})
    made = index(image_folder, table, "label", ())
    assert made.columns.is_unique
    assert "theirs" not in set(made[name])


@settings(max_examples=10)
@given(st.lists(st.tuples(text, text, text), min_size=1, max_size=8), st.sampled_from([(), ("a",), ("a", "b", "a")]))
def test_what_is_known_of_each_file_stands_beside_its_row(rows, stratify):
    table = pd.DataFrame(rows, columns=["kind", "a", "b"]).assign(path=[f"{n}.png" for n in range(len(rows))])
    facts = [ImageFacts(f"{n:032}", n + 1, 2**31 + n, n % 2 == 0, -1, ()) for n in range(len(rows))]
    made = with_facts(table, facts_table(iter(facts)), "kind", stratify)
    assert list(made) == ["id", "width", "height", "grey", "phash", "kind", "a", "b", "path", "label", "stratum"]
    assert list(made[["id", "width", "height", "grey"]].itertuples(index=False, name=None)) == [
        each[:4] for each in facts
    ]
    assert made["label"].tolist() == table["kind"].tolist()
    assert made["stratum"].tolist() == ["/".join(row[["kind", *stratify]]) for _, row in table.iterrows()]


def test_an_index_takes_few_bytes_for_each_image():
    count = 50_000
    table = pd.DataFrame({"path": [f"{n:07}.png" for n in range(count)], "label": "a", "camera": "b"})
    facts = (ImageFacts(f"{n:032}", 300, 300, True, n, ()) for n in range(count))
    tracemalloc.start()
    made = with_facts(table, facts_table(facts), "label", ("camera",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(made) == count
    assert peak / count < 400


def labelled(rows):
    return pd.DataFrame(rows, columns=["id", "label"]).assign(path=[f"{n}.png" for n in range(len(rows))])


def test_copies_with_different_labels_are_named_with_both():
    with pytest.raises(UserError, match=r"0\.png \(a\), 2\.png \(b\)"):
        check_labels(labelled([("x", "a"), ("y", "b"), ("x", "b")]), 0.5, 0.5)


def test_of_many_contradicting_copies_those_of_the_first_id_are_named():
    with pytest.raises(UserError, match=r"1\.png \(b\), 3\.png \(a\); 2 such image"):
        check_labels(labelled([("y", "a"), ("x", "b"), ("y", "b"), ("x", "a")]), 0.5, 0.5)


def test_one_class_alone_is_nothing_to_compare():
    with pytest.raises(UserError, match=r"label 'a'.*two classes or more"):
        check_labels(labelled([("x", "a"), ("y", "a")]), 0.5, 0.5)


def test_a_class_needs_as_many_different_images_as_the_fractions_say():
    rows = [(f"a{n}", "a") for n in range(20)] + [(f"b{n}", "b") for n in range(7)]
    check_labels(labelled(rows), 0.25, 0.2)
    with pytest.raises(UserError, match=r"'b' \(6\).*needs 7"):
        check_labels(labelled([*rows[:-1], rows[-2]]), 0.25, 0.2)


def test_packed_images_are_what_the_files_show(image_folder, tmp_path):
    table = indexed(image_folder)
    pack(image_folder, table, tmp_path, size=24)
    images = load(tmp_path)
    for number in (0, 17):
        assert (images.images[number, ..., 0] == np.asarray(Image.open(image_folder / table["path"][number]))).all()


def test_grey_images_can_be_packed_in_colour(image_folder, tmp_path):
    pack(image_folder, indexed(image_folder), tmp_path, grey=False)
    images = load(tmp_path).images
    assert images.shape == (48, 16, 16, 3)
    assert (images[..., :1] == images).all()


def test_the_digest_is_that_of_the_content_alone(image_folder, tmp_path):
    copy = shutil.copytree(image_folder, tmp_path / "elsewhere")
    (copy / "000.png").rename(copy / "renamed.png")
    text = (copy / "labels.csv").read_text().replace("000.png", "renamed.png")
    (copy / "labels.csv").write_text(text)
    moved = indexed(copy).sort_values("id")
    here = indexed(image_folder).sort_values("id")
    assert pack(copy, moved, tmp_path / "a") == pack(image_folder, here, tmp_path / "b")


@pytest.mark.parametrize("change", ["label", "stratum", "order", "size"])
def test_the_digest_changes_with(image_folder, tmp_path, change):
    table = indexed(image_folder)
    before = pack(image_folder, table, tmp_path / "before")
    if change in ("label", "stratum"):
        table.loc[0, change] = "other"
    if change == "order":
        table = table.iloc[::-1].reset_index(drop=True)
    assert pack(image_folder, table, tmp_path / "after", size=17 if change == "size" else 16) != before


def test_an_image_over_the_limit_is_named(image_folder):
    with pytest.raises(
        UserError, match=r"000\.png, 001\.png, 002\.png and 45 more: 24x24 pixels are over the limit of 500"
    ):
        index(image_folder, readers.read(image_folder), max_pixels=500)


@pytest.mark.parametrize(("path", "text"), [("a é.png", "a é.png"), ("a\nb", r"a\nb"), ("a\udcff", r"a\udcff")])
def test_a_path_is_one_line_of_text(path, text):
    assert printed(path) == text


def sided(rows):
    """A manifest of content, side and group; two labels, so many that none is too few."""
    known = [(f"{label}{n}", ("train", "test")[n // 20], f"{label}{n}", label) for label in "ab" for n in range(40)]
    rows = known + [(*row, "a") for row in rows]
    table = pd.DataFrame(rows, columns=["id", "split", "group", "label"])
    return table.assign(path=[f"{side}/{n}.png" for n, side in enumerate(table["split"])])


def test_a_sound_split_of_the_users_is_taken():
    check_labels(sided([("new", "valid", "g"), ("new", "train", "g")]), 0.25, 0.2)  # both are drawn anew


@pytest.mark.parametrize(("extra", "said"), [
    (("a3", "test", "new"), r"same image is on both.*: test/80\.png \(test\), train/3\.png \(train\); 1 such image"),
    (("new", "test", "a3"), r"same group is on both.*: test/80\.png \(test\), train/3\.png \(train\); 1 such group"),
    (("b25", "valid", "new"), r"different labels: test/65\.png \(b\), valid/80\.png \(a\)"),
])  # fmt: skip
def test_what_is_on_both_sides_of_the_users_split_is_named_with_both_files(extra, said):
    with pytest.raises(UserError, match=said):
        check_labels(sided([extra]), 0.25, 0.2)


def test_all_problems_are_found_with_as_many_examples_as_are_wanted():
    extra = [(f"a{n}", "test", "new") for n in range(12)] + [("b0", "train", "new")]
    table = sided(extra)
    found = [*copy_problems(table, 10), *group_problems(table, 10), *class_problems(table, 0.25, 0.02)]
    assert [text.split(":")[0] for text in found] == [
        "the same image has different labels", "the same image is on both sides of your split",
        "the same group is on both sides of your split", "too few different images for train and valid",
    ]  # fmt: skip
    assert found[1].count("(test)") == 10
    assert "12 such image(s)" in found[1]
    assert "needs 50" in found[3]


def test_of_a_split_that_is_given_only_train_and_valid_must_be_large_enough():
    table = sided([])
    with pytest.raises(UserError, match=r"train and valid: 'b' \(4\); with prepare\.valid_fraction 0\.2 each.*needs 5"):
        check_labels(table[~((table["label"] == "b") & table["id"].isin([f"b{n}" for n in range(16)]))], 0.01, 0.2)


def test_groups_cannot_be_stratified_by(image_folder):
    table = readers.read(image_folder).assign(group="g")
    with pytest.raises(UserError, match=r"prepare\.stratify names the column group"):
        index(image_folder, table, "label", ("group",))


def test_a_group_that_is_learned_is_parted(image_folder):
    table = readers.read(image_folder).rename(columns={"camera": "group"})
    assert "group" not in index(image_folder, table, "group", ())
    assert "group" in index(image_folder, table, "label", ())


def test_groups_change_the_digest(image_folder, tmp_path):
    table = indexed(image_folder)
    found = {pack(image_folder, each, tmp_path / "out")
             for each in (table, table.assign(group="g"), table.assign(group="h"))}  # fmt: skip
    assert len(found) == 3
    assert load(tmp_path / "out").groups.tolist() == [0] * 48


@pytest.mark.parametrize("wrong", ["", "0", "-1", "nan", "inf", "much"])
def test_a_weight_that_is_no_number_above_zero_is_named(image_folder, wrong):
    table = readers.read(image_folder).assign(weight="1.5")
    table.loc[[3, 5], "weight"] = wrong
    with pytest.raises(UserError, match=rf"each weight to be a number above 0, found 003\.png \('{wrong}'\) \(2 such"):
        index(image_folder, table, "label", ())


def test_weights_are_loaded_and_part_of_the_digest_whatever_way_they_are_written(image_folder, tmp_path):
    table, found = readers.read(image_folder), {}
    for name, weights in {
        "none": None,
        "ones": ["1"] * 48,
        "one": [" 1.0", *["1e0"] * 47],
        "two": ["2", *["1"] * 47],
    }.items():
        known = table if weights is None else table.assign(weight=weights)
        found[name] = pack(image_folder, index(image_folder, known, "label", ()), tmp_path / name)
    assert load(tmp_path / "none").weights is None
    assert load(tmp_path / "two").weights.tolist() == [2.0, *[1.0] * 47]
    assert found["ones"] == found["one"]
    assert len(set(found.values())) == 3


def test_weights_that_are_learned_weigh_nothing(image_folder):
    table = readers.read(image_folder).rename(columns={"camera": "weight"})
    assert "weight" not in index(image_folder, table, "weight", ())
