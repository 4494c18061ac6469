"""Names from a config, looked up: what is unknown is told with what is known."""

import difflib
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from emotion_jax.errors import Mistake

Mapping.register(ConfigDict)  # it is one in all but name


def unknown(what: str, name: object, known: Iterable[object]) -> Mistake:
    """The sentence for a name that is not there, with the nearest that is."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]}?" if close else ""
    return Mistake(f"unknown {what} {name!r}{hint} (known: {', '.join(known)})")


def pick(what: str, name: Hashable, table: Mapping[Any, Any]) -> Any:
    """The entry of a table, or a Mistake that lists them."""
    if name not in table:
        raise unknown(what, name, table)
    return table[name]


def call(section: str, function: Callable, /, *args, **options) -> Any:
    """`function(*args, **options)`, once its signature is seen to take these fields.

    Every section of a config goes to one function this way, so a misspelt or missing
    field is told by name before anything runs.
    """
    check_fields(section, function, len(args), options)
    return function(*args, **options)


def check_fields(
    section: str, function: Callable, given: int, options: Mapping[str, Any]
) -> None:
    """Raises unless `function` takes these fields after `given` arguments."""
    parameters = list(inspect.signature(function).parameters.values())[given:]
    fields = {p.name: p for p in parameters if p.kind is not p.VAR_KEYWORD}
    takes_any = len(fields) < len(parameters)
    if "parent" in fields:  # Flax's own, of every module
        fields = {n: p for n, p in fields.items() if n not in ("parent", "name")}
    for option in options:
        if option not in fields and not takes_any:
            raise unknown(f"field of {section}", option, fields)
    for name, field in fields.items():
        if field.default is field.empty and name not in options:
            raise Mistake(f"{section} lacks the field {name!r}")
