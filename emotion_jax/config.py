"""Configs: what their sections and fields may be, and how files and flags set them."""

import ast
import dataclasses
import os
import runpy
from collections.abc import Mapping
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from emotion_jax import registry
from emotion_jax.errors import Mistake, first_line
from emotion_jax.registry import check_fields

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

    A field that the file sets keeps its type, except that a switch may become a word,
    as in `--config.data.dedupe=near`, and a word several words:
    `--config.NAME="('a', 'b')"`. A field that the file leaves at its default, or a
    whole section, is given as a Python literal: `--config.augment.blur={}`; whether
    that field exists and takes that value is checked when the section is used.
    """
    overrides = list({o.partition("=")[0]: o for o in overrides}.values())  # the last
    file = find_config(path)
    try:
        config = read_config(file)
    except Exception as error:  # whatever the user's own Python raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise Mistake(f"cannot load the config {path}: {reason}") from error
    typed = [override for override in overrides if not set_new(config, override)]
    for override in typed:
        if not has_field(config, override):
            raise Mistake(
                f"{override} has no effect: another override replaces its section"
            )
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=values, sys_argv=["", *typed]
        )
        values(["", *typed])
    except (flags.Error, ValueError, TypeError) as error:
        raise Mistake(first_line(error)) from error
    except (MemoryError, RecursionError):
        raise Mistake("an override is nested too deep") from None
    return values.config


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


def has_field(config: ConfigDict, override: str) -> bool:
    """Whether the field that an override names exists."""
    at = config
    for part in override.removeprefix("--config.").partition("=")[0].split("."):
        if not isinstance(at, ConfigDict) or part not in at:
            return False
        at = at[part]
    return True


def set_new(config: ConfigDict, override: str) -> bool:
    """Applies an override of a new field or a whole section; False for any other."""
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
    value, old = literal(text), at.get(field)
    is_word = isinstance(value, str) and text.lower() not in ("true", "false")
    retyped = is_word if isinstance(old, bool) else isinstance(value, tuple)
    if field in at and not isinstance(old, ConfigDict):
        if not (retyped and isinstance(old, bool | str)):
            return False
    elif field in at and not isinstance(value, dict):
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
    return True


def literal(text: str) -> object:
    """The text as a Python literal; if it is not one, the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text  # the last two: nested too deep
