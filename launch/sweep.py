"""Search for a better recipe on `val`, or compare chosen ones; needs the extra sweep.

  python launch/sweep.py --config configs/synthetic.py --out runs/sweep --trials 20
  python launch/sweep.py --config configs/fer5.py --data fer2013=fer2013.csv \\
      --out runs/sweep --minutes 10 --jobs 8 --best
  python launch/sweep.py --config configs/fer5.py --data fer2013=fer2013.csv \\
      --out runs/compare --seeds 5 --compare base "model.width=64 model.dropout=0.3"

Optuna draws recipes from the spaces (spaces.py) and trains each from several seeds,
unless it is unpromising; its score is `config.checkpoint.best` at the end of training,
on `val`. OUT holds study.db, each run, table.jsonl (one row per recipe) and summary.md.
Killed and started again, or run several times at once, it continues the same search.

On one GPU, trainings of such small networks take turns, so --jobs 8 compiles eight
recipes while others train. All of a config's spaces, with FER+'s votes, in ten minutes:

  python launch/sweep.py --config configs/fer5.py --data fer2013=fer2013.csv \\
      --config.data.sources.fer2013.votes=fer2013new.csv \\
      --space network training augment emotion votes \\
      --out runs/sweep --minutes 10 --jobs 8 --best
"""

import contextlib
import threading
from collections.abc import Sequence

import lab as labs
import search
import spaces
import tally

from emotion_jax import cli, files, logs
from emotion_jax.config import literal
from emotion_jax.data.augment import make_augment
from emotion_jax.errors import Mistake, Stopped
from emotion_jax.models import new_network
from emotion_jax.optim import make_optimizer
from emotion_jax.plan import Plan
from emotion_jax.registry import build
from emotion_jax.report import tables
from emotion_jax.tasks import make_tasks
from emotion_jax.train import train_and_evaluate

BEST = 10  # rows of the summary
SPACE = f"""{", ".join(spaces.SPACES)}, or a file with a table as in spaces.py: with
{{"model.width": [32, 64], "model.dropout": (0.0, 0.5)}} it tries either width, and any
dropout between; default: network, training, augment and the tasks'"""


def summary(lab: labs.Lab, study, seeds: int) -> str:
    """The page of a search: the best recipes, and what made the difference."""
    found = tally.rows(lab)
    best = full(found, seeds)[:BEST]
    base = [row for row in found if not row["recipe"]]
    lines = [
        f"# Recipes by {found[0]['metric']} on `val`",
        "",
        f"{lab.file} {' '.join(lab.overrides)}".strip(),
        "",
        *(f"- {line}" for line in found[0]["data"]),
        f"- {len(found):,} recipes, {sum(len(r['seeds']) for r in found):,} runs",
        f"- {', '.join(found[0]['hardware'])}, jax {', '.join(found[0]['jax'])}, "
        f"commit {', '.join(found[0]['commit'])}",
        "",
        f"The best {BEST} of those with all their seeds, and the config as it is:",
        "",
        tally.best_table(best + [row for row in base if row not in best]),
    ]
    if shares := search.importance(study):
        body = [[name, f"{share:.2f}"] for name, share in shares.items()]
        lines += ["", "What the differences come from (fANOVA):", ""]
        lines += [tables.markdown(["field", "share"], body)]
    return "\n".join(lines) + "\n"


def full(found: Sequence[dict], seeds: int) -> list[dict]:
    """The rows with all seeds, or as many as any has: others were stopped early."""
    found = [row for row in found if row["mean"] is not None]
    seeds = min(seeds, max((len(row["seeds"]) for row in found), default=0))
    return [row for row in found if len(row["seeds"]) >= seeds]


def check_any(runs: Sequence) -> None:
    """Raises if there is no run to report."""
    if not any(runs):
        raise Stopped("the time was up before the first run: give more --minutes")


def winner_of(lab: labs.Lab, seeds: int) -> labs.Bench:
    """The best recipe among those with all their seeds."""
    found = full(tally.rows(lab), seeds)
    if not found:
        raise Stopped("every run diverged: a lower config.optim.learning_rate may help")
    return lab.bench(found[0]["recipe"])


