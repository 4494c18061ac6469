"""Laws of distillation: what the pupil is taught is what its teachers say."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

import emotion_jax
from emotion_jax import distill, tasks
from emotion_jax.data.table import FIVE
from emotion_jax.errors import Mistake
from emotion_jax.sharding import make_mesh
from emotion_jax.train import train_and_evaluate

EMOTION, POINTS = {"emotion": {}}, {"keypoints": {}}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A network of both tasks that takes 24 x 24 pixels."""
    return str(tiny.untrained(tmp_path_factory.mktemp("teachers") / "both"))


def taught(image, **sections) -> dict:
    """What faces of gray levels in [0, 1] are taught."""
    return jax.jit(distill.load(tasks.make_tasks(sections), make_mesh()))(image)


def faces(side: int = 24) -> np.ndarray:
    return tiny.faces(6, side)["image"]


def test_a_pupil_is_taught_what_its_teacher_answers(teacher):
    image = faces()
    sections = {"emotion": {"teachers": teacher}, "keypoints": {"teachers": (teacher,)}}
    found = taught(image / np.float32(255), **sections)
    expected = emotion_jax.load(teacher).predict(image)
    np.testing.assert_allclose(
        jax.nn.softmax(found["emotion"]), expected.emotion, atol=1e-5
    )
    np.testing.assert_allclose(found["keypoints"], expected.keypoints, atol=1e-3)


def test_a_teacher_of_other_classes_and_pixels_answers_in_the_pupils(tmp_path):
    seven = {"emotion": {"classes": 7}, "keypoints": {}}
    other = str(tiny.untrained(tmp_path / "seven", seven, side=48))
    image = faces(24)
    sections = {"emotion": {"teachers": other}, "keypoints": {"teachers": other}}
    found = taught(image / np.float32(255), **sections)
    expected = emotion_jax.load(other).predict(image)
    places = [expected.classes.index(name) for name in FIVE]
    among = expected.emotion[:, places] / expected.emotion[:, places].sum(1)[:, None]
    # predict shrinks and rounds to gray levels, a teacher sees what it is shown.
    np.testing.assert_allclose(jax.nn.softmax(found["emotion"]), among, atol=2e-2)
    np.testing.assert_allclose(found["keypoints"], expected.keypoints, atol=0.5)


def test_a_network_that_teaches_two_tasks_is_held_once(teacher):
    sections = {"emotion": {"teachers": teacher}, "keypoints": {"teachers": teacher}}
    both = distill.load(tasks.make_tasks(sections), make_mesh())
    one = distill.load(tasks.make_tasks({"emotion": sections["emotion"]}), make_mesh())
    assert size(both) == size(one)


def size(teach) -> int:
    """How many numbers a function of `load` holds."""
    return sum(array.size for array in jax.tree.leaves(teach))


def test_several_teachers_teach_their_mean(teacher, tmp_path):
    other = str(tiny.untrained(tmp_path / "other", side=48))
    image = faces() / np.float32(255)
    each = [
        taught(image, emotion={"teachers": t}, keypoints={"teachers": t})
        for t in (teacher, other)
    ]
    both = taught(
        image,
        emotion={"teachers": (teacher, other)},
        keypoints={"teachers": (teacher, other)},
    )
    chances = [np.asarray(jax.nn.softmax(t["emotion"])) for t in each]
    np.testing.assert_allclose(
        jax.nn.softmax(both["emotion"]), sum(chances) / 2, atol=1e-6
    )
    points = sum(np.asarray(t["keypoints"]) for t in each) / 2
    np.testing.assert_allclose(both["keypoints"], points, atol=1e-4)


def test_a_lesson_is_the_softened_cross_entropy():
    rng = np.random.default_rng(0)
    output, answer = rng.normal(size=(2, 7, 5)).astype(np.float32)
    task = tasks.make_tasks({"emotion": {"teacher_temperature": 2.0}})["emotion"]
    soft, mine = (np.exp(z / 2) for z in (answer, output))
    soft, mine = (p / p.sum(1, keepdims=True) for p in (soft, mine))
    np.testing.assert_allclose(
        jax.jit(partial(task.lesson, side=24))(output, answer),
        -4 * (soft * np.log(mine)).sum(1),
        rtol=1e-5,
    )


