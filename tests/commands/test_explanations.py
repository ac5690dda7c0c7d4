import numpy as np
import pytest
from PIL import Image

from pipeline.commands.app import main
from pipeline.commands.explanations import Explanations
from pipeline.common.errors import UserError
from tests.support.pictures import saved, smooth
from tests.support.served import tiny_model


def test_each_image_that_can_be_read_has_its_map_under_its_own_path(tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "maps"
    (photos / "b").mkdir(parents=True)
    for number in range(3):
        (photos / "b" / f"{number}.png").write_bytes(saved(smooth(3, 30 + number)))
    (photos / "0.jpg").write_bytes(saved(smooth(), "JPEG"))
    (photos / "bad.png").write_bytes(b"no image")
    model = str(tiny_model(tmp_path / "model"))
    words = ["predict", str(photos), "--model", model, "--out", str(tmp_path / "p.csv"), "--explain", str(out)]
    assert main(words) == 0
    made = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert made == ["0.jpg.png", "b/0.png.png", "b/1.png.png", "b/2.png.png"]
    with Image.open(out / "0.jpg.png") as picture:
        assert (picture.size, picture.mode) == ((24, 24), "RGB")
        assert np.asarray(picture).std() > 0
    assert f"{out}: maps of 4 images." in capsys.readouterr().out


def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path):
    for path in ("../a.png", "/a.png", "b/../../c.png"):
        with pytest.raises(UserError, match="leads out of the folder"):
            Explanations(tmp_path).place(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(saved(smooth()))
    (tmp_path / "maps").write_text("a file")
    words = ["--model", str(tiny_model(tmp_path / "model")), "--out", str(tmp_path / "p.csv")]
    assert main(["predict", str(tmp_path / "photos"), *words, "--explain", str(tmp_path / "maps")]) == 2
    assert "maps" in capsys.readouterr().err
