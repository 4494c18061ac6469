"""Flags, error text, exit codes: shared by all binaries."""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from ml_collections import ConfigDict

from emotion_jax import bucket, compiler, processes, registry
from emotion_jax.config import load_config
from emotion_jax.errors import FULL, Interrupted, Mistake, Preempted, Stopped

PACKAGE = Path(__file__).parent
# For a flag that takes any number of SOURCE=PATH, given once or several times.
SOURCES = {"nargs": "+", "action": "extend", "default": [], "metavar": "SOURCE=PATH"}
CHECKPOINT = (
    "a workdir, one step's folder in it, or weights that ship: pretrained, "
    "pretrained:NAME"
)
FULL_DEVICE = (
    "the device's memory is full; what was saved is whole. A smaller "
    "config.train.batch_size or model may fit, or config.fsdp over several devices"
)
DONE, BUG, MISTAKE, STOPPED, PREEMPTED, INTERRUPTED = 0, 1, 2, 3, 75, 130


def main(binary: Callable[[list[str]], None]) -> None:
    """Runs a binary on the command line and exits with its code."""
    compiler.keep_compiled()
    code = run(binary, sys.argv[1:])
    if code != DONE and processes.guarded():
        processes.leave(code)
    if code in (PREEMPTED, INTERRUPTED):
        processes.break_off(code)
    sys.exit(code)


def run(binary: Callable[[list[str]], None], args: list[str]) -> int:
    """Runs a binary; if it ends early, reports why and returns the exit code."""
    try:
        binary(args)
    except Mistake as error:
        return tell(error, MISTAKE)
    except Stopped as error:
        return tell(error, STOPPED)
    except FloatingPointError as error:  # with config.debug
        return tell(f"{error}, {place_of(error)}", STOPPED)
    except Preempted as error:
        return tell(error, PREEMPTED)
    except Interrupted as error:
        return tell(error, INTERRUPTED)
    except KeyboardInterrupt:
        return tell("interrupted", INTERRUPTED)
    except BrokenPipeError:  # `| head` closed its end: nobody's fault
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else DONE
    except Exception as error:
        if processes.out_of_memory(error):
            return tell(FULL_DEVICE, STOPPED)
        if processes.lost_another(error):
            return tell(processes.LOST, STOPPED)
        if isinstance(error, OSError) and error.errno in FULL:
            return tell(
                "no space is left on the disk; what was saved is whole", STOPPED
            )
        traceback.print_exc()
        return tell("this is a bug in emotion_jax; please report the lines above", BUG)
    return DONE


def place_of(error: Exception) -> str:
    """Where in this package an error was raised, or came through last."""
    frames = traceback.extract_tb(error.__traceback__)
    last = [f for f in frames if Path(f.filename).is_relative_to(PACKAGE)][-1]
    file = Path(last.filename).relative_to(PACKAGE)
    return f"in {file}, line {last.lineno}, {last.name}"


def tell(sentence: object, code: int) -> int:
    """Prints the sentence on standard error and returns the code."""
    line = str(sentence).replace("\n", "\\n")  # a file's name may contain one
    print(f"emotion_jax: {line}", file=sys.stderr, flush=True)
    return code


class Once(argparse.Action):
    """Stores a flag's value; a second one, which argparse lets win, is a mistake."""

    def __call__(self, parser, namespace, values, flag=None):
        if flag and flag in parser.given:
            parser.error(f"{flag} is given twice")
        parser.given.add(flag)
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """A binary's flags; a wrong one is a Mistake that suggests the nearest."""

    def __init__(self, command: str, doc: str):
        super().__init__(
            command,
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.register("action", None, Once)
        self.given: set[str | None] = set()

    def error(self, message: str):
        raise Mistake(f"{message}; see {self.prog} --help")

    def parse(self, args: list[str]) -> argparse.Namespace:
        """Parses the flags; a misspelt one is reported before a missing one."""
        self.given = set()
        try:
            found, rest = self.parse_known_args(args)
        except Mistake:
            flags = (a for a in takewhile(lambda a: a != "--", args) if a[:2] == "--")
            known = self._option_string_actions
            self.refuse([flag for flag in flags if flag.split("=")[0] not in known])
            raise
        self.refuse(rest)
        return found

    def parse_with_config(
        self, args: list[str], help: str = "the run", required: bool = True
    ) -> tuple[argparse.Namespace, ConfigDict | None]:
        """The flags, and the config file's ConfigDict with overrides applied.

        None for the latter if the flag is not required, and not given.
        """
        self.add_argument(
            "--config", required=required, metavar="configs/NAME.py", help=help
        )
        self.epilog = "Any field of the config can be set: --config.train.batch_size=64"
        given = overrides(args)
        found = self.parse([a for a in args if a not in given])
        if found.config is not None:
            return found, load_config(found.config, given)
        if given:
            raise Mistake(f"{given[0]} needs a config to change: name it with --config")
        return found, None

    def refuse(self, rest: list[str]) -> None:
        """Raises if there are arguments that no flag took."""
        for arg in rest:
            if arg.startswith("-"):
                known = [f for f in self._option_string_actions if f.startswith("--")]
                raise registry.unknown("flag", arg.split("=")[0], known)
            raise Mistake(f"unexpected argument {arg!r}; see {self.prog} --help")


def overrides(args: list[str]) -> list[str]:
    """The command's arguments that set a field of the config."""
    return [arg for arg in args if arg.startswith("--config.")]


def here(name: str) -> Path:
    """A flag's folder, for argparse, where a bucket is not allowed."""
    place = bucket.place(name)
    if isinstance(place, bucket.Url):
        raise argparse.ArgumentTypeError(f"{name} is in a bucket, and must be here")
    return place


def check_folder(
    flag: str, folder: Path | bucket.Url, files: Sequence[str] = ()
) -> None:
    """Raises unless the folder exists or can be made, and can be written to.

    Args:
      files: name patterns of the files to be written; no folder in it may match one.
    """
    if isinstance(folder, bucket.Url):
        return bucket.check(flag, folder)
    for there in (folder.absolute(), *folder.absolute().parents):
        try:
            os.lstat(there)
            break
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Mistake(
                f"cannot write to {flag} {folder}: {error.strerror}"
            ) from None
    if not os.path.isdir(there):
        raise Mistake(f"cannot write to {flag} {folder}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise Mistake(f"cannot write to {flag} {folder}: {there} is read-only")
    for taken in (name for pattern in files for name in folder.glob(pattern)):
        if os.path.isdir(taken):
            raise Mistake(
                f"cannot write to {flag} {folder}: {taken.name} in it is a folder"
            )
