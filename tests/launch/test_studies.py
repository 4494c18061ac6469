"""Laws of the studies: recipes differ in what is studied alone, and tell all seeds."""

import pytest
import studies
from matplotlib.figure import Figure

from emotion_jax import cli
from emotion_jax.errors import Stopped

SYNTHETIC = "--config.data.sources={'synthetic': {'faces': 80}}"
TINY = ["--config.data.side=24", "--config.train.steps=2"]
TINY += ["--config.train.batch_size=16", "--config.model.width=8"]


def runs(*values: float, **more) -> list[dict]:
    """A recipe's, by seed."""
    every = {"recipe": {}, "metric": "emotion/accuracy", "numbers": {}, "steps": 4}
    every |= {"parameters": 1000, "seconds": 2.0, "hardware": "cpu", "commit": "abc"}
    every |= {"jax": "0.10.2", "data": [], "loss": [2.0, 1.0]} | more
    return [every | {"seed": i, "value": v} for i, v in enumerate(values)]


@pytest.mark.parametrize("name", ["activation", "shortcuts", "heads", "mirror"])
def test_the_recipes_of_a_study_set_the_same_fields_to_other_values(name):
    recipes = list(studies.STUDIES[name].recipes.values())
    assert len(recipes) > 1
    assert len({str(recipe) for recipe in recipes}) == len(recipes)
    if name != "heads":  # whose last recipe has a loss of its own
        assert len({tuple(recipe) for recipe in recipes}) == 1


def test_a_table_has_a_row_a_recipe_and_its_difference_from_the_first():
    page = studies.table({"relu": runs(0.5, 0.6), "sigmoid": runs(0.3, 0.5)})
    assert "| relu | 0.5500 ± 0.0707 | - | 1.000 | 1,000 | 2 |" in page
    assert "| sigmoid | 0.4000 ± 0.1414 | -0.1500 (" in page


def test_a_run_that_diverged_leaves_the_others_their_row():
    found = {
        "relu": runs(None, 0.6, step_ms=4.0, mflops=3.0),
        "sigmoid": runs(None, None, loss=[2.0, None]),
    }
    del found["relu"][0]["step_ms"]  # as it is kept: nothing was measured of it
    page = studies.table(found)
    assert "| relu | - | - | 1.000 | 1,000 | 3.0 | 4.0 | 2 |" in page
    assert "| sigmoid | - | - | - | 1,000 | - | - | 2 |" in page
    assert {name: len(mine) for name, mine in studies.whole(found).items()} == {
        "relu": 1
    }
    with pytest.raises(Stopped, match="every run diverged"):
        studies.whole({"sigmoid": found["sigmoid"]})


@pytest.fixture
def axes(monkeypatch):
    """Those of the last figure."""
    seen, save = [], Figure.savefig

    def note(figure, *args, **options):
        seen[:] = figure.axes
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", note)
    return seen


def points(axis) -> list:
    """Of each line of an axis."""
    return [line.get_xydata().tolist() for line in axis.lines]


def test_a_figure_of_training_has_the_means_and_every_seeds_number(axes, tmp_path):
    one, other = (runs(*v, gradients={"a": 1.0, "b": 2.0}) for v in ([5, 6], [4, 7]))
    one[1] |= {"loss": [4.0, 2.0], "gradients": {"a": 3.0, "b": 6.0}}
    studies.draw_training(tmp_path / "figure.png", {"one": one, "other": other})
    loss, norms, value = axes
    assert points(loss) == [[[1, 3], [4, 1.5]], [[1, 2], [4, 1]]]  # of four steps
    assert [line.get_label() for line in loss.lines] == ["one", "other"]
    bands = [band.get_paths()[0].get_extents() for band in loss.collections]
    assert [(band.y0, band.y1) for band in bands] == [(1, 4), (1, 2)]
    assert points(norms) == [[[0, 2], [1, 4]], [[0, 1], [1, 2]]]
    assert points(value) == [[[0, 5], [0, 6]], [[1, 4], [1, 7]]]
    assert (tmp_path / "figure.png").exists()


def test_a_figure_of_the_cost_has_its_bars(axes, tmp_path):
    one, other = runs(5, 6, step_ms=4.0), runs(4, 7, step_ms=8.0, parameters=3000)
    studies.draw_cost(tmp_path / "figure.png", {"one": one, "other": other})
    value, size, time = axes
    assert points(value) == [[[0, 5], [0, 6]], [[1, 4], [1, 7]]]
    assert [bar.get_height() for bar in size.patches] == [1, 3]  # thousands
    assert [bar.get_height() for bar in time.patches] == [4, 8]
    for axis in axes:
        assert [name.get_text() for name in axis.get_xticklabels()] == ["one", "other"]
    assert (tmp_path / "figure.png").exists()


def test_a_study_that_is_unknown_is_told_with_those_that_are(tmp_path, capsys):
    args = ["head", f"--out={tmp_path / 'out'}"]
    assert cli.run(studies.main, args) == cli.MISTAKE
    assert "did you mean heads?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["activation", "shortcuts", "heads", "mirror"])
def test_a_study_writes_its_table_and_its_figure(name, tmp_path, capsys):
    args = [name, f"--out={tmp_path}", "--seeds=2", SYNTHETIC, *TINY]
    assert cli.run(studies.main, args) == 0
    page = (tmp_path / f"studies_{name}.md").read_text()
    assert page == capsys.readouterr().out
    assert len(page.splitlines()) == 2 + len(studies.STUDIES[name].recipes)
    assert (tmp_path / f"studies_{name}.png").stat().st_size > 10_000
