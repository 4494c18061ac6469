"""Command lines and configs that somebody might write, nearly all of them wrong."""

import functools
import inspect
import random
from pathlib import Path

import binaries
import tiny
from case import DAMAGES, Case, pickled

from emotion_jax.data import SOURCES, synthetic
from emotion_jax.data.augment import AUGMENTATIONS, Policy
from emotion_jax.models import HEADS, MODELS, make_network
from emotion_jax.optim import make_optimizer, with_lookahead
from emotion_jax.optimizers import OPTIMIZERS
from emotion_jax.plan import make_plan
from emotion_jax.schedules import SCHEDULES
from emotion_jax.simclr import SimCLR
from emotion_jax.tasks import TASKS
from emotion_jax.workdir import flatten, to_dict

synthetic.draw_many(10, 0)  # compiles, before the time of any case begins

NUMBERS = [0, -1, 1, 2, 3, 7, 1000, 10**30, -(10**30), 2**31, 2**63, 0.5, -0.5, 1.5]
NUMBERS += [1e-9, 1e9, 1e308, float("nan"), float("inf"), -float("inf"), True, False]
TEXTS = [
    "",
    "x",
    "0",
    "-3",
    "5%",
    "1e999%",
    "2 epochs",
    "9" * 400,
    "ü",
    "nan",
    "\0",
    "a\nb",
]
THINGS = [None, (), (1,), ("a",), [1, [2]], {}, {"a": 1}, {"name": "x"}, {1: 2}, b"x"]
THINGS += [{"name": {}}, (("", 0.0),), (("(", 1.0),), ((0, 0.0), (5, 1.0)), (0.0,) * 5]
THINGS += [3 + 4j, {1, 2}, ..., [[]], (-1, 1), (10**9,), (1, 1.5), ("5%", "x")]
VALUES = [*NUMBERS, *TEXTS, *THINGS]


def parameters(function, given: int = 0) -> list[str]:
    """The fields that a section of a config takes, after what is given."""
    found = list(inspect.signature(function).parameters.values())[given:]
    return [p.name for p in found if p.kind is not p.VAR_KEYWORD]


@functools.cache
def fields() -> list[tuple[str, dict]]:
    """Every field of a config, and what must be set beside it for it to count."""
    found = {name: {} for name, _ in flatten(to_dict(tiny.config()))}
    found |= dict.fromkeys(tiny.config().keys(), {})
    for name, read in SOURCES.items():
        for field in [*parameters(read), "val"]:
            beside = {} if name == "synthetic" else {"data.sources": {name: {}}}
            found[f"data.sources.{name}.{field}"] = beside
    for field in [*parameters(make_network, 1), *parameters(MODELS["resnet"])]:
        found[f"model.{field}"] = {}
    found |= {f"model.simclr.{field}": {} for field in parameters(SimCLR)}
    for task, make in TASKS.items():
        found |= {f"tasks.{task}.{field}": {} for field in parameters(make)}
    for head in HEADS:
        found[f"tasks.keypoints.head@{head}"] = {}
    for name, function in AUGMENTATIONS.items():
        for field in ["probability", *parameters(function, 2)]:
            found[f"augment.{name}.{field}"] = {}
    found |= {f"augment.policy.{field}": {} for field in parameters(Policy)}
    found |= {f"train.{field}": {} for field in parameters(make_plan, 2)}
    found |= {f"optim.{field}": {} for field in parameters(make_optimizer, 1)}
    for name, make in OPTIMIZERS.items():
        beside = {"optim.name": name, "optim.ema_decay": 0.0}
        found |= {f"optim.options.{f}@{name}": beside for f in parameters(make, 2)}
    for name, make in SCHEDULES.items():
        beside = {"optim.schedule": {"name": name}}
        found |= {f"optim.schedule.{f}@{name}": beside for f in parameters(make, 2)}
    for field in parameters(with_lookahead, 1):
        found[f"optim.lookahead.{field}"] = {}
    found |= {"feed.balance": {}, "feed.balance.emotion": {}, "unknown": {}}
    found |= {"data.sources.unknown": {}, "tasks.unknown": {}, "augment.unknown": {}}
    return [(name.split("@")[0], found[name]) for name in sorted(found)]


