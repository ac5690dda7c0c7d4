"""What the documents say exists: commands, stages, options, settings, files; and the small profile is valid."""

import argparse
import functools
import json
import re
import shlex
import shutil
from collections.abc import Callable
from importlib import import_module
from itertools import product
from typing import Any

import click
import pytest
import typer
import yaml

from docs import fill_readme
from pipeline.commands.app import app, main
from pipeline.common.files import write_json
from pipeline.config import params as parameters
from pipeline.statistics.schema import Comparison
from tests.smoke import main as make_small
from tests.smoke import shrink
from tests.support.example import changed, comparison
from tests.support.folders import picture
from tests.support.imports import ROOT
from tests.support.networks import count_stages

DOCUMENTS = ("README.md", "CONTRIBUTING.md",
             *(f"docs/{name}.md" for name in ("backbones", "cluster", "how-it-works", "models", "scale",
                                              "settings", "statistics", "your-images")))  # fmt: skip
RAW: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
DVC: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")
SHELL_WORDS = ("uv ", "headstart ", "pip ", "dvc ", "python ", "mlflow ", ".ci/")


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of one language."""
    return [code for kind, code in FENCE.findall(text) if kind == language]


def commands(text: str) -> list[str]:
    """Return every command in shell blocks, and every one quoted in the text."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    quoted = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCE.sub("", text))]
    found = [*lines, *(code for code in quoted if code.startswith(SHELL_WORDS))]
    return [part.strip() for line in found for part in line.split("&&") if part.strip()]


