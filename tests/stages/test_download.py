import pytest

from pipeline.sources import DEMOS, read
from pipeline.stages.download import main


def test_an_unknown_demo_is_refused_naming_those_there_are(tmp_path, capsys):
    assert main(["nope", "--out", str(tmp_path / "out")]) == 2
    text = capsys.readouterr().err
    assert "'nope'" in text
    assert "elpv" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("argv", [[], ["elpv"], ["--out", "x"]])
def test_a_demo_and_a_folder_are_asked_for(argv, capsys):
    with pytest.raises(SystemExit):
        main(argv)
    assert "usage:" in capsys.readouterr().err


def test_a_demo_is_laid_out_where_it_is_asked_for(tmp_path, monkeypatch):
    def lay_out(out):
        out.mkdir(parents=True)
        (out / "labels.csv").write_text("path,label\na.png,x\n")
        return 1

    monkeypatch.setitem(DEMOS, "one", lay_out)
    assert main(["one", "--out", str(tmp_path / "raw" / "one")]) == 0
    assert read(tmp_path / "raw" / "one")["path"].tolist() == ["a.png"]
