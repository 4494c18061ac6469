"""Laws of what a checkpoint records: older records are read, newer ones refused."""

import dataclasses
from pathlib import Path

import pytest

from emotion_jax import meta
from emotion_jax.errors import Mistake
from emotion_jax.meta import Meta, as_meta

META = Meta(
    {"seed": 0}, {"emotion": ("sad", "happy")}, 24, {"emotion": 1.5}, ("train: a", "b")
)


def test_a_record_comes_back_from_its_fields():
    fields = dataclasses.asdict(META) | {"names": {"emotion": ["sad", "happy"]}}
    assert as_meta(fields, Path("6")) == META


def test_older_records_have_one_temperature_or_none_and_no_data():
    fields = dataclasses.asdict(META)
    del fields["data"]
    found = as_meta(fields | {"temperature": 2.0}, Path("6"))
    assert (found.temperature, found.data) == ({"emotion": 2.0}, ())
    del fields["temperature"]
    assert as_meta(fields, Path("6")).temperature == {"emotion": 1.0}


def test_a_newer_record_is_a_mistake(monkeypatch):
    monkeypatch.setattr(meta, "FORMAT_VERSION", 0)
    told = "6 has format version 1, this emotion_jax reads up to 0: upgrade it"
    with pytest.raises(Mistake, match=told):
        as_meta(dataclasses.asdict(META), Path("6"))


def test_other_temperatures_make_another_record():
    fitted = {"emotion": 0.9}
    assert META.after(fitted) == dataclasses.replace(META, temperature=fitted)
    assert META.temperature == {"emotion": 1.5}
