"""Laws of the command line: every early end is a sentence and a code."""

import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from emotion_jax import cli
from emotion_jax.errors import Mistake, Stopped

CONFIG = """
from ml_collections import ConfigDict

def get_config():
    model = {"name": "resnet", "width": 64, "blocks": (1, 1)}
    return ConfigDict({"seed": 0, "rate": 0.1, "model": model})
"""


def raises(error):
    def binary(args):
        raise error

    return binary


@pytest.mark.parametrize(
    "error, code, told",
    [
        (Mistake("no such file"), 2, "emotion_jax: no such file\n"),
        (Stopped("the disk is full"), 3, "emotion_jax: the disk is full\n"),
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


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a config file; returns its path."""

    def write(text):
        path = tmp_path / f"config{len(list(tmp_path.iterdir()))}.py"
        path.write_text(text)
        return str(path)

    return write


def test_overrides_change_fields_and_leave_the_others(write):
    overrides = [
        "--config.model.width=32",
        "--config.rate=1",
        "--config.model.name=vit",
    ]
    config = cli.load_config(write(CONFIG), overrides)
    assert isinstance(config, ConfigDict)
    assert config.to_dict() == {
        "seed": 0,
        "rate": 1.0,
        "model": {"name": "vit", "width": 32, "blocks": (1, 1)},
    }


@pytest.mark.parametrize(
    "override, expected",
    [
        ("model.dropout=0.1", {"dropout": 0.1}),
        ("model.block=bottleneck", {"block": "bottleneck"}),
        ("model.deep.er={'a': (1, 2)}", {"deep": {"er": {"a": (1, 2)}}}),
    ],
)
def test_a_field_at_its_default_is_given_as_a_literal(write, override, expected):
    config = cli.load_config(write(CONFIG), [f"--config.{override}"])
    before = cli.load_config(write(CONFIG), []).model.to_dict()
    assert config.model.to_dict() == before | expected


@pytest.mark.parametrize(
    "text, expected",
    [("near", "near"), ("False", False), ("false", False), ("0", False)],
)
def test_a_switch_may_be_given_a_word(text, expected):
    config = cli.load_config("configs/fer5.py", [f"--config.data.dedupe={text}"])
    assert config.data.dedupe == expected
    assert type(config.data.dedupe) is type(expected)


@pytest.mark.parametrize(
    "text, expected",
    [("('runs/a', 'runs/b')", ("runs/a", "runs/b")), ("runs/a", "runs/a"), ("3", "3")],
)
def test_a_word_may_be_given_several(text, expected):
    override = f"--config.tasks.emotion.teachers={text}"
    config = cli.load_config("configs/combined.py", [override])
    assert config.tasks.emotion.teachers == expected


def test_of_a_repeated_override_the_last_counts(write):
    blocks = [f"--config.model.blocks={blocks}" for blocks in ("(2,)", "(3, 4)")]
    assert cli.load_config(write(CONFIG), blocks).model.blocks == (3, 4)
    dedupe = [f"--config.data.dedupe={value}" for value in ("near", "True")]
    assert cli.load_config("configs/fer5.py", dedupe).data.dedupe is True


def test_a_whole_section_is_replaced_by_a_dict(write):
    config = cli.load_config(write(CONFIG), ["--config.model={'name': 'course'}"])
    assert config.model.to_dict() == {"name": "course"}


def test_flags_and_overrides_may_come_in_any_order(write):
    path = write(CONFIG)
    args = ["--config.seed=3", "--workdir", "w", "--config", path, "--data", "A=1"]
    flags, config = parser().parse_with_config(args)
    assert (flags.workdir, flags.data, config.seed) == ("w", ["A=1"], 3)


def test_a_config_that_is_not_required_may_be_left_out(write):
    args = ["--workdir", "w", "--data", "A=1"]
    flags, config = parser().parse_with_config(args, required=False)
    assert config is None and flags.workdir == "w"
    given = [*args, "--config", write(CONFIG), "--config.seed=3"]
    assert parser().parse_with_config(given, required=False)[1].seed == 3
    with pytest.raises(Mistake, match=r"--config.seed=3 needs a config to change"):
        parser().parse_with_config([*args, "--config.seed=3"], required=False)


def test_a_shipped_config_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.load_config("configs/synthetic.py", []).data.side == 48


def test_an_unknown_config_file_is_told_with_the_nearest():
    with pytest.raises(Mistake, match="did you mean configs/synthetic.py") as error:
        cli.load_config("configs/sinthetic.py", [])
    assert "unknown config file 'configs/sinthetic.py'" in str(error.value)
    assert "__init__" not in str(error.value)


@pytest.mark.parametrize(
    "override, sentence",
    [
        ("seeed=1", "unknown field of config 'seeed'; did you mean seed?"),
        ("modle.width=1", "unknown field of config 'modle'; did you mean model?"),
        ("seed=many", "--config.seed=many: invalid literal for int()"),
        ("model.blocks=(1,", "--config.model.blocks=(1,: Error while parsing"),
        ("rate=x", "--config.rate=x: could not convert string to float"),
        ("model=5", "config.model is a section: give a dict, or name a field of it"),
        ("seed", "--config.seed lacks its value: write --config.seed=VALUE"),
        ("seed.x=1", "config.seed has no fields of its own, got --config.seed.x=1"),
        ("seed.x.y=1", "config.seed has no fields of its own"),
        ("model={'a.b': 2}", "--config.model={'a.b': 2}: ConfigDict does not accept"),
        ("model.blocks={{}}", "--config.model.blocks={{}}: unhashable type"),
        (f"model.blocks={'-' * 9999}1", "an override is nested too deep"),
        ("model={None: {}}", "--config.model={None: {}}: "),
        ("model.x={'__class__': 2}", "'__class__ cannot be overridden.'"),
    ],
)
def test_a_wrong_override_is_a_mistake(write, override, sentence):
    with pytest.raises(Mistake) as error:
        cli.load_config(write(CONFIG), [f"--config.{override}"])
    assert sentence in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "field, section",
    [
        ("model.width=64", "model={'name': 'resnet'}"),
        ("model.width=64", "model={}"),
    ],
)
def test_a_field_whose_section_is_replaced_is_a_mistake(write, field, section):
    path, first, then = write(CONFIG), f"--config.{field}", f"--config.{section}"
    with pytest.raises(Mistake, match=f"{first} has no effect: another"):
        cli.load_config(path, [first, then])
    assert cli.load_config(path, [then, first, "--config.rate=1.0"]).model.width == 64


@pytest.mark.parametrize(
    "text, reason",
    [
        ("def get_config(:\n", "load the config .*: invalid syntax"),
        ("x = 1\n", "load the config .*: .*get_config"),
        (
            "import no_such_thing\n",
            "load the config .*: No module named 'no_such_thing'",
        ),
        (
            "def get_config():\n    return 1 / 0\n",
            "load the config .*: division by zero",
        ),
    ],
)
def test_a_file_that_is_no_config_is_a_mistake(write, text, reason):
    with pytest.raises(Mistake, match=reason):
        cli.load_config(write(text), [])


def test_an_error_without_a_message_is_a_mistake_too(write):
    with pytest.raises(Mistake, match="load the config .*: AssertionError"):
        cli.load_config(write("def get_config():\n    assert False\n"), [])


def test_a_config_that_is_no_configdict_is_a_mistake(write):
    with pytest.raises(
        Mistake, match=r"load the config .*: .* a dict, not a ConfigDict$"
    ):
        cli.load_config(write("def get_config():\n    return {}\n"), [])


def test_a_second_config_owes_nothing_to_the_first(tmp_path):
    (tmp_path / "a.py").write_text(CONFIG)
    (tmp_path / "b.py").write_text("x = 1\n")
    cli.load_config(str(tmp_path / "a.py"), [])
    with pytest.raises(Mistake, match="cannot load the config"):
        cli.load_config(str(tmp_path / "b.py"), [])


def test_a_full_disk_is_the_surroundings(capsys):
    assert cli.run(raises(OSError(28, "No space left on device")), []) == 3
    assert capsys.readouterr().err.startswith("emotion_jax: no space is left on the")


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


@pytest.mark.parametrize("text", ["{{}}", "-" * 9999 + "1", "(" * 999])
def test_what_python_can_make_no_literal_of_is_a_word(write, text):
    config = cli.load_config(write(CONFIG), [f"--config.model.new={text}"])
    assert config.model.new == text
