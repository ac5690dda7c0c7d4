"""Images listed in `labels.csv`: a column `path` (relative to the folder), a label, and any others."""

from pathlib import Path

import pandas as pd

from pipeline.errors import UserError

NAME = "labels.csv"


def matches(root: Path) -> bool:
    """Say whether the folder is of this kind."""
    return (root / NAME).is_file()


def read(root: Path) -> pd.DataFrame:
    """Return the table as text; raise UserError for a table that cannot be read or lacks `path`."""
    file = root / NAME
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a readable table: {error}") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(f"{file}: some rows have more cells than there are columns: {', '.join(map(str, table))}")
    if "path" not in table or table.empty:
        raise UserError(
            f"{file}: expected a column `path` and a row per image; found columns {', '.join(map(str, table))}"
        )
    twice = table["path"][table["path"].duplicated()]
    if len(twice):
        raise UserError(f"{file}: {twice.iloc[0]} is listed more than once ({len(twice)} such rows); keep one")
    return table
