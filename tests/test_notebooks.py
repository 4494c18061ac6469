"""Laws of the notebooks: in step with their text, without outputs, and they run."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")
nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "launch" / "colab"
README = (FOLDER / "README.md").read_text()
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
ADDRESS = re.search(r"address: `(https://github\.com/[\w-]+/emotion_jax)`", README)[1]
COLAB = "https://colab.research.google.com"
PLACE = f"github/{ADDRESS.split('.com/')[1]}/blob/main/launch/colab"
HERE = {"PYTHONPATH": str(ROOT)}
EXECUTE = """
import nbclient, nbformat, sys
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=1200, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", 4)


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_eight_each_twice_and_all_in_the_readme():
    assert [name[0] for name in NAMES] == list("12345678")
    assert NAMES == sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    for name in NAMES:
        assert f"({COLAB}/{PLACE}/{name}.ipynb)" in README


def test_each_of_the_courses_purposes_has_its_place():
    """The part of a lesson that the README names is a heading there."""
    table = README.split("| purpose of the course |")[1].split("\n\n")[0]
    rows = [row.split(" | ") for row in table.splitlines()[2:]]
    assert len(rows) == 11
    for _, places, package in rows:
        for place in places.split("; "):
            number, part = place.split(": ")
            (lesson,) = FOLDER.glob(f"{number}_*.py")
            for heading in part.split(" to "):
                assert f"\n# ## {heading}" in lesson.read_text(), place
        for path in re.findall(r"`([\w/]+(?:\.py|/))`", package):
            assert (ROOT / path).exists() or (ROOT / "emotion_jax" / path).exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_its_text(name):
    """If not: python -m jupytext --update --to ipynb launch/colab/*.py"""

    def cells(notebook):
        return [(cell.cell_type, cell.source) for cell in notebook.cells]

    text = jupytext.read(FOLDER / f"{name}.py")
    assert cells(read(name)) == cells(text)
    for key in ("accelerator", "colab", "kernelspec"):
        assert read(name).metadata[key] == text.metadata[key]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_no_outputs(name):
    for cell in read(name).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_opens_itself_and_names_no_other_address(name):
    cells = read(name).cells
    assert f"]: {COLAB}/{PLACE}/{name}.ipynb\n" in cells[0].source
    for cell in cells:
        found = set(re.findall(r"github(?:\.com)?/([\w-]+)/emotion_jax", cell.source))
        assert found <= {ADDRESS.split("/")[-2]}


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_installs_what_is_not_there_and_replaces_nothing(
    name, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    commands, first = [], code(read(name))[0]
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: commands.append(command)
    )
    exec(first, {})
    assert commands == []  # emotion_jax is here
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    exec(first, {})
    pip = [sys.executable, "-m", "pip"]
    assert commands == [
        [*pip, "list", "--format=freeze"],
        [*pip, "install", "-q", "-c", "there.txt", f"git+{ADDRESS}"],
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_lesson_asserts_what_it_claims_in_its_last_cell(name):
    cells = read(name).cells
    assert "What this lesson claims" in cells[-2].source
    assert "\nassert " in f"\n{cells[-1].source}" or "\n    assert " in cells[-1].source


def execute(python, name, folder, settings=None, **environment):
    """Runs a notebook from a fresh kernel of an interpreter, as Colab would.

    Args:
      settings: a line of the settings, and what to put in its place.
    """
    text = (FOLDER / f"{name}.ipynb").read_text()
    if settings:
        assert text.count(settings[0]) == 1
        text = text.replace(*settings)
    (folder / "in.ipynb").write_text(text)
    ran = subprocess.run(
        [python, "-c", EXECUTE, "in.ipynb", "out.ipynb"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return nbformat.read(folder / "out.ipynb", 4)


def test_a_lesson_runs_shrunk(tmp_path):
    names = "FACES, SIDE, STEPS, BATCH ="
    settings = f"{names} 800, 48, 20, 64", f"{names} 40, 24, 3, 16"
    ran = execute(sys.executable, "7_one_chip_to_a_pod", tmp_path, settings, **HERE)
    assert all(cell.execution_count for cell in ran.cells if cell.cell_type == "code")


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_runs(name, tmp_path):
    execute(sys.executable, name, tmp_path, XLA_FLAGS="", **HERE)


@pytest.fixture(scope="session")
def colab(tmp_path_factory):
    """Python 3.13 with Colab's own versions, and the package installed as there."""
    python = shutil.which("python3.13")
    if not python or subprocess.run([python, "-V"]).returncode:  # pyenv may only say so
        pytest.skip("python3.13 is not there")
    home = tmp_path_factory.mktemp("colab")
    subprocess.run([python, "-m", "venv", home], check=True)
    python, constraints = home / "bin" / "python", FOLDER / "constraints.txt"
    pip = [python, "-m", "pip", "install", "-q", "-c", constraints]
    subprocess.run([*pip, f"{ROOT}[notebooks]"], check=True)
    return python


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_runs_under_colabs_versions(name, colab, tmp_path):
    execute(colab, name, tmp_path, XLA_FLAGS="", PYTHONPATH="")