def one_field(rng: random.Random, folder: Path) -> list[str]:
    """A config file with a field of any value."""
    name, beside = rng.choice(fields())
    made = beside | {name: rng.choice(VALUES)}
    return ["--config", binaries.write_config(folder, made), "--workdir", "run"]


def two_fields(rng: random.Random, folder: Path) -> list[str]:
    made = {}
    for name, beside in rng.sample(fields(), 2):
        made |= beside | {name: rng.choice(VALUES)}
    return ["--config", binaries.write_config(folder, made), "--workdir", "run"]


def override(rng: random.Random, folder: Path) -> list[str]:
    """The same on the command line, as text."""
    name, beside = rng.choice(fields())
    value = str(rng.choice(VALUES)).replace("\0", "0")
    args = ["--config", binaries.write_config(folder, beside), "--workdir", "run"]
    return [*args, f"--config.{name}={value}"]


def field_gone(rng: random.Random, folder: Path) -> list[str]:
    config = tiny.config().to_dict()
    name = rng.choice([n for n, _ in flatten(config)] + 3 * list(config))
    *sections, field = name.split(".")
    at = config
    for section in sections:
        at = at[section]
    at.pop(field)
    return ["--config", binaries.write_dict(folder, config), "--workdir", "run"]


def field_misspelt(rng: random.Random, folder: Path) -> list[str]:
    name, beside = rng.choice(fields())
    spelt = rng.choice([name[:-1], name + "x", name.upper(), "x." + name, name + ".x"])
    made = beside | {spelt: rng.choice(VALUES)}
    return ["--config", binaries.write_config(folder, made), "--workdir", "run"]


def no_dict(rng: random.Random, folder: Path) -> list[str]:
    """What get_config returns is made of something else."""
    name = binaries.write_dict(folder, rng.choice([*VALUES, {"a": {"b": {}}}]))
    return ["--config", name, "--workdir", "run"]


def config_damaged(rng: random.Random, folder: Path) -> list[str]:
    """A config file cut off, shuffled and so on; harmless text, as it is executed."""
    name = binaries.write_config(folder, {})
    text = (folder / name).read_bytes()
    (folder / name).write_bytes(rng.choice(DAMAGES)(rng, text))
    return ["--config", name, "--workdir", "run"]


def config_path(rng: random.Random, folder: Path) -> list[str]:
    (folder / "pickle.py").write_bytes(pickled(folder))
    (folder / "folder.py").mkdir()
    (folder / "loop.py").symlink_to("loop.py")
    (folder / "empty.py").write_text("")
    names = ["pickle.py", "folder.py", "loop.py", "empty.py", "none.py", "", ".", "/"]
    names += ["configs/synthetc.py", "x" * 5000 + ".py", "configs", "~", "a\nb", "-"]
    return ["--config", rng.choice(names), "--workdir", "run"]


FLAGS = ["--config", "--workdir", "--data", "--val", "--checkpoint", "--split", "--out"]
FLAGS += [
    "--tta",
    "--faces",
    "--seed",
    "--help",
    "--hel",
    "-h",
    "--",
    "-",
    "--config.",
    "-x",
]
FLAGS += ["--config.seed", "--config..=1", "--config.=", "--no-such=1", "--workdir="]
ARGS = [
    "",
    " ",
    "x",
    "run",
    "config.py",
    "synthetic",
    "synthetic=x",
    "fer2013",
    "fer2013=",
]
ARGS += [
    "fer2013:9=x",
    "folder=.",
    "=x",
    ":",
    "=",
    "0",
    "-1",
    "1e9",
    "nan",
    "10" * 20,
    "ü",
]
ARGS += [
    "keypoints:5=x",
    "synthetic:5",
    "val",
    "test+val",
    "+",
    "x" * 5000,
    "a\nb",
    "none",
]


