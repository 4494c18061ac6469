"""Laws of the assembly: what is checked, and when."""

import pytest
import tiny

from emotion_jax.assembly import assemble
from emotion_jax.data.sections import load_train_and_val
from emotion_jax.errors import Mistake
from emotion_jax.sharding import make_mesh
from emotion_jax.tasks import make_tasks


@pytest.mark.parametrize(
    "section, wrong, told",
    [
        ("model", {"widht": 8}, "field of config.model 'widht'"),
        ("augment", {"filp": {}}, "augmentation 'filp'"),
        ("tasks", {"emotion": {"teachers": "none"}}, "tasks.emotion.teachers none"),
    ],
)
def test_what_needs_no_faces_is_told_before_they_are_read(section, wrong, told):
    config = tiny.config()
    config.data.sources = {"fer2013": {"path": "missing.csv"}}
    with config.unlocked():
        config[section].update(wrong)
    with pytest.raises(Mistake, match=told):
        assemble(config, make_mesh())


def test_faces_that_are_given_are_trained_on_as_they_are():
    config = tiny.config()
    splits = load_train_and_val(make_tasks(config.tasks), **config.data)
    config.data.sources = {"fer2013": {"path": "missing.csv"}}
    parts = assemble(config, make_mesh(), splits)
    assert (parts.train, parts.val) == splits
    assert parts.plan.epoch == len(splits[0]["synthetic"]) / 16
