"""Laws of the sweep: nothing is lost or made twice, and val alone decides."""

import dataclasses
import json
import re
from types import SimpleNamespace

import lab as labs
import pytest
import search
import spaces
import sweep
import tally

from emotion_jax import cli
from emotion_jax.config import load_config
from emotion_jax.data.write_csv import write_csv
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import restore

pytest.importorskip("optuna", reason="needs the extra sweep")


@pytest.fixture
def config(tmp_path) -> str:
    """A config's file: a run of seconds on synthetic faces."""
    file = tmp_path / "tiny_config.py"
    file.write_text("import tiny\nget_config = tiny.config\n")
    return str(file)


@pytest.fixture
def lab(config, tmp_path):
    return labs.Lab(config, ["--config.train.steps=2"], [], [], tmp_path / "out")


@pytest.mark.parametrize("name", ["fer5", "combined"])
def test_a_config_takes_every_corner_of_its_spaces(name, tmp_path):
    file = f"configs/{name}.py"
    tasks = load_config(file, []).tasks
    space = spaces.space_of(spaces.default_names(tasks))
    assert len(spaces.corners(space)) > 40
    for recipe in spaces.corners(space):
        sweep.check_recipe(labs.Lab(file, [], [], [], tmp_path), recipe)


def test_fields_of_a_recipe_are_judged_together(tmp_path):
    lab = labs.Lab("configs/keypoints.py", [], [], [], tmp_path)
    loss = {"tasks.keypoints.loss": "heatmap"}
    with pytest.raises(Mistake, match="needs the head 'heatmap'"):
        sweep.check_recipe(lab, loss)
    sweep.check_recipe(lab, loss | {"tasks.keypoints.head": "heatmap"})


def test_a_run_is_made_once_and_again_to_the_bit(lab):
    recipe = {"optim.learning_rate": 0.01}
    bench = lab.bench(recipe)
    first = bench.run(1)
    (path,) = (lab.out / "runs").iterdir()
    written = path.stat().st_mtime_ns
    assert lab.bench(recipe, number=3).run(1) == first
    assert path.stat().st_mtime_ns == written
    path.with_name(f".123.{path.name}").write_text("half")  # another process's
    assert lab.runs() == {bench.key: [first]}
    path.unlink()
    again = bench.run(1)
    assert again.pop("seconds") and first.pop("seconds") and again == first
    assert first["recipe"] == recipe and first["steps"] == 2
    assert first["metric"] == "emotion/accuracy" and 0 <= first["value"] <= 1
    assert first["value"] == first["numbers"]["emotion/accuracy"]
    assert first["hardware"] == "cpu" and first["commit"] and first["jax"]
    assert [line.split(",")[1] for line in first["data"]] == [
        " split train",
        " split val",
    ]


def test_a_run_is_known_by_all_that_decides_its_number(lab, config):
    key = lab.bench({}).key
    assert key != lab.bench({"optim.learning_rate": 0.1}).key
    for field, same in (
        *(("log.every=7", True), ("eval.every=2", True)),
        *(("train.steps=3", False), ("seed=5", False)),
    ):
        overrides = [*lab.overrides, f"--config.{field}"]
        other = dataclasses.replace(lab, overrides=overrides)
        assert (other.bench({}).key == key) == same == (other.key == lab.key)


def test_what_is_compared_with_another_config_or_measured_besides_is_another_run(lab):
    recipe = {"optim.learning_rate": 0.01}
    lab.bench(recipe).run(0)
    fast = dataclasses.replace(
        lab, overrides=[*lab.overrides, "--config.optim.learning_rate=0.01"]
    )
    study = dataclasses.replace(
        lab, also=lambda bench, run: {"more": 1}, purpose="study"
    )
    assert fast.runs() == study.runs() == {}
    assert fast.bench({}).run(0)["recipe"] == {}
    assert study.bench(recipe).run(0)["more"] == 1
    assert [len(each.runs()) for each in (lab, fast, study)] == [1, 1, 1]


def test_a_run_is_known_by_the_contents_of_its_files_and_not_their_names(lab, tmp_path):
    keys = []
    for number, text in enumerate(("a", "a", "b")):
        file = tmp_path / f"{number}.csv"
        file.write_text(text)
        sources = f"--config.data.sources={{'fer2013': {{'path': {str(file)!r}}}}}"
        overrides = [*lab.overrides, sources]
        keys.append(dataclasses.replace(lab, overrides=overrides).bench({}).key)
    assert keys[0] == keys[1] != keys[2]


