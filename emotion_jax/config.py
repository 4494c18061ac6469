"""A config's sections and top-level fields, and what each may be."""

import dataclasses
from collections.abc import Mapping

from emotion_jax.errors import Mistake
from emotion_jax.registry import check_fields


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
