"""What is there to copy: it fits its schema, publishes nothing beyond this machine, and holds no secret."""

import re
import subprocess
import sys

import pytest
import yaml

from tests.support.imports import ROOT

COMPOSE = ROOT / "deploy" / "compose.yaml"
WORKFLOW = ROOT / "deploy" / "github-actions.yml"
SECRETS = ("PASSWORD", "SECRET")


@pytest.mark.parametrize(("file", "schema"), [(COMPOSE, "compose-spec"), (WORKFLOW, "github-workflows")])
def test_it_fits_its_schema(file, schema):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ports_are_published_on_loopback_alone():
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_secrets_must_be_given_and_none_is_there():
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    given = {name: value for service in services.values() for name, value in service.get("environment", {}).items()}
    asked = {name: value for name, value in given.items() if any(word in name for word in SECRETS)}
    assert len(asked) >= 4
    assert all(re.fullmatch(r"\$\{\w+:\?.+\}", value) for value in asked.values())
    example = (ROOT / "deploy" / ".env.example").read_text(encoding="utf-8")
    wanted = {re.match(r"\$\{(\w+)", value)[1] for value in asked.values()}
    assert wanted == set(re.findall(r"^(\w+)=$", example, flags=re.M))
    assert "/deploy/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_the_scripts_of_a_cluster_are_well_formed():
    job = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert "dvc repro" in job["spec"]["entrypoint"]
    subprocess.run(["bash", "-n", str(ROOT / "deploy" / "slurm.sh")], check=True)