def flags(rng: random.Random, folder: Path) -> list[str]:
    """Any flags in any order."""
    binaries.write_config(folder, {})
    good = [["--config", "config.py"], ["--workdir", "run"]]
    good += [["--checkpoint", binaries.checkpoint()], ["--out", "out"]]
    bad = [
        [rng.choice(FLAGS)] + rng.choices(ARGS, k=rng.randrange(3)) for _ in range(3)
    ]
    parts = rng.sample(good, rng.randrange(1, 5)) + bad[: rng.randrange(1, 4)]
    rng.shuffle(parts)
    return [arg for part in parts for arg in part]


def train_flags(rng: random.Random, folder: Path) -> list[str]:
    """One wrong thing beside what train needs."""
    made = rng.choice([{}, {"data.sources": {"fer2013": {}}}, {"data.sources": {}}])
    args = ["--config", binaries.write_config(folder, made), "--workdir", "run"]
    flag = rng.choice(["--data", "--val", "--workdir", "--config.seed", "--x"])
    return [*args, flag, *rng.choices(ARGS, k=rng.choice([0, 1, 1, 1, 2]))]


def place(rng: random.Random, folder: Path) -> str:
    """A path that nothing can be written to, or that exists already."""
    (folder / "file").write_text("mine")
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    places = ["file", "file/under", "loop", "loop/under", "/dev/null", "/proc/x/y", ""]
    places += ["x" * 300, "x/" * 3000, "/dev/null/x", "folder", "a\nb", "."]
    return rng.choice(places)


def workdir(rng: random.Random, folder: Path) -> list[str]:
    name = binaries.write_config(folder, {})
    return ["--config", name, "--workdir", place(rng, folder)]


def evaluate_flags(rng: random.Random, folder: Path) -> list[str]:
    args = ["--checkpoint", binaries.checkpoint(), "--out", "out"]
    flag = rng.choice(["--data", "--split", "--checkpoint", "--tta", "--x", "--data"])
    return [*args, flag, *rng.choices(ARGS, k=rng.choice([0, 1, 1, 1, 2]))]


def evaluate_out(rng: random.Random, folder: Path) -> list[str]:
    return ["--checkpoint", binaries.checkpoint(), "--out", place(rng, folder)]


def evaluate_path(rng: random.Random, folder: Path) -> list[str]:
    step = f"{binaries.checkpoint()}/checkpoints/2"
    names = [step, f"{step}/state", f"{step}/meta", ".", "/", "none", "", "x" * 5000]
    names += ["/dev/null", __file__, "~nobody", "a\nb", "loop"]
    (folder / "loop").symlink_to("loop")
    return ["--checkpoint", rng.choice(names), "--out", "out"]


def sheet(rng: random.Random, folder: Path) -> list[str]:
    """The sheet of augmentations, of any config and to anywhere."""
    name, beside = rng.choice([f for f in fields() if f[0].startswith("augment")])
    made = beside | {name: rng.choice(VALUES)}
    config = binaries.write_config(folder, rng.choice([{}, made]))
    out = rng.choice(["out.png", "out.xyz", "out", "out.pdf", place(rng, folder)])
    return rng.choice([["--out", out], ["--out", out, "--config", config]])


def csvs(rng: random.Random, folder: Path) -> list[str]:
    """Synthetic faces of any number to anywhere."""
    out = rng.choice(["out", place(rng, folder)])
    value = rng.choice([*NUMBERS, *ARGS])
    return [out, rng.choice(["--faces", "--seed"]), str(value)]


TRAIN = (
    [one_field] * 5 + [override] * 3 + [two_fields] * 2 + [field_gone, field_misspelt]
)
TRAIN += [no_dict, config_damaged, config_path, flags, train_flags, workdir]
EVALUATE = [flags, evaluate_flags, evaluate_flags, evaluate_out, evaluate_path]


def make(rng: random.Random, number: int, folder: Path) -> Case:
    """The case of this number: every kind of mistake in turn."""
    made = [(binaries.train, kind) for kind in TRAIN]
    made += [(binaries.evaluate, kind) for kind in EVALUATE]
    made += [(binaries.augmentations, kind) for kind in (sheet, sheet, flags)]
    made += [(binaries.write_csv, kind) for kind in (csvs, flags)]
    binary, kind = made[number % len(made)]
    name = f"{kind.__name__}, {binary.__name__.split('.')[-1]}"
    return Case(name, binary, kind(rng, folder))
