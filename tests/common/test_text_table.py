import pytest

from pipeline.common.text_table import text_table


def test_columns_are_aligned_and_no_line_ends_in_spaces():
    assert text_table([("name", "value"), ("a", "1"), ("longer", "")]) == "name    value\na       1\nlonger"


def test_rows_that_lack_a_cell_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        text_table([("a", "b"), ("c",)])
