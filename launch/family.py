"""Train a family of networks in one call: teachers, then those they teach.

  python launch/family.py --plan launch/plans/record.txt --out runs/record \\
      --data fer2013=fer2013.csv keypoints=training.csv --let votes=fer2013new.csv \\
      --jobs 3 --minutes 9 --pack packed

A line of the plan names a run, its config, and the fields it sets. {NAME} is the
workdir of an earlier run, which is then waited for, or a value given by --let. Runs on
one card take turns, but one compiles while others train. A run that ends is packed at
once: the best step's variables and the logs, as PACKED/NAME.tgz. After --minutes all
that still train are told to save, and packed as they are; the same command continues,
and trains nothing twice. Exit codes: 0 all are done, 3 one failed, 75 the time was up.
"""

import dataclasses
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from emotion_jax import checkpoint, cli, files, sharding
from emotion_jax.config import check_config, load_config
from emotion_jax.data import parse_source
from emotion_jax.errors import Mistake, Preempted, Stopped

BRACES = re.compile(r"\{(\w+)\}")
LOGS = ("config.json", "env.json", "done.json", "metrics.jsonl", "model_card.md")
SAVE_S = 30  # how long a run may take to save when told to


@dataclasses.dataclass(frozen=True)
class Member:
    """A run of the plan.

    Attributes:
      flags: its config's flags, with braces.
      after: the runs that must be done first.
    """

    name: str
    config: str
    flags: tuple[str, ...]
    after: tuple[str, ...]


def read_plan(path: Path, let: Mapping[str, str]) -> list[Member]:
    """The plan's runs, each with a config that can be loaded.

    Raises:
      Mistake: a run names something that does not exist.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "it is no text")
        raise Mistake(f"--plan {path} cannot be read: {reason}") from None
    found: dict[str, Member] = {}
    text = re.sub(r"(?m)^[ \t]*#.*$", "", text)
    for line in re.sub(r"\s*\n[ \t]+(?=\S)", " ", text).splitlines():
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise Mistake(f"{path}: {error} in {line[:40]!r}") from None
        if not words:
            continue
        if len(words) < 2 or not words[0].isidentifier():
            raise Mistake(f"{path}: {line[:40]!r} is no NAME CONFIG FLAG ...")
        name, config, *flags = words
        known = [*found, *let]
        if name in known:
            raise Mistake(f"{path}: there are two of the name {name}")
        used = BRACES.findall(" ".join(flags))
        if wrong := [n for n in used if n not in known]:
            raise Mistake(
                f"{path}: {name} names {{{wrong[0]}}}, which is no run further up and "
                "not given by --let"
            )
        places = dict.fromkeys(found, "run") | let
        check_config(load_config(config, filled(flags, places)))
        after = tuple(n for n in found if n in used)
        found[name] = Member(name, config, tuple(flags), after)
    if not found:
        raise Mistake(f"--plan {path} names no run")
    return list(found.values())


def filled(flags: Sequence[str], places: Mapping[str, str]) -> list[str]:
    """The flags, with the names in braces replaced by what they stand for."""
    return [BRACES.sub(lambda name: places[name[1]], flag) for flag in flags]


def command(member: Member, data: Sequence[str], places: Mapping[str, str]) -> list:
    """A run's training command, on those sources of `data` that its config has."""
    flags = filled(member.flags, places)
    sources = load_config(member.config, flags).data.sources
    mine = [given for given in data if parse_source(given)[0] in sources]
    run = [sys.executable, "-m", "emotion_jax.train", "--config", member.config]
    run += ["--workdir", places[member.name], *flags]
    return [*run, "--data", *mine] if mine else run


def pack(workdir: Path, folder: Path) -> Path:
    """Packs the run's best variables and logs into one file, whole or not at all."""
    mesh = sharding.make_mesh(jax.local_devices()[:1])
    with tempfile.TemporaryDirectory() as scratch:
        slim = Path(scratch) / workdir.name
        checkpoint.copy_best(workdir, slim, mesh)
        for name in LOGS:
            if (workdir / name).exists():
                shutil.copy(workdir / name, slim / name)
        target = folder / f"{workdir.name}.tgz"
        with files.whole(target) as partial, tarfile.open(partial, "w:gz") as tar:
            tar.add(slim, workdir.name)
    return target


