"""Laws of the answers: the classes that they are among are the data's, and are told."""

import numpy as np
import tiny

from emotion_jax.data.table import FIVE, SEVEN, Split
from emotion_jax.report import answers
from emotion_jax.tasks import Emotion, Keypoints

TASKS = {"emotion": Emotion(classes=7), "keypoints": Keypoints()}


def split_of(*names: tuple[str, ...], labelled: int) -> Split:
    """A face for each, whose source has these classes; the first few have a label."""
    faces = tiny.faces(n := len(names))
    faces["known"]["emotion"] = np.arange(n) < labelled
    offered = tiny.offered(n) | {
        "emotion": np.stack([np.isin(SEVEN, c) for c in names])
    }
    return Split("folder", "", "all", faces, np.arange(n), offered, {})


def test_the_classes_that_the_data_lacks_are_told_as_ruled_out():
    split = split_of(("neutral", "anger"), SEVEN, labelled=1)
    assert answers.choices("emotion", TASKS["emotion"], split) == ["anger", "neutral"]
    told = "Answers of emotion are among anger and neutral, the classes of this data: "
    assert answers.ruled_out(TASKS, split) == [told + "the others are ruled out."]


def test_where_all_may_be_answered_or_none_has_a_label_nothing_is_told():
    for split in (
        split_of(SEVEN, labelled=1),
        split_of(FIVE, ("fear", "neutral"), labelled=2),  # of two sources
        split_of(FIVE, labelled=0),
    ):
        assert answers.ruled_out(TASKS, split) == []
