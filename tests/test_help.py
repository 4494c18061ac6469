"""Laws of --help: every binary has it, with examples whose flags there are."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "emotion_jax"
BINARIES = sorted(
    ".".join(("emotion_jax", *file.relative_to(ROOT).with_suffix("").parts))
    .removesuffix(".__init__")
    .removesuffix(".__main__")
    for file in ROOT.rglob("*.py")
    if re.search(r"\.Parser\(\"|ArgumentParser\(\n", file.read_text())
    and file.name != "cli.py"
)


@pytest.mark.parametrize("name", BINARIES)
def test_a_binary_helps_with_examples(name, capsys):
    with pytest.raises(SystemExit) as ended:
        import_module(name).main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out.replace("\\\n", " ")
    known = {"--config"} | set(re.findall(r"--[\w-]+", told.split("options:")[1]))
    examples = re.findall(rf"^ *python -m {re.escape(name)}\b.*", told, re.M)
    assert examples
    for example in examples:
        flags = {w.split("=")[0] for w in shlex.split(example) if w.startswith("--")}
        assert {f for f in flags if not f.startswith("--config.")} <= known, example


def test_no_binary_is_forgotten():
    known = ("train", "evaluate", "export", "explore", "doctor", "data.prepare")
    assert {f"emotion_jax.{name}" for name in known} <= set(BINARIES)
