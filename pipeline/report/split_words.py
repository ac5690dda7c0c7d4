"""The report's words for the images that scores are of: test, or, in a first answer, validation."""

import re
from typing import Final

# Phrases of sentences, tables and figures; a path of an image that has the word in it stays as it is.
_NOUNS: Final = "images?|labels|results?|scores?|accuracy|balanced|area|log loss|loss|AUC"
_PHRASES: Final = re.compile(rf"(?<![\w./-])[Tt]est(?=\s(?:{_NOUNS})\b)|(?<=\bon )test\b(?![./\w-])")


def with_split(text: str, split: str) -> str:
    """Return a page or a text in which scores are of `split`, where it is not test."""
    return (
        text
        if split == "test"
        else _PHRASES.sub(lambda found: split.capitalize() if found[0][0] == "T" else split, text)
    )
