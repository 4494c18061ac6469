"""Laws of the studies: recipes differ in what is studied alone, and tell all seeds."""

from pathlib import Path

import pytest
from PIL import Image

from emotion_jax import cli
from emotion_jax.errors import Stopped

ROOT = Path(__file__).parents[2]
SYNTHETIC = "--config.data.sources={'synthetic': {'faces': 80}}"
TINY = ["--config.data.side=24", "--config.train.steps=2"]
TINY += ["--config.train.batch_size=16", "--config.model.width=8"]


@pytest.fixture(autouse=True)
def launch(monkeypatch):
    """The scripts' own folder, from where they import each other."""
    monkeypatch.syspath_prepend(ROOT / "launch")


def runs(*values: float, **more) -> list[dict]:
    """A recipe's, by seed."""
    every = {"recipe": {}, "metric": "emotion/accuracy", "numbers": {}, "steps": 4}
    every |= {"parameters": 1000, "seconds": 2.0, "hardware": "cpu", "commit": "abc"}
    every |= {"jax": "0.10.2", "data": [], "loss": [2.0, 1.0]} | more
    return [every | {"seed": i, "value": v} for i, v in enumerate(values)]


@pytest.mark.parametrize("name", ["activation", "shortcuts", "heads", "mirror"])
def test_the_recipes_of_a_study_set_the_same_fields_to_other_values(name):
    import studies

    recipes = list(studies.STUDIES[name].recipes.values())
    assert len(recipes) > 1
    assert len({str(recipe) for recipe in recipes}) == len(recipes)
    if name != "heads":  # whose last recipe has a loss of its own
        assert len({tuple(recipe) for recipe in recipes}) == 1


def test_a_table_has_a_row_a_recipe_and_its_difference_from_the_first():
    import studies

    page = studies.table({"relu": runs(0.5, 0.6), "sigmoid": runs(0.3, 0.5)})
    assert "| relu | 0.5500 ± 0.0707 | - | 1.000 | 1,000 | 2 |" in page
    assert "| sigmoid | 0.4000 ± 0.1414 | -0.1500 (" in page


def test_a_run_that_diverged_leaves_the_others_their_row():
    import studies

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


@pytest.mark.parametrize(
    "draw, more",
    [
        ("draw_training", {"gradients": {"stem": 1.0, "head": 2.0}}),
        ("draw_cost", {"mflops": 3.0, "step_ms": 4.0}),
    ],
)
def test_a_figure_is_as_wide_as_the_others(draw, more, tmp_path):
    import studies

    found = {"one": runs(0.5, 0.6, **more), "other": runs(0.4, 0.7, **more)}
    getattr(studies, draw)(tmp_path / "figure.png", found)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == 9 * 110


def test_a_study_that_is_unknown_is_told_with_those_that_are(tmp_path, capsys):
    import studies

    args = ["head", f"--out={tmp_path / 'out'}"]
    assert cli.run(studies.main, args) == cli.MISTAKE
    assert "did you mean heads?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["activation", "shortcuts", "heads", "mirror"])
def test_a_study_writes_its_table_and_its_figure(name, tmp_path, capsys):
    import studies

    args = [name, f"--out={tmp_path}", "--seeds=2", SYNTHETIC, *TINY]
    assert cli.run(studies.main, args) == 0
    page = (tmp_path / f"studies_{name}.md").read_text()
    assert page == capsys.readouterr().out
    assert len(page.splitlines()) == 2 + len(studies.STUDIES[name].recipes)
    assert (tmp_path / f"studies_{name}.png").stat().st_size > 10_000
