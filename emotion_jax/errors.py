"""The two ways in which a run may end early and say why in one sentence."""


class Mistake(ValueError):
    """The caller's mistake (flag, config, file or data): exit code 2."""


class Stopped(RuntimeError):
    """Ended by the surroundings or by the numbers, checkpoints whole: exit code 3."""