def merge(params: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return params with changes, nested or under dotted keys; raise KeyError for a key that leads nowhere."""
    merged = yaml.safe_load(yaml.safe_dump(params))
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = functools.reduce(dict.__getitem__, sections, merged)
        nested = isinstance(value, dict) and isinstance(section.get(last), dict)
        section[last] = merge(section[last], value) if nested else value
    return merged


# What there is: stages, options, entry points


def stage_names() -> set[str]:
    """Return what `dvc stage list` would name, and the names that stand for a whole group."""
    grown = {f"{name}@{key}" for name, stage in DVC.items() for key in grown_from(stage)}
    return {*DVC, *grown}


def grown_from(stage: dict[str, Any]) -> list[str]:
    """Return the names of a group's members: those that DVC makes of `foreach` or `matrix`."""
    lists = stage.get("matrix", {"item": stage["foreach"]} if "foreach" in stage else {}).values()
    return ["-".join(names) for names in product(*(RAW[str(each)[2:-1]] for each in lists))] if lists else []


class ParsedError(Exception):
    """Stands for a command line that was understood."""


def check_python(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse a script or module that is not there, and options that its parser does not know."""
    if words[0] != "-m":
        assert (ROOT / words[0]).is_file(), words
    elif words[1] == "pipeline.commands":
        check_headstart(words[2:])
    elif words[1].startswith("pipeline."):
        check_options(import_module(words[1]).main, words[2:], monkeypatch)
    else:
        place = ROOT / words[1].replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), words


def check_options(main: Callable[..., int], argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> None:
        parse(parser, args)
        raise ParsedError

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(ParsedError):
            main(argv)


def check_headstart(words: list[str]) -> None:
    """Refuse commands and options that `headstart` does not have."""
    command = typer.main.get_command(app)
    while (inner := getattr(command, "commands", {}).get(words[0] if words else "")) is not None:
        command, words = inner, words[1:]
    if words == ["--help"]:
        return
    assert not hasattr(command, "commands"), words
    command.make_context(str(command.name), words)


def check_dvc(words: list[str]) -> None:
    """Refuse options that DVC does not know, stages that dvc.yaml lacks, and settings that are none or wrong."""
    from dvc.cli.parser import get_main_parser

    args = get_main_parser().parse_args(words)
    if args.cmd in ("repro", "exp"):
        assert set(args.targets) <= stage_names(), words
    for setting in getattr(args, "set_param", None) or ():
        key, _, value = setting.partition("=")
        *sections, last = key.split(".")
        assert last in functools.reduce(dict.__getitem__, sections, RAW), setting
        parameters.Params(**merge(RAW, {key: yaml.safe_load(value)}))


def check_mlflow(words: list[str]) -> None:
    """Refuse options that MLflow does not know, and entry points that MLproject lacks."""
    from mlflow.cli import cli

    if len(words) == 1:
        assert words[0] in cli.commands
        return
    given = cli.commands[words[0]].make_context(words[0], words[1:]).params
    if words[0] == "run" and "." in words:
        values = dict(pair.split("=", 1) for pair in given["param_list"])
        entry_point(given["entry_point"]).compute_command(values, None)


def entry_point(name: str) -> Any:
    from mlflow.projects._project_spec import load_project

    project = load_project(str(ROOT))
    assert name in project._entry_points
    return project.get_entry_point(name)


def check(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise for a command that could not run here; of tools that are not ours, the options are not looked at."""
    words = shlex.split(command, comments=True)
    while re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if words[:2] == ["uv", "run"]:
        words = words[2:]
    tool, *rest = words or ["uv"]
    if tool == "dvc":
        check_dvc(rest)
    elif tool == "mlflow":
        check_mlflow(rest)
    elif tool == "headstart":
        check_headstart(rest)
    elif tool == "python":
        check_python(rest, monkeypatch)
    elif "/" in tool:
        assert (ROOT / tool).is_file(), command
    else:
        assert tool in ("uv", "pip", "pytest", "ruff", "mypy", "optuna-dashboard", "ray"), command


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_names_what_exists(document, monkeypatch):
    for command in commands(read(document)):
        check(command, monkeypatch)


def test_the_two_commands_are_there():
    assert {"pip install uv", "uv run dvc repro", "uv run pytest"} <= set(commands(read("README.md")))


@pytest.mark.parametrize(("command", "error"), [
    ("uv run dvc repro nothing", AssertionError),
    ("uv run dvc repro tune@nothing", AssertionError),
    ("uv run dvc exp run -S train.speed=1", AssertionError),
    ("uv run dvc exp run -S trains.seeds=[1]", KeyError),
    ("uv run dvc exp run -S train.seeds=[]", ValueError),
    ("uv run mlflow run . -e nothing", AssertionError),
    ("uv run mlflow server --wrokers 1", click.UsageError),
    ("uv run python docs/nothing.py", AssertionError),
    ("uv run python -m pipeline.stages.tune frozen", SystemExit),
    ("uv run headstart cache clear --everything", typer.BadParameter.__base__),
    ("uv run headstart nothing", AssertionError),
    ("uv run headstart check", typer.BadParameter.__base__),
    ("uv run nothing", AssertionError),
])  # fmt: skip
def test_a_command_that_names_what_does_not_exist_is_refused(command, error, monkeypatch, capsys):
    with pytest.raises(error):
        check(command, monkeypatch)


def test_the_commands_in_dvc_yaml_have_the_options_their_stages_take(monkeypatch):
    for stage in DVC.values():
        words = shlex.split(stage.get("do", stage)["cmd"].replace("${item}", "elpv").replace("${key}", "frozen"))
        check_python(words[1:], monkeypatch)


def test_mlproject_runs_stages_that_exist():
    for name in ("main", "tune", "compare", "register"):
        check_dvc(shlex.split(entry_point(name).compute_command({}, None))[1:])


def test_mlproject_promotes_by_a_command_that_exists(monkeypatch):
    command = entry_point("promote").compute_command({}, None)
    assert command == "python -m pipeline.commands registry promote challenger"
    check(command, monkeypatch)


def test_mlproject_has_no_other_entry_point_and_its_environment_is_there():
    raw = yaml.safe_load(read("MLproject"))
    assert set(raw["entry_points"]) == {"main", "tune", "compare", "register", "promote"}
    assert (ROOT / raw["conda_env"]).is_file()


# Settings


def snippets(document: str) -> list[dict[str, Any]]:
    """Return the settings shown in a document."""
    return [yaml.safe_load(block) for block in blocks(read(document), "yaml")]


@pytest.mark.parametrize("document", ["docs/your-images.md", "docs/backbones.md"])
def test_settings_that_are_shown_are_valid(document):
    for block in blocks(read(document), "yaml"):
        assert parameters.Params(**merge(RAW, yaml.safe_load(block)))


def leaves(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Return settings by dotted key."""
    inner = [leaves(value, f"{above}{key}.") if isinstance(value, dict) and value else {f"{above}{key}": value}
             for key, value in settings.items()]  # fmt: skip
    return {key: value for each in inner for key, value in each.items()}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_settings_are_shown_as_they_stand_in_the_file(document):
    for block in blocks(read(document), "yaml"):
        assert not [key for key in yaml.safe_load(block) if "." in key]


def own_images() -> dict[str, Any]:
    return next(found for found in snippets("docs/your-images.md") if found.get("data", {}).get("path") == "photos")


def test_own_images_take_eight_settings_that_are_valid():
    assert len(leaves(own_images())) == 8
    assert parameters.Params(**merge(RAW, own_images())).data.path == own_images()["data"]["path"]
    assert f"dvc add {own_images()['data']['path']}" in read("README.md")


def test_init_writes_the_settings_that_are_shown(tmp_path, monkeypatch):
    path = own_images()["data"]["path"]
    for number in range(20):
        picture(tmp_path / path / "ab"[number % 2] / f"{number}.png", number)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["init", path]) == 0
    assert yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8")) == merge(RAW, own_images())
    assert {f"uv run headstart {word} {path}" for word in ("check", "init")} <= set(commands(read("README.md")))


def test_the_constraints_shown_are_all_there_are_and_name_a_class_of_the_demo():
    shown = next(found for found in snippets("docs/settings.md") if "constraints" in found)["constraints"]
    assert set(shown) == set(parameters.Constraints.model_fields)
    assert parameters.Params(**(RAW | {"constraints": shown}))
    assert set(shown["min_recall"]) <= set(
        json.loads(fill_readme.COMPARISON.read_text(encoding="utf-8"))["dataset"]["classes"]
    )


def test_the_strategy_to_add_is_valid():
    snippet = yaml.safe_load(blocks(read("CONTRIBUTING.md"), "yaml")[0])
    assert parameters.Params(**merge(RAW, snippet))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_setting_that_is_named_exists(document):
    sections = "|".join(key for key, value in RAW.items() if isinstance(value, dict))
    text = " ".join(FENCE.sub("", read(document)).split())
    optional = {"constraints": dict.fromkeys(parameters.Constraints.model_fields)}
    for key in re.findall(rf"`((?:{sections})\.[\w.<>-]+)`", text):
        tree = functools.reduce(dict.__getitem__, key.replace("<name>", "finetune").split(".")[:-1], RAW | optional)
        assert key.split(".")[-1] in tree, key


def test_the_table_of_strategies_has_every_row():
    table = read("README.md").partition("## How it works")[2].partition("## ")[0]
    assert re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE) == [*dict.fromkeys([*RAW["enabled"], *RAW["strategies"]])]


def test_the_python_example_compiles_and_names_the_registered_model():
    code, request = blocks(read("docs/models.md"), "python")
    for each in (code, request):
        compile(each, "docs/models.md", "exec")
    assert f"models:/{RAW['register']['model']}@champion" in code


# Files


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_and_picture_exists(document):
    text = FENCE.sub("", read(document))
    here = [link.partition("#")[0] for link in LINK.findall(text) if "://" not in link]
    missing = [link for link in here if link and not ((ROOT / document).parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_of_the_code_that_is_named_exists(document):
    found = re.findall(r"`((?:pipeline|tests|benchmarks|docs)/[\w/.-]*)`", FENCE.sub("", read(document)))
    assert [path for path in found if not (ROOT / path).exists()] == []
    assert found or document not in ("CONTRIBUTING.md", "docs/how-it-works.md")


# Results


def example() -> Comparison:
    compared = comparison({"worse": {"accuracy": 0.5}, "better": {"accuracy": 0.8754, "train_flops": 5e12}})
    cost = compared.strategies["better"].cost.model_copy(update={"search_flops": 12_340_000_000_000})
    return changed(compared, "better", cost=cost)


RESULTS = "<!-- results -->\n{}\n<!-- /results -->\n"


def test_results_are_written_between_the_markers_and_nowhere_else():
    text = f"before\n{RESULTS.format('old')}after\n"
    filled = fill_readme.fill(text, "results", fill_readme.block(example()))
    assert filled.startswith("before\n<!-- results -->\n| strategy |")
    assert filled.endswith("does not matter.\n<!-- /results -->\nafter\n")
    assert "| `better` | 87.5 % | 85.0 % to 90.0 % | 0.935 | 0.225 | 12.3 T | 5 T | 3.4 M |" in filled
    assert "2200 images, 200 of them for test; means over 3 seeds" in filled
    assert filled.index("`better`") < filled.index("`worse`")
    assert fill_readme.fill(filled, "results", fill_readme.block(example())) == filled


def test_what_a_run_took_is_the_sum_over_its_stages(tmp_path):
    for name, seconds in (("prepare", 30), ("tune/a", 90)):
        write_json(tmp_path / f"results/timings/{name}.json", {"wall_seconds": seconds, "cpu_seconds": 2 * seconds})
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "torch").write_bytes(bytes(10**7))
    run = fill_readme.measure(tmp_path / "results")
    assert (run["minutes"], run["cpu_minutes"], run["disk_gb"], run["packages_gb"]) == (2, 4, 0.01, 0.01)
    assert "took 2 minutes (4 CPU-minutes)" in fill_readme.time_block(run)


def test_a_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="markers"):
        fill_readme.fill("<!-- /results --> <!-- results -->", "results", "new")


def test_check_finds_a_readme_out_of_date_and_leaves_it(tmp_path, monkeypatch, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"{RESULTS.format('')}<!-- time -->\n<!-- /time -->\n")
    example().save(tmp_path / "comparison.json")
    run = {"processor": "x", "cores": 2, "minutes": 1, "cpu_minutes": 2, "disk_gb": 6, "packages_gb": 5}
    write_json(tmp_path / "run.json", run)
    monkeypatch.setattr(fill_readme, "README", readme)
    monkeypatch.setattr(fill_readme, "COMPARISON", tmp_path / "comparison.json")
    monkeypatch.setattr(fill_readme, "RUN", tmp_path / "run.json")
    before = readme.read_text()
    assert (fill_readme.main(["--check"]), readme.read_text()) == (1, before)
    assert "out of date" in capsys.readouterr().err
    assert (fill_readme.main([]), fill_readme.main(["--check"])) == (0, 0)
    assert readme.read_text() != before


@pytest.mark.skipif(not fill_readme.COMPARISON.exists(), reason="no results are kept in docs/results")
def test_the_readme_shows_the_results_that_are_kept():
    assert fill_readme.main(["--check"]) == 0


# The small profile


def test_the_small_profile_is_valid_and_small(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    make_small(tmp_path)
    small = parameters.load(tmp_path / "params.yaml")
    assert (small.prepare.max_images, small.prepare.image_size) == (160, 32)
    for row in small.strategies.values():
        assert row.trials == 2
        assert row.recipe["epochs"] <= 3


def test_shrinking_changes_nothing_but_sizes():
    once = shrink(RAW)
    assert shrink(once) == once != RAW
    assert once.keys() == RAW.keys()
    assert [*once["strategies"]] == [*RAW["strategies"]]


def test_searched_sizes_are_capped_too():
    row = {"trials": 9, "recipe": {"epochs": 9}, "space": {
        "epochs": {"choices": [2, 5, 9]}, "image_size": {"choices": [64, 96]}, "hidden": {"choices": [8]}}}  # fmt: skip
    params = RAW | {"strategies": {"one": row}}
    assert shrink(params)["strategies"]["one"] == {
        "trials": 2, "rungs": [1], "trials_per_round": None, "recipe": {"epochs": 3, "image_size": 32},
        "space": {"epochs": {"choices": [2, 3]}, "hidden": {"choices": [8]}}}  # fmt: skip


def test_everything_named_in_the_text_of_a_command_is_seen():
    text = "Run `uv run dvc\nrepro` or\n```sh\nA=1 uv run x && pip install y # why\n```\n"
    assert commands(text) == ["A=1 uv run x", "pip install y # why", "uv run dvc repro"]


STRONG = re.findall(r"^\| `((?:timm|torchvision)/\S+)` \| (\d+) \|", read("docs/backbones.md"), re.MULTILINE)


@pytest.mark.parametrize(("backbone", "stages"), STRONG)
def test_a_strong_backbone_has_the_stages_that_are_named(backbone, stages):
    assert len(STRONG) == 4
    assert count_stages(backbone, 224) == int(stages)
