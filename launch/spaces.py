"""What a sweep searches: tables of a config's fields, one dimension per line.

"model.width": [32, 64]                     one of these
"model.dropout": (0.0, 0.5)                 between these; whole numbers stay whole
"optim.learning_rate": (0.01, 0.1, "log")   between these, evenly in the logarithm
"optim.name": {"sgd": {...}, "adamw": {...}}   one of these, each with its own table
"(mixing)": {"none": {}, "mixup": {...}}    the same, where no field names the choice
"augment.erase.low": 0.02                   in such a table: fixed
"""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

from emotion_jax import registry
from emotion_jax.errors import Mistake

Space = Mapping[str, object]

NETWORK = {
    "model.width": [32, 48, 64, 96],
    "model.blocks": [(1, 1, 1), (1, 1, 1, 1), (2, 2, 2), (2, 2, 2, 2), (3, 3, 3)],
    "model.stem_stride": [1, 2],
    "model.activation": ["relu", "gelu", "silu"],
    "model.preactivation": [False, True],
    "model.squeeze_excite": [0, 4, 16],
    "model.antialias": [False, True],
    "model.stochastic_depth": (0.0, 0.3),
    "model.dropout": (0.0, 0.5),
}
TRAINING = {
    "optim.name": {
        "sgd": {
            "optim.learning_rate": (0.02, 0.5, "log"),
            "optim.weight_decay": (1e-5, 5e-3, "log"),
        },
        "adamw": {
            "optim.learning_rate": (5e-4, 2e-2, "log"),
            "optim.weight_decay": (5e-3, 0.5, "log"),
        },
        "muon": {
            "optim.learning_rate": (5e-3, 0.1, "log"),
            "optim.weight_decay": (5e-3, 0.5, "log"),
        },
    },
    "optim.schedule.name": ["cosine", "linear", "one_cycle"],
    "optim.schedule.warmup": ["5%", "10%", "20%", "30%"],
    "optim.ema_decay": [0.0, 0.98, 0.99, 0.995, 0.999],
    "train.batch_size": [64, 128, 256, 512],
    "train.epochs": [20.0, 30.0, 45.0, 60.0],
}
WEAK = {
    "augment.rotate.degrees": 6.0,
    "augment.zoom.low": 0.94,
    "augment.zoom.high": 1.07,
    "augment.translate.fraction": 0.04,
}
STRONG = {
    "augment.rotate.degrees": 20.0,
    "augment.zoom.low": 0.8,
    "augment.zoom.high": 1.25,
    "augment.translate.fraction": 0.12,
    "augment.shear.degrees": 10.0,
}
AUGMENT = {
    "(strength)": {"weak": WEAK, "as it is": {}, "strong": STRONG},
    "augment.policy.count": [0, 2, 4],
    "augment.erase.probability": (0.0, 0.7),
}
EMOTION = {
    "tasks.emotion.label_smoothing": (0.0, 0.2),
    "(mixing)": {
        "none": {},
        "mixup": {
            "augment.mixup.probability": (0.2, 1.0),
            "augment.mixup.alpha": (0.1, 1.0, "log"),
        },
        "cutmix": {"augment.cutmix.probability": (0.2, 1.0)},
    },
    "(rare classes)": {
        "as they are": {},
        "inverse": {"tasks.emotion.class_weights": "inverse"},
        "effective": {"tasks.emotion.class_weights": "effective"},
        "balance": {"feed.balance.emotion": (0.2, 1.0)},
    },
}
POINT_LOSS = {"tasks.keypoints.loss": ["squared", "smooth_l1", "wing"]}
KEYPOINTS = {
    "tasks.keypoints.head": {
        "pooled": POINT_LOSS,
        "flat": POINT_LOSS,
        "heatmap": {"tasks.keypoints.loss": ["heatmap", "smooth_l1"]},
    },
    "tasks.keypoints.delta_px": (1.0, 4.0),
    "tasks.keypoints.learn_offset": [False, True],
}
VOTES = {  # needs --config.data.sources.fer2013.votes=fer2013new.csv
    "data.sources.fer2013.labels": ["original", "majority", "mean", "distribution"],
    "data.sources.fer2013.drop_no_face": [False, True],
}
SPACES = {
    "network": NETWORK,
    "training": TRAINING,
    "augment": AUGMENT,
    "emotion": EMOTION,
    "keypoints": KEYPOINTS,
    "both": {"tasks.keypoints.weight": (0.1, 2.0, "log")},
    "votes": VOTES,
}


