"""The ways in which a run may end early and say why in one sentence."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)  # of an OSError, where a disk is full


class Mistake(ValueError):
    """The caller's mistake (flag, config, file or data): exit code 2."""


class Stopped(RuntimeError):
    """Ended by the surroundings or by the numbers, checkpoints whole: exit code 3."""


class Preempted(RuntimeError):
    """Told to make room, and saved: start the same command again. Exit code 75."""


class Interrupted(RuntimeError):
    """Told to stop from the keyboard, and saved: exit code 130."""
