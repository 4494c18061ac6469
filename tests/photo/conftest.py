"""Photos for the tests, from scikit-image: nobody's but NASA's."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """512x512 in color, one smiling face about (225, 120), 118 pixels wide."""
    return pytest.importorskip("skimage.data").astronaut()
