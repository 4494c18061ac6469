"""Laws of configs: every section, none besides, each of its type; and overrides."""

import pytest
import tiny
from ml_collections import ConfigDict

from emotion_jax.config import check_config, find_config, load_config
from emotion_jax.errors import Mistake


def test_every_shipped_config_and_the_tests_own_is_whole():
    check_config(tiny.config())
    for file in find_config("configs/synthetic.py").parent.glob("[!_]*.py"):
        check_config(load_config(str(file), []))


@pytest.mark.parametrize("section", tiny.config().keys())
def test_what_is_missing_or_of_another_type_is_told_by_name(section):
    config = tiny.config().to_dict()
    value = config.pop(section)
    with pytest.raises(Mistake, match=f"^config lacks the field '{section}'$"):
        check_config(ConfigDict(config))
    wrong = 1.5 if section != "stop_at" else None
    with pytest.raises(Mistake, match=f"^config.{section} is {wrong}, must be "):
        check_config(ConfigDict(config | {section: wrong}))
    check_config(ConfigDict(config | {section: value}))


def test_a_section_besides_is_told_with_the_nearest():
    with pytest.raises(Mistake, match="'optimm'; did you mean optim"):
        check_config(ConfigDict(tiny.config().to_dict() | {"optimm": {}}))


def test_a_seed_below_zero_is_a_mistake():
    with pytest.raises(Mistake, match="config.seed is -1, must be at least 0"):
        check_config(tiny.config(seed=-1))


def test_classes_are_levelled_once():
    """Weighed for the file and drawn alike, the rarest would count too much."""
    config = tiny.config()
    config.feed.balance = {"emotion": 0.5}
    check_config(config)
    config.tasks.emotion.class_weights = "inverse"
    with pytest.raises(Mistake, match="feed.balance and .*class_weights both level"):
        check_config(config)


CONFIG = """
from ml_collections import ConfigDict

def get_config():
    model = {"name": "resnet", "width": 64, "blocks": (1, 1)}
    return ConfigDict({"seed": 0, "rate": 0.1, "model": model})
"""


@pytest.fixture
def write(tmp_path):
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
    config = load_config(write(CONFIG), overrides)
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
        ("model.new={{}}", {"new": "{{}}"}),
        (f"model.new={'-' * 9999}1", {"new": f"{'-' * 9999}1"}),
        (f"model.new={'(' * 999}", {"new": "(" * 999}),
    ],
)
def test_a_field_at_its_default_is_given_as_a_literal_or_else_a_word(
    write, override, expected
):
    config = load_config(write(CONFIG), [f"--config.{override}"])
    before = load_config(write(CONFIG), []).model.to_dict()
    assert config.model.to_dict() == before | expected


@pytest.mark.parametrize(
    "text, expected",
    [("near", "near"), ("False", False), ("false", False), ("0", False)],
)
def test_a_switch_may_be_given_a_word(text, expected):
    config = load_config("configs/fer5.py", [f"--config.data.dedupe={text}"])
    assert config.data.dedupe == expected
    assert type(config.data.dedupe) is type(expected)


@pytest.mark.parametrize(
    "text, expected",
    [("('runs/a', 'runs/b')", ("runs/a", "runs/b")), ("runs/a", "runs/a"), ("3", "3")],
)
def test_a_word_may_be_given_several(text, expected):
    override = f"--config.tasks.emotion.teachers={text}"
    config = load_config("configs/combined.py", [override])
    assert config.tasks.emotion.teachers == expected


def test_of_a_repeated_override_the_last_counts(write):
    blocks = [f"--config.model.blocks={blocks}" for blocks in ("(2,)", "(3, 4)")]
    assert load_config(write(CONFIG), blocks).model.blocks == (3, 4)
    dedupe = [f"--config.data.dedupe={value}" for value in ("near", "True")]
    assert load_config("configs/fer5.py", dedupe).data.dedupe is True


def test_a_whole_section_is_replaced_by_a_dict(write):
    config = load_config(write(CONFIG), ["--config.model={'name': 'course'}"])
    assert config.model.to_dict() == {"name": "course"}


