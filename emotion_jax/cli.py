"""Flags, config files, overrides, error text, exit codes: shared by all binaries."""

import argparse
import ast
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from emotion_jax import bucket, compiler, processes, registry
from emotion_jax.errors import (
    FULL,
    Interrupted,
    Mistake,
    Preempted,
    Stopped,
    first_line,
)

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


class Parser(argparse.ArgumentParser):
    """A binary's flags; a wrong one is a Mistake that suggests the nearest."""

    def __init__(self, command: str, doc: str):
        super().__init__(
            command,
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str):
        raise Mistake(f"{message}; see {self.prog} --help")

    def parse(self, args: list[str]) -> argparse.Namespace:
        """Parses the flags; a misspelt one is reported before a missing one."""
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


def find_config(path: str) -> Path:
    """The config file at this path, or the one of that name that ships."""
    for place in (Path(path), PACKAGE / path, PACKAGE.parent / path):
        if os.path.isfile(place):  # unlike Path's, never raises
            return place
    shipped = [
        f for root in (PACKAGE, PACKAGE.parent) for f in root.glob("configs/*.py")
    ]
    names = sorted({f"configs/{f.name}" for f in shipped if f.stem != "__init__"})
    raise registry.unknown("config file", path, names)


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


def load_config(path: str, overrides: list[str]) -> ConfigDict:
    """The file's `get_config()`, with overrides like `--config.model.width=64`.

    A field that the file sets keeps its type, except that a switch may become a word,
    as in `--config.data.dedupe=near`, and a word several words:
    `--config.NAME="('a', 'b')"`. A field that the file leaves at its default, or a
    whole section, is given as a Python literal: `--config.augment.blur={}`; whether
    that field exists and takes that value is checked when the section is used.
    """
    overrides = list({o.partition("=")[0]: o for o in overrides}.values())  # the last
    file = find_config(path)
    try:
        config = read_config(file)
    except Exception as error:  # whatever the user's own Python raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise Mistake(f"cannot load the config {path}: {reason}") from error
    typed = [override for override in overrides if not set_new(config, override)]
    for override in typed:
        if not has_field(config, override):
            raise Mistake(
                f"{override} has no effect: another override replaces its section"
            )
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=values, sys_argv=["", *typed]
        )
        values(["", *typed])
    except (flags.Error, ValueError, TypeError) as error:
        raise Mistake(first_line(error)) from error
    except (MemoryError, RecursionError):
        raise Mistake("an override is nested too deep") from None
    return values.config


def read_config(file: Path) -> ConfigDict:
    """What the file's `get_config()` returns."""
    config = runpy.run_path(str(file))["get_config"]()
    if not isinstance(config, ConfigDict):
        got = type(config).__name__
        raise TypeError(f"get_config() returns a {got}, not a ConfigDict")
    return config


def has_field(config: ConfigDict, override: str) -> bool:
    """Whether the field that an override names exists."""
    at = config
    for part in override.removeprefix("--config.").partition("=")[0].split("."):
        if not isinstance(at, ConfigDict) or part not in at:
            return False
        at = at[part]
    return True


def set_new(config: ConfigDict, override: str) -> bool:
    """Applies an override of a new field or a whole section; False for any other."""
    name, equals, text = override.removeprefix("--config.").partition("=")
    if not equals:
        raise Mistake(f"{override} lacks its value: write {override}=VALUE")
    *sections, field = name.split(".")
    at, path = config, "config"
    for part in sections:
        if path == "config" and part not in at:
            raise registry.unknown(f"field of {path}", part, at.keys())
        at, path = at.get(part, ConfigDict()), f"{path}.{part}"
        if not isinstance(at, ConfigDict):
            raise Mistake(f"{path} has no fields of its own, got {override}")
    if not sections and field not in at:
        raise registry.unknown(f"field of {path}", field, at.keys())
    value, old = literal(text), at.get(field)
    is_word = isinstance(value, str) and text.lower() not in ("true", "false")
    retyped = is_word if isinstance(old, bool) else isinstance(value, tuple)
    if field in at and not isinstance(old, ConfigDict):
        if not (retyped and isinstance(old, bool | str)):
            return False
    elif field in at and not isinstance(value, dict):
        raise Mistake(
            f"{path}.{field} is a section: give a dict, or name a field of it"
        )
    try:
        with config.unlocked(), config.ignore_type():
            at = config
            for part in sections:
                at[part] = at.get(part, ConfigDict())
                at = at[part]
            at[field] = ConfigDict(value) if isinstance(value, dict) else value
    except (ValueError, AttributeError, TypeError) as error:  # not a valid name
        raise Mistake(f"{override}: {error}") from error
    return True


def literal(text: str) -> object:
    """The text as a Python literal; if it is not one, the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text  # the last two: nested too deep
