"""Questions answered by measurement, each with a table and a figure.

  python launch/studies.py activation --data fer2013=fer2013.csv --out runs/studies
  python launch/studies.py shortcuts --data fer2013=fer2013.csv --out runs/studies
  python launch/studies.py heads --data keypoints=training.csv --out runs/studies
  python launch/studies.py mirror --data keypoints=training.csv --out runs/studies

Each trains a few recipes of one config that differ in nothing else, from several seeds.
If killed and started again, it continues. Fields of the config can be set.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import benchmark
import jax
import lab as labs
import numpy as np
import rig as rigs
import tally

from emotion_jax import cli, files, logs
from emotion_jax.errors import Mistake, Stopped
from emotion_jax.gradients import make_gradient_norms
from emotion_jax.registry import pick
from emotion_jax.report import charts, tables
from emotion_jax.trial import Run


def gradients(kept: dict, bench: labs.Bench, run: Run) -> dict:
    """The gradient's norm at each layer after training, on a batch of its faces."""
    trial = bench.trial
    if bench.key not in kept:
        kept[bench.key] = make_gradient_norms(trial.network, trial.tasks)
    train = next(iter(bench.lab.faces(bench.config)[0].values()))
    few = jax.tree.map(lambda table: table[:128], train.faces)
    return {"gradients": kept[bench.key](run.variables, few)}


def cost(kept: dict, bench: labs.Bench, run: Run) -> dict:
    """The FLOPs of a training step per face, and the least milliseconds per batch."""
    if bench.key not in kept:
        size = bench.config.train.batch_size
        rig = rigs.Rig(bench.config, bench.mesh, size, 4 * size)
        step_ms = 1e3 * size / max(rigs.training(rig, "resident", 5))
        flops = benchmark.model_flops(rig)
        kept[bench.key] = {"mflops": round(flops / 1e6, 2), "step_ms": step_ms}
    return kept[bench.key]


def draw_training(path: Path, runs: Mapping[str, Sequence[dict]]) -> None:
    """Draws loss by step, gradient by layer and the result on `val` for every seed."""
    with charts.drawing(charts.STYLE | {"text.parse_math": True}):
        figure, (loss, norms, value) = charts.figure_of(3.0, 3)
        for i, (name, mine) in enumerate(runs.items()):
            color = charts.PALETTE[i]
            steps = np.linspace(1, mine[0]["steps"], len(mine[0]["loss"]))
            band(loss, steps, [run["loss"] for run in mine], color, name)
            layers = [list(run["gradients"].values()) for run in mine]
            band(norms, np.linspace(0, 1, len(layers[0])), layers, color, name)
            values = [run["value"] for run in mine]
            value.plot([i] * len(values), values, "o", color=color)
        loss.set(title="training loss", xlabel="step")
        norms.set(title="norm of the gradient", xlabel="from the image to the answer")
        norms.set(yscale="log", xticks=[])
        finish(value, runs)
        figure.legend(
            *loss.get_legend_handles_labels(), loc="outside lower center", ncols=4
        )
        figure.savefig(path)


def draw_cost(path: Path, runs: Mapping[str, Sequence[dict]]) -> None:
    """Draws the result on `val`, and what it costs."""
    with charts.drawing():
        figure, (value, size, time) = charts.figure_of(2.8, 3)
        for i, mine in enumerate(runs.values()):
            color = charts.PALETTE[i % len(charts.PALETTE)]
            values = [run["value"] for run in mine]
            value.plot([i] * len(values), values, "o", color=color)
            size.bar(i, mine[0]["parameters"] / 1e3, color=color, width=0.6)
            time.bar(i, mine[0]["step_ms"], color=color, width=0.6)
        finish(value, runs)
        for axis, title in ((size, "thousand parameters"), (time, "ms a step")):
            axis.set_title(title)
            axis.set_xticks(range(len(runs)), list(runs), rotation=20)
        figure.savefig(path)


def band(axis, x, lines: Sequence[Sequence[float]], color: str, label: str) -> None:
    """Draws the mean of the seeds, and their range."""
    found = np.array(lines, float)
    axis.plot(x, found.mean(0), color=color, label=label)
    axis.fill_between(x, found.min(0), found.max(0), color=color, alpha=0.2)


def finish(axis, runs: Mapping[str, Sequence[dict]]) -> None:
    """Finishes the axis of the results on `val`."""
    metric = next(iter(runs.values()))[0]["metric"].split("/")[1]
    axis.set_title(f"{metric} on val, each seed")
    axis.set_xticks(range(len(runs)), list(runs), rotation=20)
    axis.margins(x=0.2)


@dataclasses.dataclass(frozen=True)
class Study:
    """Recipes of one config, what else to measure for them, and their figure."""

    file: str
    overrides: Sequence[str]
    recipes: Mapping[str, labs.Recipe]
    also: Callable[[dict, labs.Bench, Run], dict]
    draw: Callable[[Path, Mapping[str, Sequence[dict]]], None]


