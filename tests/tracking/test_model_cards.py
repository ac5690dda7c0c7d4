import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from pipeline.tracking import logged_models
from pipeline.tracking.model_cards import (
    LONGEST,
    MORE,
    NOTE,
    OURS,
    publish_cards,
    registered_model_says,
    short_form,
)

CARD = "---\nlicense: other\n---\n# frozen\n\nIt labels.\n\n## Limits\n\n- few\n"


@pytest.fixture
def version(client, run, model, tmp_path):
    logged = logged_models.find_or_log(client, run, model(1), "frozen", {})
    client.create_registered_model("tiny")
    made = client.create_model_version("tiny", f"models:/{logged}", model_id=logged)
    (tmp_path / "cards" / "frozen").mkdir(parents=True)
    (tmp_path / "cards" / "frozen" / "README.md").write_text(CARD)
    return int(made.version), logged


@pytest.fixture
def publish(version, tmp_path):
    return lambda about: publish_cards(tmp_path, "tiny", {"frozen": version[0]}, tmp_path / "cards", about)


def seen(client, version):
    number, model = version
    found = client.get_model_version("tiny", str(number))
    place = Path(client.get_logged_model(model).artifact_location.removeprefix("file://"))
    files = [file.path for file in client.list_logged_model_artifacts(model)]
    return (found.description, client.get_registered_model("tiny").description, (place / "README.md").read_text(),
            sorted(files), client.get_logged_model(model).tags[NOTE], found.last_updated_timestamp)  # fmt: skip


def test_a_card_is_among_the_files_of_the_model_and_describes_its_version_once(client, version, publish, tmp_path):
    publish("About.")
    first = seen(client, version)
    assert first[0] == first[4] == f"# frozen\n\nIt labels.\n\n## Limits\n\n- few{OURS}"
    assert first[1:3] == (f"About.{OURS}", CARD)
    assert {"README.md", "MLmodel"} <= set(first[3])
    publish("About.")
    assert seen(client, version) == first
    (tmp_path / "cards" / "frozen" / "README.md").write_text(CARD.replace("few", "many"))
    publish("About it.")
    again = seen(client, version)
    assert "- many" in again[0]
    assert again[1] == f"About it.{OURS}"


def test_what_a_person_wrote_stays(client, version, publish):
    publish("About.")
    client.update_model_version("tiny", str(version[0]), "Mine.")
    client.update_registered_model("tiny", "Ours.")
    publish("About.")
    assert seen(client, version)[:2] == ("Mine.", "Ours.")


def test_a_missing_card_is_asked_for(publish, tmp_path):
    (tmp_path / "cards" / "frozen" / "README.md").unlink()
    with pytest.raises(UserError, match=r"README.md: no such file; run the stage that makes it: dvc repro compare"):
        publish("About.")


def test_a_long_card_loses_its_last_sections_and_says_where_they_are():
    sections = "".join(f"\n\n## Section {number}\n\n{'x' * 700}" for number in range(9))
    short = short_form(f"# frozen{sections}")
    assert len(short) <= LONGEST
    assert short.endswith(MORE + OURS)
    assert "Section 5" in short
    assert "Section 6" not in short


def test_the_registered_model_names_its_classes_and_aliases():
    said = registered_model_says("leaves", [f"c{n}" for n in range(12)], {"champion": "the one in service"})
    assert "Image classifiers of leaves: `c0`" in said
    assert "`c9`, ..." in said
    assert "- `champion`: the one in service" in said
