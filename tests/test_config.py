"""Laws of a config as a whole: every section, none besides, each of its type."""

import pytest
import tiny
from ml_collections import ConfigDict

from emotion_jax import cli
from emotion_jax.config import check_config
from emotion_jax.errors import Mistake


def test_every_shipped_config_and_the_tests_own_is_whole():
    check_config(tiny.config())
    for file in cli.find_config("configs/synthetic.py").parent.glob("[!_]*.py"):
        check_config(cli.load_config(str(file), []))


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
