import shutil

import pytest
import yaml

from pipeline.commands.app import main
from pipeline.commands.init import edited
from pipeline.common.errors import UserError
from pipeline.config.params import load
from tests.support.folders import picture
from tests.support.imports import ROOT


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the repository's params.yaml and 20 images of each of two classes in photos; we are in it."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for number in range(40):
        picture(tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png", number)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(capsys, *words):
    code = main(["init", *words])
    return code, *capsys.readouterr()


def changed(project):
    """Return the lines of params.yaml that are new."""
    before = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    after = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    assert len(after) == len(before)
    return [new for old, new in zip(before, after) if old != new]


def test_the_lines_are_written_and_all_else_stays_as_it_is(project, capsys):
    assert init(capsys, "photos")[0] == 0
    assert changed(project) == [
        "  name: photos",
        "  path: photos # a folder with labels.csv (columns path, label, ...), or with one folder per class",
        "download: []",
        "  image_size: auto # that images are packed at; auto: their own, or the largest of a strategy where that is "
        "smaller",
        "  stratify: [] # columns beside the label; [] if you have none",
        "  near_duplicate_bits: 2",
        "  views: auto # symmetries under which a label stays true; auto: those that do not hurt on validation",
        "  model: headstart-photos",
    ]
    assert load(project / "params.yaml").data.path == "photos"
    assert {path.name for path in project.iterdir()} == {"params.yaml", "photos"}


def test_what_is_shown_is_what_is_written_and_what_comes_next_is_said(project, capsys):
    _, out, _ = init(capsys, "photos")
    shown, _, after = out.partition("Written to params.yaml:\n\n")[2].partition("\n\nNext:\n")
    written = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    for key, value in yaml.safe_load(shown).items():
        assert written[key] == value or written[key] == written[key] | value
    assert "features.views" not in after  # it is auto now
    assert "uv run dvc add photos" in after
    assert after.endswith("uv run dvc repro\n")


def test_views_of_the_user_stay_and_are_asked_about(project, capsys):
    init(capsys, "photos")
    file = project / "params.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("views: auto", "views: [identity, vflip]", 1))
    out = init(capsys, "photos")[1]
    assert "nothing was written" in out
    assert "keep vflip only where" in out


def test_a_dry_run_shows_the_same_and_writes_nothing(project, capsys):
    before = (project / "params.yaml").read_bytes()
    code, dry, _ = init(capsys, "photos", "--dry-run")
    assert (code, (project / "params.yaml").read_bytes()) == (0, before)
    assert init(capsys, "photos")[1] == dry.replace("Would be written to", "Written to")


def test_a_second_time_there_is_nothing_to_write(project, capsys):
    init(capsys, "photos")
    before = (project / "params.yaml").stat().st_mtime_ns
    assert "params.yaml uses it already; nothing was written." in init(capsys, "photos")[1]
    assert (project / "params.yaml").stat().st_mtime_ns == before


def test_where_the_images_cannot_be_used_nothing_is_written(project, capsys):
    (project / "photos" / "a" / "00.png").write_bytes(b"")
    before = (project / "params.yaml").read_bytes()
    code, out, err = init(capsys, "photos")
    assert code == 2
    assert "a/00.png: the file is empty" in out
    assert "params.yaml: left as it is; fix the 1 problem above" in err
    assert (project / "params.yaml").read_bytes() == before


def test_where_it_cannot_be_written_it_is_left_as_it_is(project, capsys, monkeypatch):
    def full(*paths):
        raise OSError(28, "No space left on device")

    before = (project / "params.yaml").read_bytes()
    monkeypatch.setattr("os.replace", full)
    code, _, err = init(capsys, "photos")
    assert code == 2
    assert "params.yaml: cannot be written" in err
    assert (project / "params.yaml").read_bytes() == before
    assert {path.name for path in project.iterdir()} == {"params.yaml", "photos"}


def test_the_label_is_set_back_or_to_a_column_of_another_name(project, capsys, lay_out):
    init(capsys, "photos")
    data = lay_out()
    table = (data / "labels.csv").read_text().replace("path,label,camera", "path,kind,camera")
    (data / "labels.csv").write_text(table)
    init(capsys, "raw")
    assert load(project / "params.yaml").data.label == "kind"
    init(capsys, "photos")
    assert load(project / "params.yaml").data.label == "label"


@pytest.mark.parametrize("name", ["été", "7: # x", "-", "..a", "my photos"])
def test_settings_are_valid_whatever_the_folder_is_called(project, capsys, name):
    (project / "photos").rename(project / name)
    assert init(capsys, f"./{name}")[0] == 0
    assert load(project / "params.yaml").data.path == name


def test_a_folder_elsewhere_is_named_by_its_whole_path(project, capsys, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "photos"
    (project / "photos").rename(elsewhere)
    _, out, _ = init(capsys, str(elsewhere))
    assert load(project / "params.yaml").data.path == elsewhere.as_posix()
    assert "dvc add" not in out  # DVC keeps what is in the repository


def test_a_change_of_nothing_leaves_every_byte(tmp_path):
    assert edited(ROOT / "params.yaml", {}) == (ROOT / "params.yaml").read_text(encoding="utf-8")


def test_the_style_of_a_users_file_is_kept(tmp_path):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("stratify: [cell_type] # columns", "stratify: # mine\n    - cell_type\n  #").replace(
        "name: elpv", "name: 'elpv'   # quoted"
    )
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    new = edited(tmp_path / "params.yaml", {"data": {"name": "x"}, "prepare": {"stratify": []}})
    assert "name: 'x' # quoted" in new
    assert yaml.safe_load(new) == yaml.safe_load(text) | {
        "data": yaml.safe_load(text)["data"] | {"name": "x"},
        "prepare": yaml.safe_load(text)["prepare"] | {"stratify": []},
    }


def test_settings_that_would_be_wrong_are_not_written():
    with pytest.raises(UserError, match=r"params\.yaml: data\.name: "):
        edited(ROOT / "params.yaml", {"data": {"name": "a b"}})
