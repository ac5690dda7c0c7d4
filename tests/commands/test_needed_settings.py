import pytest
import yaml

from pipeline.commands.needed_settings import as_yaml, needed_settings, path_from
from pipeline.config.params import Params
from pipeline.data.inspection import DISTANCE, Inspection
from tests.support.imports import ROOT

RAW = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def needed(folder, raw=RAW, label="label"):
    return needed_settings(Inspection(folder, label=label), folder.parent / "params.yaml", Params(**raw))


def test_only_what_has_to_change_is_named_nested_as_in_the_file_and_in_its_order(tmp_path):
    found = needed(tmp_path / "my photos", label="kind")
    assert found == {
        "data": {"name": "my-photos", "path": "my photos", "label": "kind"},
        "download": [],
        "prepare": {"stratify": [], "near_duplicate_bits": DISTANCE, "image_size": "auto"},
        "features": {"views": "auto"},
        "register": {"model": "headstart-my-photos"},
    }
    assert list(found) == [key for key in RAW if key in found]
    assert yaml.safe_load(as_yaml(found)) == found
    again = {key: {**RAW[key], **value} if isinstance(value, dict) else value for key, value in found.items()}
    assert needed(tmp_path / "my photos", RAW | again, label="kind") == {}


def test_a_size_and_views_that_were_chosen_for_these_images_stay(tmp_path):
    raw = RAW | {"data": RAW["data"] | {"path": "photos"}}
    found = needed(tmp_path / "photos", raw)
    assert "features" not in found
    assert "image_size" not in found["prepare"]


def test_a_distance_for_copies_that_was_chosen_stays(tmp_path):
    raw = RAW | {"prepare": RAW["prepare"] | {"near_duplicate_bits": 0}}
    assert "near_duplicate_bits" not in needed(tmp_path / "photos", raw)["prepare"]


@pytest.mark.parametrize(("folder", "name"), [("Größe", "Gr-e"), ("...", "images"), ("-", "images"), ("a.b", "a")])
def test_a_folder_of_any_name_gives_a_name_that_the_parameters_take(tmp_path, folder, name):
    found = needed(tmp_path / folder)
    assert found["data"]["name"] == name
    Params(**RAW | {"data": {**RAW["data"], **found["data"]}})


def test_a_folder_elsewhere_is_named_in_full(tmp_path):
    here, there = tmp_path / "project" / "params.yaml", tmp_path / "photos"
    assert path_from(here, there) == there.as_posix()
    assert path_from(here, here.parent / "photos" / "new") == "photos/new"
