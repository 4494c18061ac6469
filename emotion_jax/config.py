"""Configs: what their sections and fields may be, and how files and flags set them."""

import ast
import dataclasses
import os
import runpy
from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from emotion_jax import registry
from emotion_jax.errors import Mistake
from emotion_jax.registry import LARGEST_FLOAT, check_fields

PACKAGE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Fields:
    """What `get_config()` returns; a section's fields are its function's parameters."""

    seed: int
    stop_at: int
    init_from: str
    fsdp: bool
    debug: bool
    profile: Mapping
    data: Mapping
    feed: Mapping
    tasks: Mapping[str, Mapping]
    model: Mapping
    augment: Mapping[str, Mapping]
    train: Mapping
    optim: Mapping
    eval: Mapping
    checkpoint: Mapping
    log: Mapping


def check_config(config: Mapping) -> None:
    """Raises unless the config has every section, and no others."""
    check_fields("config", Fields, 0, config)
    if config["seed"] < 0:
        raise Mistake(f"config.seed is {config['seed']}, must be at least 0")
    balance = config["feed"].get("balance")
    for name in balance if isinstance(balance, Mapping) else ():
        if name in config["tasks"] and config["tasks"][name].get("class_weights"):
            raise Mistake(
                f"config.feed.balance and config.tasks.{name}.class_weights both level "
                "the classes: take one"
            )


def load_config(path: str, overrides: list[str]) -> ConfigDict:
    """The file's `get_config()`, with overrides like `--config.model.width=64`.

    A value is a Python literal, or else a word, and a word where the file has one; a
    word may become several: `--config.NAME="('a', 'b')"`. A dict gives a whole section:
    `--config.augment.blur={}`. Sections are set before their fields; of what is given
    twice, the last counts. Whether a field exists and takes that value is checked when
    its section is used.
    """
    file = find_config(path)
    try:
        config = read_config(file)
    except Exception as error:  # whatever the user's own Python raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise Mistake(f"cannot load the config {path}: {reason}") from error
    last = {o.partition("=")[0]: o for o in overrides}
    for name in sorted(last, key=lambda name: name.count(".")):
        set_field(config, last[name])
    return config


def find_config(path: str) -> Path:
    """The config file at this path, or the one of that name that ships."""
    for place in (Path(path), PACKAGE / path, PACKAGE.parent / path):
        if os.path.isfile(place):  # unlike Path's, never raises
            return place
    shipped = [
        f for root in (PACKAGE, PACKAGE.parent) for f in root.glob("configs/*.py")
    ]
    names = sorted({f"configs/{f.name}" for f in shipped if f.stem != "__init__"})
    raise registry.unknown("config file", path, names)


def read_config(file: Path) -> ConfigDict:
    """What the file's `get_config()` returns."""
    config = runpy.run_path(str(file))["get_config"]()
    if not isinstance(config, ConfigDict):
        got = type(config).__name__
        raise TypeError(f"get_config() returns a {got}, not a ConfigDict")
    return config


def set_field(config: ConfigDict, override: str) -> None:
    """Applies an override to the config, in place."""
    name, equals, text = override.removeprefix("--config.").partition("=")
    if not equals:
        raise Mistake(f"{override} lacks its value: write {override}=VALUE")
    *sections, field = name.split(".")
    at, path = config, "config"
    for part in sections:
        if path == "config" and part not in at:
            raise registry.unknown(f"field of {path}", part, at.keys())
        at, path = at.get(part, ConfigDict()), f"{path}.{part}"
        if not isinstance(at, ConfigDict):
            raise Mistake(f"{path} has no fields of its own, got {override}")
    if not sections and field not in at:
        raise registry.unknown(f"field of {path}", field, at.keys())
    value = like(at.get(field), text)
    if isinstance(at.get(field), ConfigDict) and not isinstance(value, dict):
        raise Mistake(
            f"{path}.{field} is a section: give a dict, or name a field of it"
        )
    try:
        with config.unlocked(), config.ignore_type():
            at = config
            for part in sections:
                at[part] = at.get(part, ConfigDict())
                at = at[part]
            at[field] = ConfigDict(value) if isinstance(value, dict) else value
    except (ValueError, AttributeError, TypeError) as error:  # not a valid name
        raise Mistake(f"{override}: {error}") from error


def like(old: object, text: str) -> object:
    """The value that a text means for a field that was `old`; None if it was not set.

    A number for a number, a word for a word, a switch for a switch, where it can be;
    and one of several, such as a single number of blocks, is a tuple of that one.
    """
    value = literal(text)
    if isinstance(old, str) and not isinstance(value, tuple):
        return text
    if isinstance(old, bool) and text in ("0", "1"):
        return text == "1"
    if type(old) is float and type(value) is int and abs(value) < LARGEST_FLOAT:
        return float(value)
    if isinstance(old, tuple) and type(value) in map(type, old):
        return (value,)
    return value


def literal(text: str) -> object:
    """The text as a Python literal; if it is not one, the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
        return tuple(value) if isinstance(value, list) else value
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text  # the last two: nested too deep
