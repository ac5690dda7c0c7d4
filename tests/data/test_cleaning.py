import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.config.params import Prepare
from pipeline.data.cleaning import clean, refuse, similar_classes, tolerate
from pipeline.data.image_facts import ImageFacts

WANTED = Prepare(image_size=32, test_fraction=0.25, valid_fraction=0.2, seed=0)
LOOKS = np.random.default_rng(0).integers(0, 2**62, 200).tolist()  # all far from each other
FLAWS = ("broken", "unlabelled", "disputed", "copied", "alike")


def source(count=24, sides="train train train test", **columns):
    """A source's table of so many sound images, with what is known of each by its path."""
    names = [f"{n:03}.png" for n in range(count)]
    split = {"split": np.resize(sides.split(), count)} if sides else {}
    table = pd.DataFrame({"path": names, "label": np.resize(["a", "b"], count), **split, **columns})
    return table, {name: ImageFacts(f"{n:032x}", 9, 9, True, LOOKS[n], ()) for n, name in enumerate(names)}


def flawed(table, facts, flaws):
    """Add a row of each flaw, named after it; a disputed one adds its sound copy too."""
    rows, known = [], dict(facts)
    for number, flaw in enumerate(flaws):
        path, new = f"{flaw}{number}.png", ImageFacts(f"new{number}", 9, 9, True, LOOKS[-1 - number], ())
        row = {"path": path, "label": "a", "split": "train"}
        if flaw == "broken":
            new = "the file is empty"
        if flaw == "unlabelled":
            row["label"] = " "
        if flaw == "disputed":
            rows.append({"path": f"other-{path}", "label": "b", "split": "train"})
            known[f"other-{path}"] = new
        if flaw == "copied":
            row["label"], new = "b", facts["003.png"]  # of test
        if flaw == "alike":
            new = new._replace(phash=facts["007.png"].phash ^ 0b11)
        rows.append(row)
        known[path] = new
    added = pd.DataFrame(rows, columns=table.columns).astype(table.dtypes)
    return pd.concat([table, added]).sort_values("path", ignore_index=True), known


def used(table, facts, on_problem=refuse, **wanted):
    read = lambda paths: (facts[path] for path in paths)  # noqa: E731
    return clean(Path("raw"), table, "label", WANTED.model_copy(update=wanted), read, on_problem)


@given(st.lists(st.sampled_from(FLAWS), max_size=5))
def test_what_is_left_is_what_a_source_without_the_flaws_would_give(flaws):
    table, facts = source(60)  # five that look alike are less than a tenth
    found = used(*flawed(table, facts, flaws), tolerate)
    pd.testing.assert_frame_equal(found.table, used(table, facts).table)
    left = set(found.listing()["path"])
    assert len(left) == len(found.excluded) == len(flaws) + flaws.count("disputed") == sum(found.kinds.values())
    assert not left & set(table["path"])


@pytest.mark.parametrize(("flaw", "said", "reason"), [
    ("broken", r"1 file\(s\) cannot be used.*on_problem: exclude\):\n  broken0.png: the file is empty",
     "cannot be used: the file is empty"),
    ("unlabelled", r"no label for unlabelled0\.png \(1 such rows\)", "no label"),
    ("disputed", r"different labels: disputed0\.png \(a\), other-disputed0\.png \(b\); 1 such",
     "copies with different labels: disputed0.png (a), other-disputed0.png (b)"),
    ("copied", r"same image is on both sides of your split: 003.png \(test\), copied0.png \(train\)",
     "a copy is a test image of your split: 003.png"),
    ("alike", r"alike0\.png looks like a test image of your split: 007\.png \(1 such image.*null",
     "looks like a test image of your split: 007.png"),
])  # fmt: skip
def test_each_flaw_stops_the_run_or_is_listed_with_its_reason(flaw, said, reason):
    made = flawed(*source(), [flaw])
    with pytest.raises(UserError, match=said):
        used(*made)
    listed = used(*made, tolerate).listing().set_index("path")["reason"]
    assert listed[f"{flaw}0.png"] == reason


def test_what_leaving_out_cannot_mend_is_an_error_all_the_same():
    table, facts = source()
    for wrong, said in ((table.rename(columns={"label": "kind"}), "no column 'label'"),
                        (table.assign(group="g"), "same group is on both sides")):  # fmt: skip
        with pytest.raises(UserError, match=said):
            used(wrong, facts, tolerate)
    with pytest.raises(UserError, match=r"none of 24 image.*000\.png: cannot be used: gone"):
        used(table, dict.fromkeys(facts, "gone"), tolerate)