def test_a_lesson_in_points_is_the_loss_against_all_of_the_teachers():
    output, answer = np.random.default_rng(0).uniform(0, 9, (2, 3, 15, 2))
    task = tasks.make_tasks({"keypoints": {"delta_px": 4.0}})["keypoints"]
    size = np.abs(output - answer) / 2  # at side 48 two pixels are 4 px
    huber = np.where(size < 1, size**2 / 2, size - 0.5).sum(-1)
    lesson = jax.jit(partial(task.lesson, side=48))
    np.testing.assert_allclose(lesson(output, answer), huber, rtol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_divides_a_tasks_loss(share):
    table = tiny.faces(8)
    made = tasks.make_tasks({"emotion": {"teacher_share": share}, "keypoints": {}})
    rng = np.random.default_rng(1)
    outputs = {
        "emotion": jnp.float32(rng.normal(size=(8, 5))),
        "keypoints": jnp.float32(rng.uniform(0, 23, (8, 15, 2))),
    }
    answer = jnp.float32(rng.normal(size=(8, 5)))

    @jax.jit
    def measure(labels, known):
        taught = {"emotion": answer}
        return tasks.losses_and_metrics(made, outputs, labels, known, 24, taught)

    loss, metrics = measure(table["labels"], table["known"])
    labels, points = (float(np.divide(*metrics[f"{name}/loss"])) for name in made)
    lesson = float(made["emotion"].lesson(outputs["emotion"], answer, 24).mean())
    expected = (1 - share) * labels + share * lesson + points
    assert loss == pytest.approx(expected, rel=1e-5)


def test_a_face_without_labels_teaches_too():
    table = tiny.faces(8)
    nothing = jax.tree.map(jnp.zeros_like, table["known"])
    made = tasks.make_tasks(EMOTION)
    answer = jnp.eye(5)[jnp.arange(8) % 5]

    @jax.jit
    @jax.grad
    def slope(output, labels):
        taught, outputs = {"emotion": answer}, {"emotion": output}
        return tasks.losses_and_metrics(made, outputs, labels, nothing, 24, taught)[0]

    steep = slope(jnp.zeros((8, 5)), table["labels"])
    assert (np.abs(steep).max(1) > 0).all()


def test_a_taught_run_resumes_to_the_same_bits(teacher, tmp_path):
    fields = {
        "tasks.emotion.teachers": teacher,
        "tasks.keypoints.teachers": teacher,
        "train.steps": 4,
        "checkpoint.every": "2",
    }
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    train_and_evaluate(tiny.config(**fields), whole)
    train_and_evaluate(tiny.config(**fields, stop_at=2), halved)
    train_and_evaluate(tiny.config(**fields), halved)
    untaught = tmp_path / "untaught"
    train_and_evaluate(tiny.config(**{"train.steps": 4}), untaught)
    sums = [tiny.done_of(d) for d in (whole, halved, untaught)]
    assert sums[0] == sums[1] != sums[2]


@pytest.mark.parametrize(
    "sections, told",
    [
        (
            {"emotion": {"teachers": "nowhere"}},
            "config.tasks.emotion.teachers nowhere does not exist",
        ),
        (
            {"emotion": {"classes": ("calm", "sad"), "teachers": "TEACHER"}},
            "config.tasks.emotion.teachers TEACHER knows no calm",
        ),
        (
            {"keypoints": {"teachers": "EMOTION"}},
            "config.tasks.keypoints.teachers EMOTION knows no left_eye_center",
        ),
        ({"emotion": {"teacher_share": 1.5}}, "teacher_share is 1.5, must be in"),
        ({"keypoints": {"teacher_share": -1.0}}, "teacher_share is -1.0, must be in"),
        ({"emotion": {"teacher_temperature": 0.0}}, "must be above 0"),
    ],
)
def test_what_cannot_teach_is_told(sections, told, teacher, tmp_path):
    paths = {"TEACHER": teacher}
    if "EMOTION" in str(sections):
        paths["EMOTION"] = str(tiny.untrained(tmp_path / "emotion", EMOTION))
    for section in sections.values():
        section["teachers"] = paths.get(
            section.get("teachers"), section.get("teachers", ())
        )
    for word, path in paths.items():
        told = told.replace(word, path)
    with pytest.raises(Mistake) as mistake:
        distill.load(tasks.make_tasks(sections), make_mesh())
    assert told in str(mistake.value)
