import numpy as np
import pytest

from pipeline.commands import rank
from pipeline.commands.app import main
from pipeline.config.params import load
from pipeline.execution.jobs import open_context
from pipeline.training import transferability
from tests.execution.test_jobs import FEATURES, RUNTIME


@pytest.fixture
def ranked(prepared, small_params, write_params, tmp_path):
    """A function that ranks backbones on the tiny data; returns the exit code."""
    write_params(tmp_path, small_params)

    def run(*words):
        paths = [
            "--dev",
            str(prepared.dev),
            "--work",
            str(tmp_path / "work"),
            "--params",
            str(tmp_path / "params.yaml"),
        ]
        return main(["rank", *words, *map(str, paths)])

    return run


def test_a_backbone_is_ranked_with_raw_pixels_beside_it_and_its_pass_is_kept(ranked, prepared, tmp_path, capsys):
    assert ranked("efficientnet_lite0", "--image-size", "32") == 0
    said = capsys.readouterr().out
    title, row, pixels, *_ = said.splitlines()
    assert title.split() == ["backbone", "leave-one-out", "accuracy", "LogME", "H-score", "above", "chance"]
    context = open_context(prepared.dev, None, tmp_path / "other", 0.2, FEATURES, RUNTIME)
    known = transferability.separation(rank.recipe("efficientnet_lite0", 32, {}), context.run_context, 0)
    expected = [f"{known[key]:.3f}".replace("-", "\N{MINUS SIGN}") for key in ("ridge_accuracy", "log_me")]
    assert row.split()[:3] == ["efficientnet_lite0", *expected]
    assert pixels.startswith("raw pixels ")
    assert f"{100 * np.bincount(context.run_context.dev.labels).max() / len(context.run_context.dev):.1f} %" in said
    (kept,) = (tmp_path / "work" / "features").glob("*.npy")
    assert ".identity." in kept.name


def test_without_names_the_pretrained_backbones_of_all_arms_are_candidates(small_params, write_params, tmp_path):
    params = load(write_params(tmp_path, small_params))
    assert rank.candidates(params) == ["efficientnet_lite0"]


def test_without_a_pretrained_strategy_it_asks_for_names(small_params, write_params, ranked, tmp_path, capsys):
    small_params["enabled"] = ["scratch"]
    write_params(tmp_path, small_params)
    assert ranked() == 2
    assert "name backbones on the command line" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [
    (["vgg"], "vgg: "), (["compact"], "no pretrained weights"), (["efficientnet_lite0", "--image-size", "4096"],
                                                               "(prepare.image_size); raise that, or set it to auto"),
])  # fmt: skip
def test_what_cannot_be_ranked_is_refused_in_a_sentence(ranked, capsys, words, said):
    assert ranked(*words) == 2
    assert said in capsys.readouterr().err


def test_with_images_packed_at_auto_any_size_can_be_ranked(ranked, small_params, write_params, tmp_path, capsys):
    small_params["prepare"]["image_size"] = "auto"
    small_params["strategies"]["frozen"]["recipe"]["image_size"] = 40
    write_params(tmp_path, small_params)
    assert ranked("efficientnet_lite0") == ranked("efficientnet_lite0", "--image-size", "40") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    assert len(list((tmp_path / "work" / "features").glob("*.npy"))) == 1
    assert ranked("efficientnet_lite0", "--image-size", "48") == 0
