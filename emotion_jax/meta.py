"""What a checkpoint, or weights that ship, record about themselves."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from emotion_jax.data.sections import PLACES
from emotion_jax.errors import Mistake

FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Meta:
    """What a checkpoint records about itself."""

    config: dict
    names: dict[str, tuple[str, ...]]  # each task's classes or points
    side: int
    # Each class task's, fitted on val with this step's parameters.
    temperature: Mapping[str, float] = dataclasses.field(default_factory=dict)
    data: tuple[str, ...] = ()  # what it was trained and validated on, in words
    format_version: int = FORMAT_VERSION

    def after(self, temperature: Mapping[str, float]) -> "Meta":
        """A copy with these temperatures."""
        return dataclasses.replace(self, temperature=temperature)


def as_meta(fields: dict, folder: Path) -> Meta:
    """A folder's Meta, from the fields of its JSON."""
    if fields["format_version"] > FORMAT_VERSION:
        raise Mistake(
            f"{folder} has format version {fields['format_version']}, this "
            f"emotion_jax reads up to {FORMAT_VERSION}: upgrade it"
        )
    fields["names"] = {task: tuple(names) for task, names in fields["names"].items()}
    # Older checkpoints lack these, or have one temperature for all tasks.
    fields["data"] = tuple(fields.get("data", ()))
    fitted = fields.get("temperature", 1.0)
    if isinstance(fitted, float):
        fields["temperature"] = dict.fromkeys(fields["names"], fitted)
    return Meta(**fields)


def with_places(meta: Meta, workdir: Path | None) -> Meta:
    """The meta with the data where the run's latest start found it, if it was moved."""
    if workdir is None:
        return meta
    try:
        now = json.loads((workdir / "config.json").read_text())["data"]["sources"]
        sources = {
            name: section | {k: str(now[name][k]) for k in PLACES if k in now[name]}
            for name, section in meta.config["data"]["sources"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return meta
    data = meta.config["data"] | {"sources": sources}
    return dataclasses.replace(meta, config=meta.config | {"data": data})