def test_a_shipped_config_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("configs/synthetic.py", []).data.side == 48


def test_an_unknown_config_file_is_told_with_the_nearest():
    with pytest.raises(Mistake, match="did you mean configs/synthetic.py") as error:
        load_config("configs/sinthetic.py", [])
    assert "unknown config file 'configs/sinthetic.py'" in str(error.value)
    assert "__init__" not in str(error.value)


@pytest.mark.parametrize(
    "override, sentence",
    [
        ("seeed=1", "unknown field of config 'seeed'; did you mean seed?"),
        ("modle.width=1", "unknown field of config 'modle'; did you mean model?"),
        ("model=5", "config.model is a section: give a dict, or name a field of it"),
        ("seed", "--config.seed lacks its value: write --config.seed=VALUE"),
        ("seed.x=1", "config.seed has no fields of its own, got --config.seed.x=1"),
        ("seed.x.y=1", "config.seed has no fields of its own"),
        ("model={'a.b': 2}", "--config.model={'a.b': 2}: ConfigDict does not accept"),
        ("model={None: {}}", "--config.model={None: {}}: "),
        ("model.x={'__class__': 2}", "'__class__ cannot be overridden.'"),
    ],
)
def test_a_wrong_override_is_a_mistake(write, override, sentence):
    with pytest.raises(Mistake) as error:
        load_config(write(CONFIG), [f"--config.{override}"])
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_a_section_is_replaced_before_its_fields_are_set(write):
    field, section = "--config.model.width=32", "--config.model={'name': 'course'}"
    for both in ([field, section], [section, field]):
        config = load_config(write(CONFIG), both)
        assert config.model.to_dict() == {"name": "course", "width": 32}


@pytest.mark.parametrize(
    "field, text, value",
    [
        ("seed", "7", 7),
        ("seed", "-1", -1),
        ("model.width", "1.5", 1.5),
        ("model.width", "many", "many"),
        ("rate", "1", 1.0),
        ("rate", "1e-3", 1e-3),
        ("model.name", "7", "7"),
        ("model.blocks", "[2, 3]", (2, 3)),
        ("model.blocks", "2", (2,)),
        ("model.blocks", "1.5", 1.5),
        ("model.blocks", "(1,", "(1,"),
        ("model.blocks", "{{}}", "{{}}"),
        ("model.blocks", f"{'-' * 9999}1", f"{'-' * 9999}1"),
        ("model.squeeze", "true", True),
    ],
)
def test_a_value_is_a_literal_or_a_word_whatever_the_field_was(
    write, field, text, value
):
    found = load_config(write(CONFIG), [f"--config.{field}={text}"])
    for part in field.split("."):
        found = found[part]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "override, sentence",
    [
        ("seed=many", "config.seed is 'many', must be a whole number"),
        ("stop_at=1.5", "config.stop_at is 1.5, must be a whole number"),
        ("fsdp=2", "config.fsdp is 2, must be True or False"),
    ],
)
def test_a_value_of_another_type_is_told_in_words(override, sentence):
    config = load_config("configs/synthetic.py", [f"--config.{override}"])
    with pytest.raises(Mistake, match=sentence):
        check_config(config)


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
        ("def get_config():\n    assert False\n", "load the config .*: AssertionError"),
        (
            "def get_config():\n    return {}\n",
            "load the config .*: .* a dict, not a ConfigDict$",
        ),
    ],
)
def test_a_file_that_is_no_config_is_a_mistake(write, text, reason):
    with pytest.raises(Mistake, match=reason):
        load_config(write(text), [])


def test_a_second_config_owes_nothing_to_the_first(tmp_path):
    (tmp_path / "a.py").write_text(CONFIG)
    (tmp_path / "b.py").write_text("x = 1\n")
    load_config(str(tmp_path / "a.py"), [])
    with pytest.raises(Mistake, match="cannot load the config"):
        load_config(str(tmp_path / "b.py"), [])
