"""The ways in which a run may end early and say why in one sentence."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of an OSError: a disk is full


def first_line(error: object, most: int = 200) -> str:
    """What an error says, short enough to report; its kind if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


class Mistake(ValueError):
    """The caller's mistake (flag, config, file or data): exit code 2."""


class Stopped(RuntimeError):
    """Ended by the surroundings or by the numbers, checkpoints whole: exit code 3."""


class Preempted(RuntimeError):
    """Told to make room, and saved: start the same command again. Exit code 75."""


class Interrupted(RuntimeError):
    """Told to stop from the keyboard, and saved: exit code 130."""
