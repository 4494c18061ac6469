"""Laws of names: what is unknown is told with what is known."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict

from emotion_jax import registry
from emotion_jax.errors import Mistake


def area(shape, width, height=2, *, unit="px"):
    return shape, width * height, unit


def anything(shape, **more):
    return shape, more


def test_a_known_name_is_its_entry():
    assert registry.pick("colour", "red", {"red": 1, "blue": 2}) == 1


def test_an_unknown_name_is_told_with_the_nearest_and_all_known():
    with pytest.raises(Mistake) as error:
        registry.pick("colour", "reed", {"red": 1, "blue": 2})
    assert str(error.value) == (
        "unknown colour 'reed'; did you mean red? (known: red, blue)"
    )


def test_a_name_like_no_other_gets_no_hint():
    error = registry.unknown("colour", "zzz", ["red", 7])
    assert str(error) == "unknown colour 'zzz' (known: red, 7)"


def test_a_call_passes_its_fields_on():
    assert registry.call("config.area", area, "box", width=3, unit="mm") == (
        "box",
        6,
        "mm",
    )
    assert registry.call("config.any", anything, "box", x=1) == ("box", {"x": 1})


@pytest.mark.parametrize(
    "fields, sentence",
    [
        (
            {"widht": 3},
            "unknown field of config.area 'widht'; did you mean width? "
            "(known: width, height, unit)",
        ),
        ({"height": 3}, "config.area lacks the field 'width'"),
        ({"width": 3, "shape": "disc"}, "unknown field of config.area 'shape'"),
    ],
)
def test_a_wrong_field_is_told_before_the_call(fields, sentence):
    def never(shape, width, height=2, *, unit="px"):
        raise AssertionError("called")

    with pytest.raises(Mistake) as error:
        registry.call("config.area", never, "box", **fields)
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("name", ["section", "function"])
def test_a_field_may_have_any_name(name):
    with pytest.raises(Mistake, match=f"unknown field of config.area '{name}'"):
        registry.call("config.area", area, "box", **{"width": 3, name: 1})


SECTION = Mapping[str, float]
FITS = [
    (bool, [True], [0, "True", None]),
    (int, [0, -5, 2**31 - 1], [True, 1.0, 2**31, "1", None]),
    (float, [0.5, 3, -1e37], [False, "0.5", float("nan"), float("inf"), 1e300, 2**31]),
    (str, ["", "ü"], [1, b"a", "a\0b", None]),
    (int | None, [3, None], [0.5, ""]),
    (Sequence[int], [(), [1], (1, 2)], ["12", (1, 0.5), 1, {1: 2}]),
    (tuple[int, ...], [(), [1], (1, 2, 3)], ["12", (1, 0.5), 1]),
    (Sequence[tuple[str, float]], [(("a", 1),), ()], [(("a",),), ("ab",), ((1, 1),)]),
    (int | Sequence[str], [5, ("a",)], ["a", (5,), None]),
    (Mapping, [{}, ConfigDict({"a": 1})], [{1: 2}, "", None, ()]),
    (SECTION, [{"a": 1.5}, ConfigDict({"a": 2})], [{"a": "b"}, {"a": None}, [1]]),
    (Mapping[str, Mapping], [{"a": {}}], [{"a": 1}, {"a": {2: 3}}]),
    (Any, [None, "a", {1: 2}], []),
    (inspect.Parameter.empty, [None, 1], []),
    (np.dtype, [np.float32, "float32", None], []),  # set by code alone
    (tuple[int, np.dtype], [(1, np.float32)], [("a", np.float32), (1,)]),
]


@pytest.mark.parametrize("kind, right, wrong", FITS, ids=lambda x: str(x)[:30])
def test_a_value_fits_its_annotation_or_not(kind, right, wrong):
    assert all(registry.fits(value, kind) for value in right)
    assert not any(registry.fits(value, kind) for value in wrong)


@pytest.mark.parametrize(
    "kind, value, sentence",
    [
        (int, "x", "f is 'x', must be a whole number of 32 bits"),
        (bool, ConfigDict({"a": 1}), "f is a section, must be True or False"),
        (Mapping[str, Mapping], {"b": 3}, "f.b is 3, must be a section of"),
        (Mapping[str, Any], {1: 2}, "f is a section, must be a section of"),
        (int | None, (), "f is (), must be a whole number of 32 bits or None"),
        (
            tuple[int, np.dtype],
            5,
            "f is 5, must be a pair of a whole number of 32 bits",
        ),
        (tuple[str, ...], 5, "f is 5, must be a tuple, of which each is a string"),
        (Sequence[str], 5, "f is 5, must be a tuple, of which each is a string"),
        (
            Sequence[tuple[str, float]],
            (1,),
            "f is (1,), must be a tuple, of which each is a pair of a string and a "
            "finite number of 32 bits",
        ),
        (
            int,
            "x" * 999,
            "f is 'xxxxxxxxxxxx...xxxxxxxxxxxxx', must be a whole number of 32 bits",
        ),
    ],
)
def test_a_value_of_another_type_is_told_in_words(kind, value, sentence):
    with pytest.raises(Mistake) as error:
        registry.check_type("f", value, kind)
    assert str(error.value).startswith(sentence)


def test_a_call_refuses_a_value_of_another_type_and_what_was_given_already():
    def make(task, *, width: int = 2, **options):
        raise AssertionError("called")

    with pytest.raises(Mistake, match="config.area.width is '3', must be a whole"):
        registry.call("config.area", make, "box", width="3")
    with pytest.raises(Mistake, match="unknown field of config.area 'task'"):
        registry.call("config.area", make, "box", task=1)