class Family:
    """The running plan: which runs wait, which train, and how others ended."""

    def __init__(self, members: Sequence[Member], flags, let: Mapping[str, str]):
        self.waiting, self.flags = list(members), flags
        self.places = {m.name: str(flags.out / m.name) for m in members} | let
        self.running: dict[str, subprocess.Popen] = {}
        self.done, self.failed, self.unpacked = set(), [], []
        self.begin = time.monotonic()
        self.told = self.stopping = False

    def say(self, text: str) -> None:
        """Prints a line with the seconds since the start."""
        print(f"[{time.monotonic() - self.begin:4.0f} s] {text}", flush=True)

    def start(self, member: Member) -> None:
        """Starts a training in its own process, which allocates memory as needed."""
        env = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | os.environ
        run = command(member, self.flags.data, self.places)
        with open(self.log(member.name), "w") as log:
            self.running[member.name] = subprocess.Popen(
                run, stdout=log, stderr=log, env=env
            )
        self.say(f"{member.name} starts")

    def log(self, name: str) -> Path:
        """The file of a run's output."""
        return self.flags.out / f"{name}.log"

    def end(self, name: str) -> None:
        """Reports how a run ended; what it saved will be packed."""
        code, home = self.running.pop(name).returncode, Path(self.places[name])
        if checkpoint.step_folders(home / "checkpoints"):
            self.unpacked.append(name)
        if code == 0:  # a done.json may come from another plan
            self.done.add(name)
        elif not self.stopping:
            self.failed.append(name)
        log = self.log(name).read_text(errors="replace").splitlines()
        told = [line for line in log if " val: " in line] if code == 0 else log
        self.say(f"{name} ends with {code}: {told[-1] if told else 'no word'}")

    def turn(self) -> bool:
        """Ends and starts the runs that can be; returns whether any still train."""
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                self.end(name)
        for member in list(self.waiting):
            if set(self.failed) & set(member.after):
                self.say(f"{member.name} is left out: its teacher failed")
                self.waiting.remove(member)
                self.failed.append(member.name)
            elif len(self.running) < self.flags.jobs and self.done >= set(member.after):
                self.waiting.remove(member)
                self.start(member)
        self.pack()
        return bool(self.running)

    def pack(self) -> None:
        """Packs the runs that ended since the last call, and reports any it cannot."""
        while self.flags.pack and self.unpacked:
            name = self.unpacked.pop()
            try:
                target = pack(Path(self.places[name]), self.flags.pack)
                self.say(f"packed {target.name}, {target.stat().st_size:,} bytes")
            except (Mistake, Stopped, OSError) as error:
                self.say(f"{name} could not be packed: {error}")
                self.failed.append(f"the packing of {name}")

    def stop(self) -> None:
        """Has all running trainings save their next step and end; packs them as is."""
        self.stopping = True
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + SAVE_S
        while self.running:
            for name, process in list(self.running.items()):
                if time.monotonic() > until:
                    process.kill()
                    process.wait()
                if process.poll() is not None:
                    self.end(name)
            self.pack()
            time.sleep(0.1)
        self.pack()

    def run(self) -> None:
        """Trains them all.

        Raises:
          Preempted: the time is up, or a SIGTERM came.
          Stopped: a run failed, or several did.
        """
        until = self.begin + 60 * (self.flags.minutes or float("inf"))
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "told", True))
        try:
            while self.turn() and not self.told and time.monotonic() < until:
                time.sleep(0.2)
            left = [*self.running, *(member.name for member in self.waiting)]
        finally:
            self.stop()
        if left := [name for name in left if name not in self.done]:
            raise Preempted(f"the time was up: {', '.join(left)} not done")
        if self.failed:
            raise Stopped(f"failed: {', '.join(self.failed)}; see {self.flags.out}")


def main(args: list[str]) -> None:
    """The family."""
    parser = cli.Parser("python launch/family.py", __doc__)
    add = parser.add_argument
    add("--plan", type=Path, required=True, metavar="FILE", help="its runs")
    add("--out", type=cli.here, required=True, metavar="DIR", help="the workdirs")
    add("--data", **cli.SOURCES, help="where sources of the configs are")
    add("--let", **cli.SOURCES | {"metavar": "NAME=VALUE"}, help="for {NAME}")
    add("--jobs", type=int, default=1, metavar="N", help="trainings at a time")
    add("--minutes", type=float, default=0.0, metavar="M", help="0: no limit")
    add("--pack", type=cli.here, metavar="DIR", help="where NAME.tgz go")
    flags = parser.parse(args)
    if flags.jobs < 1 or flags.minutes < 0:
        raise Mistake("--jobs is at least 1 and --minutes 0")
    let = dict(text.partition("=")[::2] for text in flags.let)
    if wrong := [name for name in let if not name.isidentifier()]:
        raise Mistake(f"--let is given as NAME=VALUE, got {wrong[0]!r}")
    for given in flags.data:
        parse_source(given)
    members = read_plan(flags.plan, let)
    for name, folder in (("--out", flags.out), ("--pack", flags.pack)):
        if folder:
            cli.check_folder(name, folder)
            folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_platforms", "cpu")  # the accelerators are for the trainings
    Family(members, flags, let).run()


if __name__ == "__main__":
    cli.main(main)
