"""Studies in files of their own."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from pipeline.search.study import open_study
from tests.support.searching import ROW, SEARCH, evaluate, recorded, reopen, tune


@pytest.fixture(scope="module", autouse=True)
def _databases_do_not_wait_for_the_disk():
    def hurry(connection, record):
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", hurry)
    yield
    event.remove(Engine, "connect", hurry)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A study's database with its tables made and no trial in it."""
    path = tmp_path_factory.mktemp("optuna") / "optuna.db"
    open_study(path, "a study")
    return path


@pytest.fixture
def fresh(empty, tmp_path):
    """A function that opens a study in a new file."""
    numbers = iter(range(100))
    return lambda: reopen(Path(shutil.copy(empty, tmp_path / f"{next(numbers)}.db")))


@pytest.fixture(scope="module")
def uninterrupted(empty, tmp_path_factory):
    """What a study comes to when nothing goes wrong, and how it is recorded."""
    study = reopen(Path(shutil.copy(empty, tmp_path_factory.mktemp("whole") / "optuna.db")))
    return tune(ROW, SEARCH, study, evaluate), recorded(study)
