"""What is told of an error."""

import pytest

from emotion_jax.errors import first_line


@pytest.mark.parametrize(
    "error, text",
    [
        (ValueError("\n no digit\nfurther on"), "no digit"),
        (RuntimeError(" \n"), "RuntimeError"),
        (OSError(), "OSError"),
        (KeyError("x" * 300), "'" + "x" * 199),
    ],
)
def test_an_error_is_told_in_one_short_line(error, text):
    assert first_line(error) == text