def sweep(
    lab: labs.Lab, space: spaces.Space, clock: search.Clock, *, best: bool, **limits
) -> None:
    """Searches in `lab.out`, with checks before anything is written or slow."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise Mistake("a search needs Optuna: pip install -e '.[sweep]'") from None
    for recipe in spaces.corners(space):
        check_recipe(lab, recipe)
    plain, lock = lab.bench({}), threading.Lock()
    plain.check()
    lab.out.mkdir(parents=True, exist_ok=True)

    def write() -> None:
        with lock:
            tally.write_table(lab.out / "table.jsonl", tally.rows(lab))
            page = summary(lab, study, limits["seeds"])
            files.write_text(lab.out / "summary.md", page)

    name = f"{lab.key} {labs.digest(space)}"
    metric = plain.config.checkpoint.best
    with search.open_study(lab.out, name, metric) as study:
        with contextlib.suppress(search.OutOfTime):
            for seed in range(limits["seeds"]):
                with clock.run(0):
                    plain.run(seed)
            limits |= {"after": write, "spare": 2 if best else 0}
            search.search(study, space, lab.bench, clock, **limits)
        check_any(tally.rows(lab))
        write()
    print((lab.out / "summary.md").read_text())
    if best:
        winner = winner_of(lab, limits["seeds"])
        workdir = lab.out / f"best-{winner.key}"
        train_and_evaluate(winner.config, workdir)
        print(f"trained the best: evaluate --checkpoint {workdir}")


def check_recipe(lab: labs.Lab, recipe: labs.Recipe) -> None:
    """Raises for a field or a value that the config does not accept."""
    config = lab.config(recipe)
    tasks = make_tasks(config.tasks)
    make_augment(tasks, config.augment)
    new_network(tasks, config.model)
    build(config, "optim", make_optimizer, Plan(64, 10_000, 10_000, 100.0))


def recipe_of(text: str) -> dict[str, object]:
    """A recipe as given: `base`, or fields such as "model.width=64 model.dropout=0"."""
    recipe = {}
    for part in [] if text == "base" else text.split():
        field, equals, value = part.removeprefix("--config.").partition("=")
        if not equals:
            raise Mistake(f"{text!r} is no recipe: write base, or FIELD=VALUE ...")
        recipe[field] = literal(value)
    return recipe


def compare(
    lab: labs.Lab, recipes: Sequence[labs.Recipe], seeds: int, clock: search.Clock
) -> str:
    """Runs each recipe from each seed; a table of differences from the first recipe."""
    benches = [lab.bench(recipe) for recipe in recipes]
    for bench in benches:
        check_recipe(lab, bench.recipe)
        bench.check()
    with contextlib.suppress(search.OutOfTime):
        for seed in range(seeds):
            for bench in benches:
                with clock.run(0):
                    value = bench.run(seed)["value"]
                words = tally.words(bench.recipe)
                logs.say(f"seed {seed}: {tally.number(value)}  {words}")
    kept = lab.runs()
    runs = [[r for r in kept.get(b.key, []) if r["seed"] < seeds] for b in benches]
    check_any(runs)
    return tally.compared([tally.words(bench.recipe) for bench in benches], runs)


def main(args: list[str]) -> None:
    """The sweep."""
    parser = cli.Parser("python launch/sweep.py", __doc__)
    add = parser.add_argument
    add("--data", **cli.SOURCES, help="where a source of the config is")
    add("--val", **cli.SOURCES, help="a second file, to choose on")
    add("--out", type=cli.here, required=True, metavar="DIR", help="what it keeps")
    add("--space", nargs="+", default=[], metavar="SPACE", help=SPACE)
    add("--trials", type=int, default=0, metavar="N", help="recipes, in all starts")
    add("--minutes", type=float, default=0.0, metavar="M", help="0: no limit")
    add("--seeds", type=int, default=3, metavar="N", help="runs of a recipe")
    add("--jobs", type=int, default=1, metavar="N", help="recipes at a time")
    add("--best", action="store_true", help="train the best one, into OUT/best-...")
    add("--compare", nargs="+", default=[], metavar="RECIPE", help="no search: these")
    overrides = cli.overrides(args)
    flags, config = parser.parse_with_config(args)
    if min(flags.seeds, flags.jobs) < 1 or min(flags.trials, flags.minutes) < 0:
        raise Mistake("--seeds and --jobs are at least 1, --trials and --minutes 0")
    if flags.compare and (flags.trials or flags.best or flags.space):
        raise Mistake("--compare is no search: leave out --trials, --best and --space")
    if not (flags.compare or flags.trials or flags.minutes):
        raise Mistake("a search needs an end: --trials, --minutes, or both")
    cli.check_folder("--out", flags.out)
    lab = labs.Lab(flags.config, overrides, flags.data, flags.val, flags.out)
    clock = search.Clock(flags.minutes)
    if flags.compare:
        page = compare(lab, [recipe_of(r) for r in flags.compare], flags.seeds, clock)
        files.write_text(flags.out / "compare.md", page + "\n")
        return print(page)
    space = spaces.space_of(flags.space or spaces.default_names(config.tasks))
    limits = {name: getattr(flags, name) for name in ("trials", "seeds", "jobs")}
    sweep(lab, space, clock, best=flags.best, **limits)


if __name__ == "__main__":
    cli.main(main)
