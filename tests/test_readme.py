"""Every command of the README runs: as written, the trainings shrunk."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from emotion_jax.cli import run
from emotion_jax.data.write_csv import write_csv

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
OF_CONFIGS = (ROOT / "configs" / "README.md").read_text()
COMMAND = r"^(?:python|bash) .+$|(?<=`)python -m .+?(?=`)"
COMMANDS = re.findall(COMMAND, TEXT + OF_CONFIGS, re.M)
SNIPPETS = re.findall(r"^```python\n(.+?)^```", TEXT, re.M | re.S)
LINK = r"\]\((?!http)(.+?)\)"
SHRINK = [
    "--config.train.steps=2",
    "--config.train.batch_size=16",
    "--config.model.width=8",
    "--config.model.blocks=1",
    "--config.model.stem_stride=4",
]
SCRIPTS = ["bash launch/quickstart.sh", "bash launch/test.sh"]


def test_the_readme_has_the_commands():
    assert len(COMMANDS) >= 10 and set(SCRIPTS) <= set(COMMANDS)
    assert len(TEXT.splitlines()) <= 200


def test_the_readmes_commands_run_in_their_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path, faces=80)
    (tmp_path / "keypoints.csv").rename("training.csv")
    Image.fromarray(skimage.data.astronaut()).save("photo.jpg")
    for command in COMMANDS:
        if command in SCRIPTS:
            continue
        _, _, module, *args = shlex.split(command)
        if module == "emotion_jax.train":
            args += SHRINK
            if "synthetic" in command:
                args += ["--config.data.sources.synthetic.faces=80"]
        if module == "emotion_jax.data.write_csv":
            args += ["--faces", "20"]
        assert run(import_module(module).main, args) == 0, command


def test_the_readmes_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(skimage.data.astronaut()).save("photo.jpg")
    for snippet in SNIPPETS:
        exec(snippet, {})
    assert "('happy',)" in capsys.readouterr().out


@pytest.mark.parametrize("link", re.findall(LINK, TEXT))
def test_the_readmes_links_are_there(link):
    assert (ROOT / link).exists()


@pytest.mark.parametrize("link", re.findall(LINK, OF_CONFIGS))
def test_the_links_beside_the_configs_are_there(link):
    assert (ROOT / "configs" / link).exists()


def test_the_layout_names_what_is_there():
    for name in re.findall(r"^ {6}(\w+[./]\w*)", TEXT, re.M):
        assert (ROOT / "emotion_jax" / name).exists(), name
    modules = {p.name for p in (ROOT / "emotion_jax").glob("*.py")}
    assert modules - set(re.findall(r"\w+\.py", TEXT)) == {"__init__.py"}