def space_of(names: Sequence[str]) -> dict[str, object]:
    """Joins several spaces: names from SPACES, or files that hold such a table."""
    found = {}
    for name in names:
        found |= SPACES[name] if name in SPACES else read(name)
    check(found)
    return found


def default_names(tasks: Mapping) -> list[str]:
    """The spaces that suit a config with these tasks."""
    return ["network", "training", "augment", *tasks, *["both"] * (len(tasks) > 1)]


def read(name: str) -> dict[str, object]:
    """Reads a file's table: a Python dict, comments allowed."""
    if not Path(name).is_file():
        raise registry.unknown("space, and no file,", name, SPACES)
    try:
        found = ast.literal_eval(Path(name).read_text())
    except (ValueError, TypeError, SyntaxError, OSError):
        found = None
    if not isinstance(found, dict):
        raise Mistake(f"{name} is no space: it must hold one dict of Python literals")
    return found


def check(space: Space, inside: bool = False) -> None:
    """Raises for a line that is not a dimension."""
    for field, line in space.items():
        match line:
            case dict() if line and all(isinstance(t, dict) for t in line.values()):
                for table in line.values():
                    check(table, inside=True)
            case [_, *_] if isinstance(line, list):
                pass
            case (int() | float() as low, int() | float() as high) if low < high:
                pass
            case (int() | float() as low, int() | float() as high, "log") if (
                0 < low < high
            ):
                pass
            case bool() | int() | float() | str() if inside:
                pass
            case _:
                raise Mistake(
                    f"the space has {field}: {line!r}; expected [choices], (low, "
                    'high), (low, high, "log"), or a table for each name'
                )


def draw(trial, space: Space, within: str = "") -> dict[str, object]:
    """A recipe from the space, as suggested by Optuna's trial."""
    recipe = {}
    for field, line in space.items():
        name = within + field
        if isinstance(line, dict):
            chosen = trial.suggest_categorical(name, list(line))
            if not field.startswith("("):
                recipe[field] = chosen
            recipe |= draw(trial, line[chosen], f"{within}{chosen} ")
        elif isinstance(line, list):
            labels = [str(choice) for choice in line]
            recipe[field] = line[labels.index(trial.suggest_categorical(name, labels))]
        elif isinstance(line, tuple):
            whole = isinstance(line[0], int) and isinstance(line[1], int)
            suggest = trial.suggest_int if whole else trial.suggest_float
            recipe[field] = suggest(name, line[0], line[1], log=len(line) == 3)
        else:
            recipe[field] = line
    return recipe


def corners(space: Space) -> list[dict[str, object]]:
    """Recipes that together cover each choice and both ends of each range once."""
    found = []
    for field, line in space.items():
        if isinstance(line, dict):
            named = not field.startswith("(")
            for chosen, table in line.items():
                first = {field: chosen} if named else {}
                fixed = {f: v for f, v in table.items() if is_fixed(v)}
                start = first | fixed
                inner = corners({f: v for f, v in table.items() if f not in fixed})
                found += [start | recipe for recipe in inner] or [start]
        else:
            found += [{field: value} for value in line if value != "log"]
    return found


def is_fixed(line: object) -> bool:
    """Whether a line of a table leaves no choice."""
    return not isinstance(line, dict | list | tuple)
