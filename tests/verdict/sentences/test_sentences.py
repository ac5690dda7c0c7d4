"""What holds of all sentences of the verdict."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.verdict.advice import advise
from tests.support.imports import PACKAGE
from tests.support.worlds import limits, measured, worlds

FILES = sorted((PACKAGE / "verdict" / "sentences").glob("*.py"))


@given(worlds(), limits(train_flops=st.none()))
def test_sentences_take_their_costs_from_the_comparison(compared, constraints):
    """A thousand times the cost is another prefix, and nothing else."""
    raw = compared.model_dump()
    for strategy in raw["strategies"].values():
        for costly in (strategy["cost"], *strategy["curve"]):
            costly["train_flops"] *= 1000
    dearer, timed = type(compared).model_validate(raw), measured(compared)
    before, after = (
        " ".join([*verdict.answers.model_dump().values(), *verdict.changes])
        for verdict in (advise(c, constraints, timed) for c in (compared, dearer))
    )
    prefix = {"M": "G", "G": "T", "T": "P", "billion": "trillion", "trillion": "quadrillion"}
    wanted = re.sub(r"(\d) ([MGT]) FLOPs", lambda m: f"{m[1]} {prefix[m[2]]} FLOPs", before)
    wanted = re.sub(r"(?<=training takes )(\S+) (\w+)", lambda m: f"{m[1]} {prefix[m[2]]}", wanted)
    assert after == wanted


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_number_of_a_sentence_is_typed(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    formats = [n.format_spec for n in ast.walk(tree) if isinstance(n, ast.FormattedValue)]
    texts = [f for f in ast.walk(tree) if isinstance(f, ast.JoinedStr) and f not in formats]
    typed = [p.value for f in texts for p in f.values if isinstance(p, ast.Constant)]
    assert [text for text in typed if re.search(r"\d", text)] == []
