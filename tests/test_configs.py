"""Every shipped config trains: shrunk to two steps, on data in its own formats."""

import shlex
from pathlib import Path

import pytest
from PIL import Image

from emotion_jax import cli, pretrained, warm_start
from emotion_jax.config import find_config, load_config
from emotion_jax.data.sections import set_paths
from emotion_jax.data.synthetic import read
from emotion_jax.data.table import FIVE
from emotion_jax.data.write_csv import write_csv
from emotion_jax.train import train_and_evaluate

CONFIGS = Path(__file__).parent.parent / "configs"
NAMES = sorted(p.stem for p in CONFIGS.glob("*.py") if p.stem != "__init__")


@pytest.fixture(scope="module")
def csvs(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("csvs")
    write_csv(out, faces=80)
    faces = read(faces=80)
    for i, (image, label) in enumerate(zip(faces.image, faces.labels["emotion"])):
        folder = out / "folder" / FIVE[label.argmax()]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / f"{i}.png")
    return out


LONG = [
    # Much to compile: half a minute for the one, a minute for the other.
    pytest.param(name, marks=pytest.mark.long) if name.startswith("course") else name
    for name in NAMES
]


@pytest.mark.parametrize("name", LONG)
def test_a_shipped_config_trains_two_steps(name, csvs, tmp_path):
    config = load_config(f"configs/{name}.py", [])
    for source in config.data.sources:
        if source == "synthetic":
            config.data.sources.synthetic.faces = 80
        else:
            suffix = "" if source == "folder" else ".csv"
            set_paths(config, [f"{source}={csvs / source}{suffix}"], "path")
    config.train.update(steps=2, batch_size=16)
    if config.model.name == "resnet":
        config.model.update(blocks=(1,), width=8, stem_stride=4)
    train_and_evaluate(config, tmp_path / "run")
    assert (tmp_path / "run" / "done.json").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_config_says_how_to_run_it_and_ends_early_nowhere(name):
    config = load_config(f"configs/{name}.py", [])
    assert config.stop_at == 0
    text = find_config(f"configs/{name}.py").read_text()
    assert f"--config configs/{name}.py" in text.split('"""')[1]


def test_the_fine_tuning_that_folder_names_takes_all_of_the_trunk_that_ships():
    text = find_config("configs/folder.py").read_text().split('"""')[1]
    lines = text.replace("\\\\\n", " ").splitlines()
    (tuned,) = (line for line in lines if "init_from=" in line)
    config = load_config("configs/folder.py", cli.overrides(shlex.split(tuned)))
    theirs = pretrained.read(config.init_from)[1]["meta"]["config"]
    assert warm_start.flags_for(theirs["model"], config.model) == ""
    assert theirs["data"]["side"] == config.data.side
