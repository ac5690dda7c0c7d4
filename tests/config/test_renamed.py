import copy

import pytest
import yaml

from pipeline.common.errors import UserError
from pipeline.config.params import Params, load
from pipeline.config.renamed import RENAMED, renamed
from tests.support.imports import ROOT

RAW = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
ROW = "finetune"


def places():
    """Yield each old key as it may stand in a file, with what it is called now."""
    for place, new in RENAMED.items():
        *sections, old = [ROW if part == "*" else part for part in place]
        yield sections, old, new


def with_key(sections, key, new):
    """Return the settings with this key for the setting that is called `new`."""
    raw = copy.deepcopy(RAW)
    section = raw
    for name in sections:
        section = section[name]
    if sections[-1:] == ["recipe"]:
        raw["strategies"][ROW]["space"].pop(new, None)
    if sections[-1:] == ["space"]:
        raw["strategies"][ROW]["recipe"].pop(new, None)
    value = True if new == "probe" else 0.5
    values = {"space": {"choices": [value]}, "recipe": value}
    section[key] = section.pop(new, values.get(sections[-1] if sections else "", 1))
    return raw


def told(tmp_path, raw):
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(file)
    return str(caught.value).replace(str(file), "params.yaml")


@pytest.mark.parametrize(("sections", "old", "new"), list(places()))
def test_an_old_key_is_answered_by_the_new_ones_name(tmp_path, sections, old, new):
    assert Params(**with_key(sections, new, new))
    where = ".".join([*sections, ""])
    said = f"params.yaml: {where}{old}: is now called {where}{new}"
    assert told(tmp_path, with_key(sections, old, new)) == said


def test_what_else_is_wrong_is_reported_beside_it_under_its_name_of_today(tmp_path):
    raw = copy.deepcopy(RAW)
    raw["search"]["keep"] = raw["search"].pop("promote_fraction")
    raw["prepare"] |= {"limit": 0, "speed": 1}
    del raw["prepare"]["max_images"]
    said = told(tmp_path, raw).splitlines()
    assert said[0] == "params.yaml: 4 problems"
    assert "  search.keep: is now called search.promote_fraction" in said
    assert "  prepare.limit: is now called prepare.max_images" in said
    assert any(line.startswith("  prepare.max_images: ") for line in said)
    assert any(line.startswith("  prepare.speed: unknown key") for line in said)


def test_names_of_the_users_own_are_no_old_keys():
    raw = {"strategies": {"keep": {"recipe": {}}, "catalog": {}}, "backbone_aliases": {"balance": "x"}}
    assert renamed(raw) == (raw, [])
