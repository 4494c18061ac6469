"""Laws of the command line: every early end is a sentence and a code."""

import sys
from pathlib import Path

import pytest

from emotion_jax import cli, processes
from emotion_jax.errors import Mistake, Stopped

CONFIG = ["--config", "configs/synthetic.py"]


def raises(error):
    def binary(args):
        raise error

    return binary


@pytest.mark.parametrize(
    "error, code, told",
    [
        (Mistake("no such file"), 2, "emotion_jax: no such file\n"),
        (Stopped("the disk is full"), 3, "emotion_jax: the disk is full\n"),
        (
            OSError(28, "No space left on device"),
            3,
            "emotion_jax: no space is left on the disk; what was saved is whole\n",
        ),
        (KeyboardInterrupt(), 130, "emotion_jax: interrupted\n"),
        (SystemExit(0), 0, ""),
        (SystemExit(75), 75, ""),
    ],
)
def test_what_ends_a_binary_early_is_a_sentence_and_a_code(capsys, error, code, told):
    assert cli.run(raises(error), []) == code
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize("error", [RuntimeError("oh"), ValueError("oh"), OSError("oh")])
def test_anything_else_is_a_bug_with_its_traceback(capsys, error):
    assert cli.run(raises(error), []) == 1
    told = capsys.readouterr().err
    assert "Traceback" in told and f"{type(error).__name__}: oh" in told
    assert told.endswith(
        "this is a bug in emotion_jax; please report the lines above\n"
    )


def test_a_binary_that_returns_is_done_and_has_had_its_arguments():
    seen = []
    assert cli.run(seen.extend, ["--a", "b"]) == 0
    assert seen == ["--a", "b"]


def test_main_exits_with_the_code(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train", "x"])
    with pytest.raises(SystemExit) as error:
        cli.main(raises(Stopped("full")))
    assert error.value.code == 3


def parser():
    made = cli.Parser("python -m emotion_jax.train", "What it does.\n\n  an example")
    made.add_argument("--workdir", required=True)
    made.add_argument("--data", **cli.SOURCES)
    made.add_argument("--split")
    return made


def test_a_flag_given_twice_is_a_mistake_and_what_has_no_flag_may_be_several():
    parser = cli.Parser("cat", "Cats.")
    parser.add_argument("--name")
    parser.add_argument("one")
    parser.add_argument("two")
    assert parser.parse(["1", "--name=a", "2"]).two == "2"
    assert parser.parse(["1", "2"]).name is None
    with pytest.raises(Mistake, match="^--name is given twice; see cat --help$"):
        parser.parse(["--name=a", "1", "2", "--name", "b"])


def test_the_coordinator_may_be_given_twice_as_scripts_add_it_once_more():
    parser = cli.Parser("cat", "Cats.")
    processes.add_flags(parser)
    flags = parser.parse(["--coordinator=a:1", "--coordinator", "auto"])
    assert flags.coordinator == "auto"


def test_sources_add_up_however_they_are_written():
    args = ["--data", "A=1", "B=2", "--workdir", "w", "--data", "C=3"]
    assert parser().parse(args).data == ["A=1", "B=2", "C=3"]
    assert parser().parse(["--workdir", "w"]).data == []


@pytest.mark.parametrize(
    "args, sentence",
    [
        ([], "required: --workdir; see python -m emotion_jax.train --help"),
        (["--wokdir", "w"], "unknown flag '--wokdir'; did you mean --workdir"),
        (["--workdir", "w", "--splt=val"], "unknown flag '--splt'; did you mean --spl"),
        (["--workdir", "w", "--work", "v"], "unknown flag '--work'"),
        (["--workdir"], "--workdir: expected one argument"),
        (["--workdir", "w", "more"], "unexpected argument 'more'; see python -m"),
        (["--workdir", "w", "--data"], "--data: expected at least one argument"),
    ],
)
def test_a_wrong_flag_is_a_mistake(args, sentence):
    with pytest.raises(Mistake) as error:
        parser().parse(args)
    assert sentence in str(error.value)


def test_help_is_no_mistake(capsys):
    assert cli.run(lambda args: parser().parse_with_config(args), ["--help"]) == 0
    told = capsys.readouterr().out
    assert "python -m emotion_jax.train" in told and "\n  an example" in told
    assert "--config.train.batch_size=64" in told


def test_flags_and_overrides_may_come_in_any_order():
    args = ["--config.seed=3", "--workdir", "w", *CONFIG, "--data", "A=1"]
    flags, config = parser().parse_with_config(args)
    assert (flags.workdir, flags.data, config.seed) == ("w", ["A=1"], 3)


def test_a_config_that_is_not_required_may_be_left_out():
    args = ["--workdir", "w", "--data", "A=1"]
    flags, config = parser().parse_with_config(args, required=False)
    assert config is None and flags.workdir == "w"
    given = [*args, *CONFIG, "--config.seed=3"]
    assert parser().parse_with_config(given, required=False)[1].seed == 3
    with pytest.raises(Mistake, match=r"--config.seed=3 needs a config to change"):
        parser().parse_with_config([*args, "--config.seed=3"], required=False)


def test_a_sentence_is_one_line_whatever_a_file_is_called(capsys):
    cli.tell(Mistake("a\nb cannot be read"), 2)
    assert capsys.readouterr().err == "emotion_jax: a\\nb cannot be read\n"


def test_a_folder_that_must_be_here_is_in_no_bucket_and_has_a_name(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert cli.here("~/out") == Path("/home/me/out")
    parser = cli.Parser("python -m emotion_jax.predict", "")
    parser.add_argument("--out", type=cli.here)
    with pytest.raises(Mistake, match="gs://b/out is in a bucket, and must be here"):
        parser.parse(["--out", "gs://b/out"])
    with pytest.raises(Mistake, match="argument --out"):
        parser.parse(["--out", ""])


def test_a_folder_that_can_be_written_to_passes_and_is_not_made(tmp_path):
    for folder in (tmp_path, tmp_path / "a" / "b"):
        cli.check_folder("--out", folder)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name, reason",
    [
        ("file", "file is no folder"),
        ("file/under", "Not a directory"),
        ("loop", "loop is no folder"),
        ("x" * 300, "File name too long"),
        ("x/" * 3000, "File name too long"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_a_mistake(tmp_path, name, reason):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(Mistake, match=f"^cannot write to --out .*: .*{reason}$"):
        cli.check_folder("--out", tmp_path / name)


def test_a_folder_where_a_file_is_to_be_is_a_mistake_and_another_is_none(tmp_path):
    (tmp_path / "metrics.json").mkdir()
    cli.check_folder("--out", tmp_path, ("*.html", "report.*"))
    with pytest.raises(Mistake, match="metrics.json in it is a folder$"):
        cli.check_folder("--out", tmp_path, ("*.html", "*.json"))
