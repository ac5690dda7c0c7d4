import pytest

from pipeline.data.datasets.by_name import SETS
from pipeline.data.readers import read
from pipeline.stages.download import main
from tests.support import vision


def run(name, tmp_path):
    return main([name, "--out", str(tmp_path / "raw" / name), "--downloads", str(tmp_path / "downloads")])


def test_an_unknown_data_set_is_refused_naming_those_there_are(tmp_path, capsys):
    assert run("nope", tmp_path) == 2
    text = capsys.readouterr().err
    assert "'nope'" in text
    assert "elpv, FER2013, CIFAR10" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argv", [[], ["elpv"], ["elpv", "--out", "x"], ["--out", "x", "--downloads", "y"]])
def test_a_data_set_and_folders_are_asked_for(argv, capsys):
    with pytest.raises(SystemExit):
        main(argv)
    assert "usage:" in capsys.readouterr().err


def test_a_data_set_is_laid_out_where_it_is_asked_for(tmp_path, monkeypatch, capsys):
    def one(out, downloads, steps):
        assert downloads == tmp_path / "downloads" / "one"
        steps(1)(1)
        (out / "labels.csv").write_text("path,label\na.png,x\n")
        return 1

    monkeypatch.setitem(SETS, "one", one)
    assert run("one", tmp_path) == 0
    assert read(tmp_path / "raw" / "one")["path"].tolist() == ["a.png"]
    assert "one: 1 images in" in capsys.readouterr().out


def test_a_set_of_torchvision_is_laid_out_from_its_files(tmp_path, capsys):
    vision.dtd(tmp_path / "downloads" / "DTD")
    assert run("DTD", tmp_path) == 0
    assert "laying out: 100%" in capsys.readouterr().err
    assert len(read(tmp_path / "raw" / "DTD")) == 6


def test_a_file_that_only_the_user_can_bring_is_asked_for_without_a_traceback(tmp_path, capsys):
    assert run("FER2013", tmp_path) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert str(tmp_path / "downloads" / "FER2013") in said
    assert not (tmp_path / "raw" / "FER2013").exists()
