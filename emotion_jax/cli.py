"""Flags, config files and overrides, error text, exit codes: once for every binary."""

import argparse
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from emotion_jax import registry
from emotion_jax.errors import Mistake, Stopped

# The arguments of a flag that takes any number of SOURCE=PATH, however written.
SOURCES = {"nargs": "+", "action": "extend", "default": [], "metavar": "SOURCE=PATH"}
DONE, BUG, MISTAKE, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130


def main(binary: Callable[[list[str]], None]) -> None:
    """Runs a binary on the command line and exits with its code."""
    sys.exit(run(binary, sys.argv[1:]))


def run(binary: Callable[[list[str]], None], args: list[str]) -> int:
    """Runs a binary; what ends it early becomes a sentence and an exit code."""
    try:
        binary(args)
    except Mistake as error:
        return tell(error, MISTAKE)
    except Stopped as error:
        return tell(error, STOPPED)
    except KeyboardInterrupt:
        return tell("interrupted", INTERRUPTED)
    except BrokenPipeError:  # `| head` closed its end: no fault of anybody's
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else DONE
    except Exception:
        traceback.print_exc()
        return tell("this is a bug in emotion_jax; please report the lines above", BUG)
    return DONE


def tell(sentence: object, code: int) -> int:
    """Says it on standard error and passes the code on."""
    print(f"emotion_jax: {sentence}", file=sys.stderr, flush=True)
    return code


class Parser(argparse.ArgumentParser):
    """A binary's flags; a wrong one is a Mistake, with the nearest right one."""

    def __init__(self, module: str, doc: str):
        super().__init__(
            f"python -m emotion_jax.{module}",
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str):
        raise Mistake(f"{message}; see {self.prog} --help")

    def parse(self, args: list[str]) -> argparse.Namespace:
        """The flags, all of them known."""
        found, rest = self.parse_known_args(args)
        self.refuse(rest)
        return found

    def parse_with_config(
        self, args: list[str]
    ) -> tuple[argparse.Namespace, ConfigDict]:
        """The flags, and the config file's ConfigDict with its overrides."""
        self.add_argument(
            "--config", required=True, metavar="configs/NAME.py", help="the run"
        )
        self.epilog = "Any field of the config can be set: --config.train.batch_size=64"
        overrides = [arg for arg in args if arg.startswith("--config.")]
        found, rest = self.parse_known_args([a for a in args if a not in overrides])
        self.refuse(rest)
        return found, load_config(found.config, overrides)

    def refuse(self, rest: list[str]) -> None:
        """Raises for what no flag took."""
        for arg in rest:
            if arg.startswith("-"):
                known = [f for f in self._option_string_actions if f.startswith("--")]
                raise registry.unknown("flag", arg.split("=")[0], known)
            raise Mistake(f"{arg!r} belongs to no flag; see {self.prog} --help")


def find_config(path: str) -> Path:
    """The config file: as named, or the one of that name that ships."""
    package = Path(__file__).parent
    for place in (Path(path), package / path, package.parent / path):
        if place.is_file():
            return place
    shipped = [
        f for root in (package, package.parent) for f in root.glob("configs/*.py")
    ]
    names = sorted({f"configs/{f.name}" for f in shipped if f.stem != "__init__"})
    raise registry.unknown("config file", path, names)


def load_config(path: str, overrides: list[str]) -> ConfigDict:
    """The file's `get_config()`, with overrides like `--config.model.width=64`."""
    file = find_config(path)
    try:
        config = read_config(file, [])
    except Exception as error:  # whatever the user's own Python raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise Mistake(f"{path} is no config: {reason}") from error
    for override in overrides:
        check_override(override, config)
    try:
        return read_config(file, overrides)
    except (flags.Error, ValueError, TypeError) as error:
        raise Mistake(str(error).splitlines()[0]) from error


def read_config(file: Path, overrides: list[str]) -> ConfigDict:
    """The config with its overrides, as ml_collections applies them, errors and all."""
    config = runpy.run_path(str(file))["get_config"]()
    if not isinstance(config, ConfigDict):
        got = type(config).__name__
        raise TypeError(f"get_config() returns a {got}, not a ConfigDict")
    values, command = flags.FlagValues(), ["", *overrides]
    config_flags.DEFINE_config_dict(
        "config", config, flag_values=values, sys_argv=command
    )
    values(command)
    return values.config


def check_override(override: str, config: ConfigDict) -> None:
    """Raises unless the override names a field, with the nearest one that is there."""
    name, equals, _ = override.removeprefix("--config.").partition("=")
    at, section = config, "config"
    for part in name.split("."):
        if not isinstance(at, ConfigDict):
            raise Mistake(f"{section} has no fields of its own, got {override}")
        if part not in at:
            raise registry.unknown(f"field of {section}", part, at.keys())
        at, section = at[part], f"{section}.{part}"
    if not equals:
        raise Mistake(f"{override} lacks its value: write {override}=VALUE")
