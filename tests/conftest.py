"""Strictness for every test: 8 devices, shapes checked, no silent broadcasting."""

import gc
import os
import tempfile
import warnings

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # compiles faster
os.environ["EMOTION_JAX_CACHE"] = ""  # a test that wants the cache makes its own

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
install_import_hook("emotion_jax", "typecheck.check")

# Many tests compile the same tiny step, in several workers, some of them in processes
# of their own: once is enough. Who finds the folder's name given did not make it.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="emotion_jax_tests_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

PREPARED = tempfile.TemporaryDirectory(prefix="emotion_jax_tests_")
os.environ["TFDS_DATA_DIR"] = PREPARED.name  # nobody's own sets


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also the tests of minutes")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="takes minutes: give --long")
        for item in items:
            if "long" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def chromium():
    """launch/browser.py, where it can open a page."""
    import browser

    if lacking := browser.lacking():
        pytest.skip(f"a page in a browser needs {' and '.join(lacking)}")
    return browser


@pytest.fixture
def abandoned():
    """What a failed save or restore leaves running is collected before all else."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture(scope="session", autouse=True)
def quick_reports():
    """Few resamples, and no report at a run's end but where a test looks at it."""
    from emotion_jax import intervals, train

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "RESAMPLES", 20)
        patch.setattr(train, "finish", lambda workdir, config: None)
        yield


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run of 8 steps that nothing interrupted. Who writes to it takes a copy."""
    import tiny

    from emotion_jax.train import train_and_evaluate

    workdir = tmp_path_factory.mktemp("runs") / "whole"
    train_and_evaluate(tiny.config(), workdir)
    return workdir


@pytest.fixture(scope="session")
def nets(tmp_path_factory):
    """Untrained: one of both tasks, and two specialists of other sides."""
    import tiny

    root = tmp_path_factory.mktemp("nets")
    return {
        "both": str(tiny.untrained(root / "both")),
        "emotion": str(tiny.untrained(root / "e", {"emotion": {}}, 16)),
        "points": str(tiny.untrained(root / "k", {"keypoints": {}}, 20)),
    }


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """The files of write_csv: 12 synthetic faces."""
    from emotion_jax.data.write_csv import write_csv

    folder = tmp_path_factory.mktemp("faces")
    write_csv(folder, faces=12)
    return folder


@pytest.fixture
def contest(tmp_path, faces):
    """Kaggle's test.csv of the first two faces, ids 5 and 9, and a lookup table."""
    lines = (faces / "keypoints.csv").read_text().splitlines()[1:3]
    pixels = [line.split(",")[-1] for line in lines]
    rows = [f"{n},{row}" for n, row in zip((5, 9), pixels, strict=True)]
    (tmp_path / "test.csv").write_text("\n".join(["ImageId,Image", *rows]))
    (tmp_path / "ask.csv").write_text(
        "RowId,ImageId,FeatureName,Location\n"
        "1,9,nose_tip_y,\n2,5,left_eye_center_x,\n3,9,nose_tip_x,\n"
    )
    return tmp_path
