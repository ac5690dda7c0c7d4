from pathlib import Path

import pytest

from pipeline.common.entry_point import handle_user_errors, stage_parser
from pipeline.common.errors import UserError


def test_paths_are_required_and_params_has_a_default():
    parser = stage_parser("Do it.\n\nMore.", dev="a folder", out_file="a file")
    args = parser.parse_args(["--dev", "a", "--out-file", "b"])
    assert (args.dev, args.out_file, args.params) == (Path("a"), Path("b"), Path("params.yaml"))


@pytest.mark.parametrize("argv", [[], ["--dev", "a", "--test", "b"], ["--dev"]])
def test_missing_or_unknown_options_show_the_usage_and_exit_with_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        stage_parser("Do it.", dev="a folder").parse_args(argv)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_help_starts_with_the_first_line_of_the_description(capsys):
    with pytest.raises(SystemExit) as caught:
        stage_parser("\nDo it.\n\nMore.", dev="a folder").parse_args(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert "Do it." in text
    assert "a folder" in text
    assert "More." not in text


def test_a_main_that_ends_well_returns_0(capsys):
    seen = []
    assert handle_user_errors(seen.append)(["--x"]) == 0
    assert seen == [["--x"]]
    assert capsys.readouterr().err == ""


def raising(error):
    @handle_user_errors
    def main(argv=None):
        raise error

    return main


def test_what_a_user_can_mend_is_said_in_a_sentence_and_returns_2(capsys):
    assert raising(UserError("labels.csv: not there"))() == 2
    text = capsys.readouterr().err
    assert text.strip() == "error: labels.csv: not there"


def test_an_interrupted_main_says_how_to_go_on_and_returns_130(capsys):
    assert raising(KeyboardInterrupt())() == 130
    assert "stopped; what is finished is kept. Run the same command again" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("ours"), AssertionError(), ZeroDivisionError()])
def test_our_own_mistakes_keep_their_traceback(error):
    with pytest.raises(type(error)):
        raising(error)()


def test_a_user_error_is_a_value_error():
    assert issubclass(UserError, ValueError)
