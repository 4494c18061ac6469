"""Looks up names from a config: an unknown one is reported with the known ones."""

import difflib
import inspect
import reprlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from ml_collections import ConfigDict

from emotion_jax.errors import Mistake

Mapping.register(ConfigDict)  # it is one in all but name

LARGEST_INT, LARGEST_FLOAT = 2**31 - 1, 1e38  # that devices can hold
TYPES = {
    bool: "True or False",
    int: "a whole number of 32 bits",
    float: "a finite number of 32 bits",
    str: "a string",
    Mapping: "a section of named fields",
    NoneType: "None",
}


def unknown(what: str, name: object, known: Iterable[object]) -> Mistake:
    """The error for an unknown name; suggests the nearest and lists all known ones."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]}?" if close else ""
    return Mistake(f"unknown {what} {name!r}{hint} (known: {', '.join(known)})")


def pick(what: str, name: Hashable, table: Mapping[Any, Any]) -> Any:
    """The table's entry of this name; raises a Mistake that lists all if none."""
    if name not in table:
        raise unknown(what, name, table)
    return table[name]


def call(section: str, function: Callable, /, *args, **options) -> Any:
    """`function(*args, **options)`, after checking that it takes these fields.

    Every section of a config goes to one function this way, so a misspelt or missing
    field, or a value of the wrong type, is reported by name before anything runs.
    """
    check_fields(section, function, len(args), options)
    return function(*args, **options)


def build(config: Mapping, section: str, function: Callable, /, *args) -> Any:
    """Calls `function` with `args` and the fields of a config's section."""
    return call(f"config.{section}", function, *args, **config[section])


def check_fields(
    section: str,
    function: Callable,
    given: int,
    options: Mapping[str, Any],
    others: Iterable[str] = (),
) -> None:
    """Raises unless `function` takes these fields after `given` arguments.

    Args:
      others: the section's fields that were taken before, and may be meant.
    """
    every = inspect.signature(function).parameters
    parameters = list(every.values())[given:]
    fields = {p.name: p for p in parameters if p.kind is not p.VAR_KEYWORD}
    takes_any = len(fields) < len(parameters)
    if "parent" in fields:  # a Flax module: these two are Flax's own
        fields = {n: p for n, p in fields.items() if n not in ("parent", "name")}
    for option in options:
        if option not in fields and (option in every or not takes_any):
            known = dict.fromkeys([*others, *fields])
            raise unknown(f"field of {section}", option, known)
        if option in fields:
            check_type(
                f"{section}.{option}", options[option], fields[option].annotation
            )
    for name, field in fields.items():
        if field.default is field.empty and name not in options:
            raise Mistake(f"{section} lacks the field {name!r}")


def keywords(function: Callable) -> list[str]:
    """What a function takes by keyword alone."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def check_type(field: str, value: object, kind: Any) -> None:
    """Raises unless a config's value fits an annotation; names the part at fault."""
    if fits(value, kind):
        return
    if get_origin(kind) is Mapping and isinstance(value, Mapping):
        for name, part in value.items():
            check_type(f"{field}.{name}", part, get_args(kind)[1])
    got = "a section" if isinstance(value, Mapping) else reprlib.repr(value)
    raise Mistake(f"{field} is {got}, must be {describe(kind)}")


def fits(value: Any, kind: Any) -> bool:
    """Whether a value has the annotated type; a number must also fit on a device.

    Everything fits an annotation that no field of a config can have.
    """
    if kind in (Any, inspect.Parameter.empty):
        return True
    if kind is str:  # paths cannot contain NUL, and NumPy drops it
        return isinstance(value, str) and "\0" not in value
    if kind in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | kind):
            return False
        return abs(value) <= (LARGEST_INT if isinstance(value, int) else LARGEST_FLOAT)
    each = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return any(fits(value, one) for one in each)
    if Mapping in (kind, get_origin(kind)):
        named = isinstance(value, Mapping) and all(isinstance(k, str) for k in value)
        return named and all(fits(value[k], one) for k in value for one in each[1:])
    if get_origin(kind) in (Sequence, tuple):
        if not isinstance(value, tuple | list):
            return False
        if get_origin(kind) is tuple and ... not in each:
            return len(value) == len(each) and all(map(fits, value, each))
        return all(fits(one, each[0]) for one in value)
    return kind not in TYPES or isinstance(value, kind)


def describe(kind: Any) -> str:
    """What an annotation asks for, in words."""
    each = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(describe, each))
    if get_origin(kind) is Sequence or ... in each:
        return f"a tuple, of which each is {describe(each[0])}"
    if get_origin(kind) is tuple:
        return f"a pair of {' and '.join(map(describe, each))}"
    return TYPES.get(get_origin(kind) or kind, "anything")