def test_a_checkpoint_to_start_from_is_known_by_its_steps_alone(tmp_path):
    step = tmp_path / "run" / "checkpoints" / "8"
    step.mkdir(parents=True)
    (step / "state").write_text("a")
    named = [str(tmp_path / "run"), "pretrained"]
    found = labs.contents(named)
    assert found[1] == "pretrained"
    (tmp_path / "run" / "report.html").write_text("written by an evaluation")
    labs.identity.cache_clear()
    assert labs.contents(named) == found
    (step / "state").write_text("ab")
    labs.identity.cache_clear()
    assert labs.contents(named) != found


RUN = {
    **{"metric": "m", "numbers": {}, "parameters": 7, "steps": 2, "hardware": "cpu"},
    **{"commit": "abc", "jax": "0.10.2", "data": ["train", "val"], "seconds": 1.5},
}


def runs(*values: float) -> list[dict]:
    """A recipe's, by seed."""
    own = {"recipe": {"model.width": 64}}
    return [RUN | own | {"seed": i, "value": v} for i, v in enumerate(values)]


def test_a_row_holds_a_recipe_and_all_its_seeds():
    assert tally.row(runs(0.5, 0.75, 1.0)) == {
        "recipe": {"model.width": 64},
        "metric": "m",
        "seeds": [0, 1, 2],
        "values": [0.5, 0.75, 1.0],
        "mean": 0.75,
        "spread": 0.25,
        "numbers": {},
        "parameters": 7,
        "steps": 2,
        "seconds": [1.5, 1.5, 1.5],
        "hardware": ["cpu"],
        "commit": ["abc"],
        "jax": ["0.10.2"],
        "data": ["train", "val"],
    }


def test_a_difference_is_of_pairs_of_seeds_and_has_students_interval():
    found = tally.difference(runs(0.1, 0.5, 0.2), runs(1.1, 2.5, 3.2))
    # t of two degrees of freedom at 0.975 is 4.3027; the gaps are 1, 2 and 3.
    reach = 4.302653 / 3**0.5
    assert found["mean"] == pytest.approx(2.0) and found["pairs"] == 3
    assert found["low"] == pytest.approx(2.0 - reach, rel=1e-5)
    assert found["high"] == pytest.approx(2.0 + reach, rel=1e-5)
    assert tally.difference(runs(0.1), runs(0.2)) is None


@pytest.mark.parametrize(
    "metric, means",
    [("emotion/accuracy", [0.9, 0.7, 0.5]), ("keypoints/rmse_px", [0.5, 0.7, 0.9])],
)
def test_the_best_row_comes_first_and_one_without_a_score_last(metric, means):
    made = [runs(0.7), runs(None), runs(0.9), runs(0.5)]
    made = [[run | {"metric": metric} for run in each] for each in made]
    lab = SimpleNamespace(runs=lambda: dict(enumerate(made)))
    assert [row["mean"] for row in tally.rows(lab)] == [*means, None]


def test_a_rows_numbers_are_means_of_those_that_all_runs_have():
    both = {"a": 1.0, "b": 5.0}, {"a": 2.0}
    made = [run | {"numbers": n} for run, n in zip(runs(0.5, 0.6), both)]
    assert tally.row(made)["numbers"] == {"a": 1.5}


def test_a_table_of_the_best_has_the_time_of_a_run_that_compiled_nothing():
    made = [run | {"seconds": s} for run, s in zip(runs(0.5, 0.6), (90.0, 7.0))]
    line = tally.best_table([tally.row(made)]).splitlines()[-1]
    assert line == "| 0.5500 ± 0.0707 | 2 | 7 | 7 | `model.width=64` |"


def test_a_difference_is_told_with_its_interval():
    gap = {"mean": 0.1, "low": -0.2, "high": 0.4}
    assert tally.told(gap) == "+0.1000 (-0.2000 to +0.4000)"
    assert tally.told(None) == "-"


def test_the_best_have_all_seeds_and_a_number_however_many_others_have():
    few, many = tally.row(runs(0.7, 0.7)), tally.row(runs(0.6, 0.6, 0.6))
    one, none = tally.row(runs(0.9)), tally.row(runs(None, 0.9))
    assert sweep.full([one, few, many, none], 2) == [few, many]
    assert sweep.full([one, few, none], 3) == [few]
    assert sweep.full([none], 2) == []
    assert tally.spread(none) == "-"


def test_a_recipe_that_changes_nothing_keeps_its_name_in_a_comparison(lab):
    recipes = [{}, {"optim.learning_rate": 0.05}]
    assert len({lab.bench(recipe).key for recipe in recipes}) == 1
    page = sweep.compare(lab, recipes, 1, search.Clock(0))
    assert "| `as it is` |" in page and "| `optim.learning_rate=0.05` |" in page


@pytest.fixture
def args(config, tmp_path) -> list[str]:
    """A sweep over one dimension of one choice."""
    space = tmp_path / "space.txt"
    space.write_text("{'optim.learning_rate': [0.01]}  # one dimension")
    args = [f"--config={config}", f"--out={tmp_path / 'out'}", "--seeds=2"]
    return [*args, "--config.train.steps=2", f"--space={space}", "--trials=1"]


