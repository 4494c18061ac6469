"""The ways in which a run may end early, each saying why in one sentence."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # an OSError's errno if a disk is full


def first_line(error: object, most: int = 200) -> str:
    """An error's message, short enough to report; its type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


class Mistake(ValueError):
    """The caller's mistake (flag, config, file or data): exit code 2."""


class Stopped(RuntimeError):
    """Ended by the environment or the numbers, checkpoints intact: exit code 3."""


class Preempted(RuntimeError):
    """Preempted, with its work saved: start the same command again. Exit code 75."""


class Interrupted(RuntimeError):
    """Interrupted from the keyboard, with its work saved: exit code 130."""