def chained(facts, *rows):
    """Make each of these images two bits different from the one before."""
    names = list(facts)
    for before, after in pairwise(rows):
        facts[names[after]] = facts[names[after]]._replace(phash=facts[names[before]].phash ^ (3 << after % 60))


def test_near_duplicates_are_one_group_named_by_content():
    table, facts = source(40, "")
    chained(facts, 7, 4, 20)
    chained(facts, 30, 31)
    group = used(table, facts).table["group"]
    assert group[4] == group[7] == group[20] == facts["004.png"].id
    assert group[30] == group[31] != group[29]
    assert group.nunique() == 37
    assert "group" not in used(table, facts, near_duplicate_bits=1).table  # none is that near
    assert "group" not in used(table, facts, near_duplicate_bits=None).table


def test_groups_of_the_user_are_merged_where_they_share_near_duplicates():
    table, facts = source(40, "", group=[f"patient{n // 4}" for n in range(40)])
    chained(facts, 3, 39)
    group = used(table, facts).table["group"]
    assert set(group[[0, 3, 36, 39]]) == {"patient0"}
    assert group.nunique() == 9
    assert (group[4:36] == table["group"][4:36]).all()


def test_near_duplicates_of_which_there_are_too_many_are_ignored_and_this_is_noted():
    table, facts = source(40, "")
    chained(facts, *range(5))
    chained(facts, 30, 31)
    found = used(table, facts)
    assert found.table["group"].nunique() == 39
    assert found.notes[1].startswith("5 images look so much alike")
    assert found.notes[0].startswith("2 images are near duplicates, in 1 groups")
    chained(facts, 4, 5, 6)  # and where the hash tells nothing, no image is left out for it
    sided = table.assign(split=np.resize(["train", "test"], 40))
    assert set(used(sided, facts, tolerate).listing()["path"]) == {"030.png"}


def test_near_duplicates_with_different_labels_are_listed():
    table, facts = source(40, "")
    chained(facts, 6, 9)
    chained(facts, 10, 12)
    (_, note) = used(table, facts).notes
    assert note.startswith("1 pair(s) of near duplicates have different labels")
    assert "006.png (a), 009.png (b)" in note


def test_special_files_are_counted_where_they_are_used():
    table, facts = source()
    facts["001.png"] = facts["001.png"]._replace(marks=("CMYK", "rotated"))
    facts["002.png"] = facts["002.png"]._replace(marks=("CMYK",))
    assert used(table, facts).marks == {"CMYK": 2, "rotated": 1}


@pytest.mark.parametrize("on_problem", [refuse, tolerate])
def test_a_class_that_is_lost_altogether_is_an_error(on_problem):
    table, facts = source(60, "", label=np.repeat(["a", "b", "c"], 20))
    for path in table["path"][40:]:
        facts[path] = facts["000.png"]  # copies of an image of another class
    with pytest.raises(
        UserError, match=r"no image of 'c' \(20\) can be used" if on_problem is tolerate else "different labels"
    ):
        used(table, facts, on_problem)


@pytest.mark.parametrize(("names", "said"), [
    (["Fish", "fish"], "'Fish' (12), 'fish' (12)"),
    (["cat", " cat"], "' cat' (12), 'cat' (12)"),
    (["sea  lion", "Sea lion"], "'Sea lion' (12), 'sea  lion' (12)"),
    (["\u00e9t\u00e9", "e\u0301te\u0301"], "'e\u0301te\u0301' (12), '\u00e9t\u00e9' (12)"),
])  # fmt: skip
def test_classes_that_differ_in_case_or_spaces_stop_the_run_and_can_be_let_pass(names, said):
    table, facts = source(24, "", label=np.resize(names, 24))
    with pytest.raises(UserError, match=re.escape(f"differ only in case or spaces: {said}; use")):
        used(table, facts)
    assert next(similar_classes(used(table, facts, tolerate).table)).endswith(said)


@pytest.mark.parametrize("names", [["A", "a"], ["cat", "dog"], ["1", "01"]])
def test_single_letters_and_other_names_are_different_classes(names):
    table, facts = source(24, "", label=np.resize(names, 24))
    assert used(table, facts).table["label"].nunique() == 2
