import webbrowser

import pytest

from pipeline.commands.app import main


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """The addresses that were opened; we are in a folder with a report."""
    addresses = []
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or len(addresses) == 1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "report.html").write_text("<p>")
    return addresses


def test_the_report_is_opened_and_its_place_is_printed(opened, tmp_path, capsys):
    assert main(["report"]) == 0
    assert opened == [(tmp_path / "results" / "report.html").as_uri()]
    assert capsys.readouterr().out == f"{tmp_path / 'results' / 'report.html'}\n"


def test_without_a_browser_the_file_is_named(opened, tmp_path, capsys):
    main(["report"])
    assert main(["report"]) == 0
    assert "No browser was found here" in capsys.readouterr().out


def test_print_opens_nothing(opened, tmp_path, capsys):
    assert main(["report", "--print"]) == 0
    assert opened == []
    assert capsys.readouterr().out == f"{tmp_path / 'results' / 'report.html'}\n"


def test_before_a_run_it_is_said_how_to_make_one(opened, tmp_path, capsys):
    (tmp_path / "results" / "report.html").unlink()
    assert main(["report"]) == 2
    assert "results/report.html: there is no report yet; `uv run dvc repro` makes it" in capsys.readouterr().err
