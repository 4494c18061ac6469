"""Laws of the Evaluator: each face once, temperatures, what mirroring changes."""

import jax
import numpy as np
import pytest
import tiny

from emotion_jax.data.splits import make_split
from emotion_jax.data.table import FIVE, SEVEN, Raw, Split
from emotion_jax.evaluate import load_splits
from emotion_jax.evaluator import Evaluator, Validation, restore
from emotion_jax.plan import Plan
from emotion_jax.sharding import make_mesh
from emotion_jax.tasks import make_tasks


@pytest.mark.parametrize("batch_size", [1, 7, 8, 50, 512])
def test_every_face_counts_once_at_any_batch_size(whole, batch_size):
    restored = restore(str(whole))
    tasks, model = restored.tasks, restored.meta.config["model"]
    image = tiny.faces(30)["image"]
    found = Evaluator(tasks, model, make_mesh(), batch_size).run(
        restored.variables, image
    )
    # One face at a time, on one device, is what it must equal.
    alone = Evaluator(tasks, model, make_mesh(jax.devices()[:1]), 1)
    variables = jax.device_put(restored.variables, jax.devices()[0])
    expected = [alone.run(variables, image[i : i + 1]) for i in (0, 17, 29)]
    for name in tasks:
        assert len(found[name]) == 30
        rows = np.concatenate([e[name] for e in expected])
        np.testing.assert_allclose(found[name][[0, 17, 29]], rows, rtol=2e-4, atol=1e-4)


def test_what_was_trained_in_bfloat16_is_evaluated_in_float32(whole):
    restored, image = restore(str(whole)), tiny.faces(8)["image"]
    model = restored.meta.config["model"] | {"dtype": "bfloat16"}
    half = Evaluator(restored.tasks, model, make_mesh()).run(restored.variables, image)
    full = restored.evaluator.run(restored.variables, image)
    assert jax.tree.all(jax.tree.map(np.array_equal, half, full))


def test_a_run_is_evaluated_at_its_cadence_and_at_its_end(whole):
    restored, plan = restore(str(whole)), Plan(16, 10, 10, 3.0)
    (split,) = load_splits(restored, [], "val")
    validation = Validation(restored.evaluator, {"synthetic": split}, plan, every=4)
    assert [step for step in range(1, 11) if validation.due(step)] == [4, 8, 10]


def test_each_task_of_classes_has_a_temperature_of_its_own():
    task = make_tasks({"emotion": {}})["emotion"]
    evaluator = Evaluator({"emotion": task}, tiny.MODEL, make_mesh())
    evaluator.tasks = {"first": task, "second": task}
    table = tiny.faces(40)
    offered = tiny.offered(40, dict.fromkeys(evaluator.tasks, 5))
    faces = {"image": table["image"]}
    for field in ("labels", "known"):
        faces[field] = {name: table[field]["emotion"] for name in evaluator.tasks}
    split = Split("folder", "", "val", faces, np.arange(40), offered, {})
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(40, 5)) + table["labels"]["emotion"]
    outputs = {"first": logits, "second": 3 * logits}
    fitted = evaluator.fit_temperature(outputs, split)
    assert fitted["second"] == pytest.approx(3 * fitted["first"], rel=1e-4)
    found = evaluator.report(outputs, split, fitted)
    assert found["first/temperature"] == fitted["first"] != fitted["second"]
    assert found["first/nll"] == pytest.approx(found["second/nll"])
    assert found["first/nll@raw"] < found["second/nll@raw"]


@pytest.fixture
def seven():
    """An evaluator of seven classes, without a network."""
    return Evaluator(make_tasks({"emotion": {"classes": 7}}), tiny.MODEL, make_mesh())


def split_of(names, n: int, evaluator: Evaluator) -> Split:
    """As many faces of a source with these classes."""
    labels = np.eye(len(names), dtype=np.float32)[np.arange(n) % len(names)]
    raw = Raw(
        "fer2013",
        "",
        np.zeros((n, 24, 24, 1), np.uint8),
        {"emotion": labels},
        {"emotion": np.ones(n, bool)},
        {"emotion": names},
    )
    return make_split(raw, "all", evaluator.tasks, 24)


def test_a_seven_class_model_is_renormalised_on_five_classes(seven):
    split = split_of(FIVE, 5, seven)
    logits = np.zeros((5, 7), np.float32)
    logits[:, 2] = logits[:, 6] = 9.0  # fear and neutral: not in this file
    logits[:, 3] = 1.0
    found = seven.report({"emotion": logits}, split)
    assert found["emotion/accuracy"] == 0.2  # all are taken for happy
    top = np.e / (np.e + 4)
    np.testing.assert_allclose(found["emotion/ece"], top - 0.2)
    assert found["emotion/recall/happy"] == 1.0
    assert found["emotion/recall/fear"] is None


def test_beside_seven_classes_faces_of_five_are_judged_as_alone(seven, monkeypatch):
    """In a run on both sources, by which its best step and temperature are chosen."""
    splits = {name: split_of(c, 60, seven) for name, c in (("a", FIVE), ("b", SEVEN))}
    outputs, rng = {}, np.random.default_rng(0)
    for name, split in splits.items():
        noise = rng.normal(size=(60, 7)).astype(np.float32)
        outputs[name] = {"emotion": noise + split.faces["labels"]["emotion"]}
    both = {"emotion": np.concatenate([each["emotion"] for each in outputs.values()])}
    monkeypatch.setattr(seven, "run", lambda variables, image: both)
    validation = Validation(seven, splits, Plan(16, 10, 10, 3.0), every=4)
    found, temperature = validation.numbers({})

    def alone(key: str, factor: float = 1.0) -> float:
        hot = {"emotion": factor * temperature["emotion"]}
        each = [seven.report(outputs[name], splits[name], hot) for name in splits]
        return np.mean([numbers[f"emotion/{key}"] for numbers in each])

    for key in ("accuracy", "top2", "nll", "nll@raw"):
        assert found[f"emotion/{key}"] == pytest.approx(alone(key))
    assert alone("nll") < min(alone("nll", 0.95), alone("nll", 1.05))


def test_tta_of_a_mirrored_face_is_the_mirrored_answer(whole):
    restored = restore(str(whole))
    image = tiny.faces(6)["image"]
    mirror = np.ascontiguousarray(image[:, :, ::-1])
    plain = restored.evaluator.run_tta(restored.variables, image)
    found = restored.evaluator.run_tta(restored.variables, mirror)
    np.testing.assert_allclose(found["emotion"], plain["emotion"], atol=1e-5)
    # The left eye's centre becomes the right one's, at side - 1 - x.
    left, right = plain["keypoints"][:, 0], found["keypoints"][:, 1]
    np.testing.assert_allclose(right[:, 0], 23 - left[:, 0], atol=1e-4)
    np.testing.assert_allclose(right[:, 1], left[:, 1], atol=1e-4)
