"""Laws of the course's Keras weights: each array in its place, equal outputs."""

import os

import by_hand
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax.errors import Mistake
from emotion_jax.models import keras_weights, make_network
from emotion_jax.step import standardise
from emotion_jax.tasks import make_tasks
from emotion_jax.trees import by_path, map_by_path

h5py = pytest.importorskip("h5py")
GRAYS = np.random.default_rng(0).random((2, 96, 96, 1)).astype(np.float32)


def network_of(task):
    return make_network(make_tasks({task: {"head": "course"}}), name="course")


@pytest.fixture
def keras(monkeypatch):
    if "KERAS_BACKEND" not in os.environ:
        monkeypatch.setenv("KERAS_BACKEND", "jax")
    with jax.numpy_rank_promotion("allow"):  # in Keras's own layers
        yield pytest.importorskip("keras")


def course_in_keras(keras, task):
    """The course's network, as its notebooks write it down."""
    layers = keras.layers

    def conv(x, width, size, name, **options):
        return layers.Conv2D(width, size, name=f"res_{name}", **options)(x)

    def norm(x, name):
        return layers.BatchNormalization(name=f"bn_{name}")(x)

    def block(x, widths, name, projects):
        skip, copy = x, f"{name}_copy"
        x = conv(x, widths[0], 1, f"{name}_a")
        if projects:
            x = layers.MaxPool2D(2)(x)
            skip = layers.MaxPool2D(2)(conv(skip, widths[2], 1, copy))
            skip = norm(skip, copy)
        x = layers.ReLU()(norm(x, f"{name}_a"))
        x = conv(x, widths[1], 3, f"{name}_b", padding="same")
        x = layers.ReLU()(norm(x, f"{name}_b"))
        x = norm(conv(x, widths[2], 1, f"{name}_c"), f"{name}_c")
        return layers.ReLU()(layers.Add()([x, skip]))

    image = layers.Input((96, 96, 1))
    x = layers.ZeroPadding2D(3)(image)
    x = layers.Conv2D(64, 7, strides=2, name="conv1")(x)
    x = layers.ReLU()(norm(x, "conv1"))
    x = layers.MaxPooling2D(3, strides=2)(x)
    for stage, widths in ((2, (64, 64, 256)), (3, (128, 128, 512))):
        x = block(x, widths, f"{stage}_conv", projects=True)
        x = block(x, widths, f"{stage}_identity_1", projects=False)
        x = block(x, widths, f"{stage}_identity_2", projects=False)
    if task == "emotion":
        x = layers.Flatten()(layers.AveragePooling2D(4)(x))
        return keras.Model(image, layers.Dense(5, name="Dense_final")(x))
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    for width, rate in ((4096, 0.2), (2048, 0.1)):
        x = layers.Dropout(rate)(layers.Dense(width, activation="relu")(x))
    return keras.Model(image, layers.Dense(30, activation="relu")(x))


def variables_of(network, given):
    """The network's variables, all of them from the file."""
    shapes = jax.eval_shape(network.init, jax.random.key(0), GRAYS)
    assert {k: v.shape for k, v in by_path(shapes).items()} == {
        k: v.shape for k, v in given.items()
    }
    return map_by_path(lambda path, _: given[path], shapes)


@pytest.mark.filterwarnings("ignore")  # Keras's own
@pytest.mark.parametrize("task", ["emotion", "keypoints"])
def test_our_network_answers_as_keras_does(keras, task, tmp_path):
    model, rng = course_in_keras(keras, task), np.random.default_rng(1)
    for variable in model.weights:
        if len(variable.shape) > 1:
            size = np.prod(variable.shape[:-1]) ** -0.5
            variable.assign(rng.normal(0, size, variable.shape))
        else:  # variances among them
            variable.assign(rng.uniform(0.1, 0.5, variable.shape))
    model.save(tmp_path / "weights.h5")
    network = network_of(task)
    given = keras_weights.read(tmp_path / "weights.h5")
    variables = variables_of(network, given)
    expected = model.predict_on_batch(GRAYS)
    found = jax.jit(network.apply)(variables, standardise(jnp.asarray(GRAYS)))[task]
    assert expected.std() > 0.01
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        np.reshape(found, expected.shape) / scale, expected / scale, atol=1e-5
    )