SMALL = (
    *("--config.model.width=16", "--config.model.stem_stride=4"),
    *("--config.train.epochs=0.0", "--config.optim.name=adamw"),
    *("--config.optim.learning_rate=0.003", "--config.optim.weight_decay=0.02"),
)
SHALLOW, DEEP = (1, 1), (6, 6)
STUDIES = {
    "activation": Study(
        "configs/fer5.py",
        (*SMALL, "--config.model.blocks=(1, 1, 1)", "--config.train.steps=250"),
        {name: {"model.activation": name} for name in ("relu", "sigmoid")},
        gradients,
        draw_training,
    ),
    "shortcuts": Study(
        "configs/fer5.py",
        (*SMALL, "--config.train.steps=400"),
        {
            f"{1 + 2 * sum(blocks)} layers, {name}": {
                "model.blocks": blocks,
                "model.shortcut": shortcut,
            }
            for name, shortcut in (("shortcuts", True), ("plain", False))
            for blocks in (SHALLOW, DEEP)
        },
        gradients,
        draw_training,
    ),
    "heads": Study(
        "configs/keypoints.py",
        (
            *(*SMALL, "--config.model.blocks=(1, 1)", "--config.train.steps=150"),
            "--config.data.side=48",
        ),
        {
            "pooled": {"tasks.keypoints.head": "pooled"},
            "flat": {"tasks.keypoints.head": "flat"},
            "soft-argmax": {"tasks.keypoints.head": "heatmap"},
            "heat map": {
                "tasks.keypoints.head": "heatmap",
                "tasks.keypoints.loss": "heatmap",
            },
        },
        cost,
        draw_cost,
    ),
    "mirror": Study(
        "configs/keypoints.py",
        (
            *("--config.data.side=48", "--config.model.blocks=(1, 1, 1)"),
            "--config.train.epochs=20.0",
        ),
        {
            name: {
                "augment.alternating_flip.probability": mirrored,
                "tasks.keypoints.learn_offset": learnt,
            }
            for name, mirrored, learnt in (
                ("mirrored", 1.0, False),
                ("not mirrored", 0.0, False),
                ("mirrored, offset learnt", 1.0, True),
            )
        },
        gradients,
        draw_training,
    ),
}


def whole(runs: Mapping[str, Sequence[dict]]) -> dict[str, list[dict]]:
    """The runs that did not diverge, for each recipe that has any."""
    ended = {
        name: [run for run in mine if run["value"] is not None]
        for name, mine in runs.items()
    }
    if not any(ended.values()):
        raise Stopped("every run diverged: a lower config.optim.learning_rate may help")
    return {name: mine for name, mine in ended.items() if mine}


def measured(runs: Sequence[dict]) -> dict[str, list]:
    """What else was measured for each run, by name."""
    names = ("loss", "gradients", "mflops", "step_ms")
    names = [name for name in names if any(name in run for run in runs)]
    return {name: [run.get(name) for run in runs] for name in names}


def table(runs: Mapping[str, Sequence[dict]]) -> str:
    """A table with one row per recipe; differences from the first are seed by seed."""
    first, body, ended = next(iter(runs.values())), [], whole(runs)
    ran = next(iter(ended.values()))[0]
    costs = [name for name in ("mflops", "step_ms") if name in ran]
    for name, mine in runs.items():
        row, good = tally.row(mine), ended.get(name, [])
        gap = "-" if mine is first else tally.told(tally.difference(first, mine))
        body.append(
            [
                name,
                tally.spread(row),
                gap,
                f"{np.mean([run['loss'][-1] for run in good]):.3f}" if good else "-",
                f"{row['parameters']:,}",
                *(f"{good[0][cost]:.1f}" if good else "-" for cost in costs),
                f"{min(row['seconds']):.0f}",
            ]
        )
    head = ["", first[0]["metric"], "more than the first (95 %)", "last loss"]
    head += ["parameters", *costs, "seconds a run"]
    return tables.markdown(head, body)


def main(args: list[str]) -> None:
    """A study."""
    parser = cli.Parser("python launch/studies.py", __doc__)
    add = parser.add_argument
    add("study", metavar="STUDY", help=", ".join(STUDIES))
    add("--data", **cli.SOURCES, help="where the config's source is")
    add("--out", type=cli.here, required=True, metavar="DIR", help="what it keeps")
    add("--seeds", type=int, default=3, metavar="N", help="runs of a recipe")
    overrides = cli.overrides(args)
    flags = parser.parse([arg for arg in args if arg not in overrides])
    study = pick("study", flags.study, STUDIES)
    if flags.seeds < 1:
        raise Mistake(f"--seeds is {flags.seeds}, must be at least 1")
    cli.check_folder("--out", flags.out)

    kept: dict = {}
    lab = labs.Lab(
        study.file,
        [*study.overrides, *overrides],
        *(flags.data, [], flags.out),
        also=lambda bench, run: study.also(kept, bench, run),
        purpose=flags.study,
    )
    benches = {name: lab.bench(recipe) for name, recipe in study.recipes.items()}
    for bench in benches.values():
        bench.check()
    runs: dict[str, list] = {name: [] for name in benches}
    for seed in range(flags.seeds):
        for name, bench in benches.items():
            runs[name].append(bench.run(seed))
            value = tally.number(runs[name][-1]["value"])
            logs.say(f"seed {seed}: {name} {value}")
    path = flags.out / f"studies_{flags.study}"
    rows = (tally.row(mine) | measured(mine) for mine in runs.values())
    tally.write_table(path.with_suffix(".jsonl"), rows)
    study.draw(path.with_suffix(".png"), whole(runs))
    page = table(runs)
    files.write_text(path.with_suffix(".md"), page + "\n")
    print(page)


if __name__ == "__main__":
    cli.main(main)
