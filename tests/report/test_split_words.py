import pytest

from pipeline.report.split_words import with_split


@pytest.mark.parametrize(("text", "found"), [
    ("test accuracy, %", "validation accuracy, %"),
    ("3 of 9 test images; Test image 7", "3 of 9 validation images; Validation image 7"),
    ("<h3>Confusion on test</h3>", "<h3>Confusion on validation</h3>"),
    ("test balanced accuracy", "validation balanced accuracy"),
    ("the same seeds and test images,", "the same seeds and validation images,"),
])  # fmt: skip
def test_what_scores_are_of_is_named(text, found):
    assert with_split(text, "validation") == found
    assert with_split(text, "test") == text


@pytest.mark.parametrize("text", ["photos/test images/1.png", "a-test image", "latest images", "tested", "test.png"])
def test_other_words_and_paths_stay(text):
    assert with_split(text, "validation") == text