def write(path, layers):
    with h5py.File(path, "w") as file:
        for layer, arrays in layers.items():
            for name, array in arrays.items():
                file[f"{layer}/{layer}/{name}:0"] = array


def test_every_array_goes_where_its_name_says(tmp_path):
    one, kernel = np.arange(4.0), np.arange(20.0).reshape(4, 5)
    layers = {
        "bn_conv1": {"gamma": one, "beta": one + 1},
        "res_3_identity_2_b": {"bias": one + 2},
        "bn_2_conv_copy": {"moving_mean": one + 3, "moving_variance": one + 4},
        "dense_7": {"kernel": kernel, "bias": kernel[0]},
    }
    write(tmp_path / "a.hdf5", layers)
    found = keras_weights.read(tmp_path / "a.hdf5")
    expected = {
        "params/trunk/stem_norm/scale": one,
        "params/trunk/stem_norm/bias": one + 1,
        "params/trunk/stage2_block3/b/bias": one + 2,
        "batch_stats/trunk/stage1_block1/skip_norm/mean": one + 3,
        "batch_stats/trunk/stage1_block1/skip_norm/var": one + 4,
        "params/heads_emotion/output/kernel": kernel,
        "params/heads_emotion/output/bias": kernel[0],
    }
    assert found.keys() == expected.keys()
    for path, array in expected.items():
        np.testing.assert_array_equal(found[path], array)


def test_what_is_no_such_file_is_a_sentence(tmp_path):
    (tmp_path / "a.h5").write_text("no")
    with pytest.raises(Mistake, match="a.h5 is no file of Keras weights: "):
        keras_weights.read(tmp_path / "a.h5")
    with pytest.raises(Mistake, match="b.h5 is no file of Keras weights: .*No such"):
        keras_weights.read(tmp_path / "b.h5")
    write(
        tmp_path / "c.h5", {"block1": {"kernel": np.ones((3, 4)), "bias": np.ones(4)}}
    )
    with pytest.raises(Mistake, match="c.h5 holds layers called block1; expected the"):
        keras_weights.read(tmp_path / "c.h5")


def test_every_layer_of_the_trunk_has_a_name_in_keras():
    network = network_of("emotion")
    shapes = jax.eval_shape(network.init, jax.random.key(0), GRAYS)
    named = {keras_weights.place(name) for name in all_names()}
    there = {p.split("/", 1)[1].rpartition("/")[0] for p in by_path(shapes)}
    assert named == {path for path in there if path.startswith("trunk")}
    assert by_hand.count(shapes) == 1_174_021


def all_names():
    """The course's own names of its layers."""
    yield from ("conv1", "bn_conv1")
    for kind in ("res", "bn"):
        for stage in (2, 3):
            for block in ("conv", "identity_1", "identity_2"):
                for branch in ("a", "b", "c", *(["copy"] if block == "conv" else [])):
                    yield f"{kind}_{stage}_{block}_{branch}"


@pytest.mark.parametrize(
    "error", [RuntimeError("torn\nat 3"), KeyError("torn"), OSError()]
)
def test_whatever_h5py_raises_is_a_sentence(tmp_path, monkeypatch, error):
    def fail(*args):
        raise error

    write(tmp_path / "a.h5", {})
    monkeypatch.setattr(h5py.File, "visititems", fail)
    with pytest.raises(Mistake, match="a.h5 is no file of Keras weights: .*(torn|OSE)"):
        keras_weights.read(tmp_path / "a.h5")
