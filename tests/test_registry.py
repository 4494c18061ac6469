"""Laws of names: what is unknown is told with what is known."""

import pytest

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