def test_a_sweep_writes_its_table_and_goes_on_where_it_ended(args, tmp_path, capsys):
    assert cli.run(sweep.main, args) == 0
    table = (tmp_path / "out" / "table.jsonl").read_text()
    rows = [json.loads(line) for line in table.splitlines()]
    recipes = [row["recipe"] for row in rows]
    assert sorted(recipes, key=len) == [{}, {"optim.learning_rate": 0.01}]
    assert all(row["seeds"] == [0, 1] for row in rows)
    assert rows[0]["mean"] >= rows[1]["mean"]
    page = (tmp_path / "out" / "summary.md").read_text()
    assert "emotion/accuracy" in page and "split val" in page
    runs = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "runs").iterdir()}
    assert len(runs) == 4
    assert cli.run(sweep.main, [*args[:-1], "--trials=2"]) == 0
    capsys.readouterr()
    compare = [*args[:4], "--compare", "base", "optim.learning_rate=0.01"]
    assert cli.run(sweep.main, compare) == 0
    assert "| `optim.learning_rate=0.01` |" in (told := capsys.readouterr().out)
    assert " to " in told
    assert {p: p.stat().st_mtime_ns for p in runs} == runs


@pytest.mark.parametrize("kind", [["--best"], ["--compare", "base"]])
def test_no_time_for_a_run_is_a_sentence(args, kind, capsys):
    assert cli.run(sweep.main, [*args[:4], "--minutes=0.00001", *kind]) == cli.STOPPED
    told = capsys.readouterr().err
    assert "the time was up before the first run" in told and "Traceback" not in told


@pytest.mark.long
def test_the_best_recipe_is_trained_into_a_workdir(args, tmp_path):
    assert cli.run(sweep.main, [*args, "--best"]) == 0
    (best,) = (tmp_path / "out").glob("best-*")
    rates = [0.01, 0.05]
    assert restore(str(best)).meta.config["optim"]["learning_rate"] in rates


def test_its_help_names_every_space_and_shows_a_file(capsys, tmp_path):
    with pytest.raises(SystemExit):
        sweep.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert f"{', '.join(spaces.SPACES)}, or a file" in told
    (file := tmp_path / "space.txt").write_text(re.search("{.*?}", told)[0])
    assert set(spaces.space_of([str(file)])) == {"model.width", "model.dropout"}


BAD = {
    "needs an end": [],
    "--seeds and --jobs are at least 1": ["--trials=1", "--seeds=0"],
    "unknown space": ["--trials=1", "--space=networks"],
    "is in a bucket": ["--trials=1", "--out=gs://bucket/sweep"],
    "is no space": ["--trials=1", "--space=FILE"],
    "is no recipe": ["--compare", "base", "wide"],
    "--compare is no search": ["--compare", "base", "--best"],
    "unknown field of config.model": ["--compare", "base", "model.widht=8"],
    "known: sgd": ["--compare", "optim.name=sdg"],
    "changes what is measured": ["--compare", "base", "seed=3"],
    "synthetic.faces, which changes": ["--compare", "data.sources.synthetic.faces=9"],
    "emotion.classes, which changes": ["--compare", "tasks.emotion.classes=7"],
    "eval.every, which changes": ["--compare", "eval={'every':5}"],
    "checkpoint.best, which changes": ["--compare", "checkpoint={'every':5,'keep':1}"],
    "number in config.checkpoint.best": [
        *("--trials=1", "--space=augment", "--config.checkpoint.best=emotion/acuracy")
    ],
}


@pytest.mark.parametrize("sentence", BAD)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    sentence, config, tmp_path, capsys
):
    file = tmp_path / "space.txt"
    file.write_text("model.width: 8")
    args = [f"--config={config}", f"--out={tmp_path / 'out'}"]
    args += [arg.replace("FILE", str(file)) for arg in BAD[sentence]]
    assert cli.run(sweep.main, args) == cli.MISTAKE
    told = capsys.readouterr().err
    assert sentence in told and len(told.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_test_split_is_not_to_choose_on(tmp_path, capsys):
    write_csv(tmp_path, faces=60)
    csv = tmp_path / "fer2013.csv"
    args = ["--config=configs/fer5.py", f"--out={tmp_path / 'out'}", "--compare=base"]
    args += [f"--data=fer2013={csv}", f"--val=fer2013={csv}"]
    assert cli.run(sweep.main, args) == cli.MISTAKE
    told = capsys.readouterr().err
    assert "holds rows of PrivateTest, PublicTest" in told and "chosen on val" in told
    assert not (tmp_path / "out").exists()
