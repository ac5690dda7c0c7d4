"""Images listed in labels.csv or labels.parquet: a column `path` (relative to the folder), a label, and any others."""

from pathlib import Path

import pandas as pd

from pipeline.common.errors import UserError

KIND = "a table of images"
NAMES = ("labels.csv", "labels.parquet")


def matches(root: Path) -> bool:
    """Say whether the folder is of this kind."""
    return any((root / name).is_file() for name in NAMES)


def read(root: Path) -> pd.DataFrame:
    """Read the table as text; raise UserError where it cannot be read, lacks `path`, or there are two."""
    files = [root / name for name in NAMES if (root / name).is_file()]
    if len(files) > 1:
        raise UserError(f"{root}: there are both {' and '.join(NAMES)}; keep one")
    file = files[0]
    try:
        table = _from_csv(file) if file.suffix == ".csv" else _from_parquet(file)
    except (ValueError, OSError, ImportError) as error:  # the base classes of pandas' and pyarrow's errors
        raise UserError(f"{file}: not a readable table: {str(error).splitlines()[0]}") from None
    if "path" not in table or table.empty:
        raise UserError(
            f"{file}: expected a column `path` and a row per image; found columns {', '.join(map(str, table))}"
        )
    twice = table["path"][table["path"].duplicated()]
    if len(twice):
        raise UserError(f"{file}: {twice.iloc[0]} is listed more than once ({len(twice)} such rows); keep one")
    return table


def _from_csv(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(f"{file}: some rows have more cells than there are columns: {', '.join(map(str, table))}")
    return table


def _from_parquet(file: Path) -> pd.DataFrame:
    table = pd.read_parquet(file, dtype_backend="pyarrow")  # keeps integers integers where some are missing
    named = [name for name in table.index.names if name is not None]
    table = table.reset_index() if named else table.reset_index(drop=True)
    # Missing cells become empty text, as in a CSV file.
    columns = {str(name): column.astype(object).map(str, na_action="ignore") for name, column in table.items()}
    return pd.DataFrame({name: column.where(column.notna(), "").astype(str) for name, column in columns.items()})
