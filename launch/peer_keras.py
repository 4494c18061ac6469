"""The peer in Keras with TensorFlow: tf.data, its augmentation layers, fit."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import rig as rigs
import tensorflow as tf
from keras import layers

STEPS = 32  # in each fit, which refills the shuffle buffer of 1,024


def images_s(rig: rigs.Rig, repeats: int, sizes: dict, labels: np.ndarray) -> dict:
    """Images/s of training."""
    if tf.config.list_physical_devices("GPU"):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = network(rig.side, **sizes)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), "mse")
    faces = tf.data.Dataset.from_tensor_slices((rig.split.faces["image"], labels))
    faces = faces.shuffle(1024).repeat()
    faces = faces.batch(rig.batch_size).prefetch(tf.data.AUTOTUNE)

    def run():
        model.fit(faces, steps_per_epoch=STEPS, epochs=1, verbose=0)

    run()
    rates = [STEPS * rig.batch_size / s for s in rigs.seconds(run, repeats)]
    versions = {"version": keras.__version__, "tensorflow": tf.__version__}
    return rigs.spread(rates) | versions


def network(
    side: int, stages: list[tuple[int, int]], stem: tuple[int, int, int], outputs: int
) -> keras.Model:
    """The network of these sizes, with the augmentation as its first layers."""
    image = keras.Input((side, side, 1))
    x = layers.Rescaling(1 / 255)(image)
    for augment in (
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.03),
        layers.RandomZoom(0.15),
        layers.RandomTranslation(0.08, 0.08),
        layers.RandomBrightness(0.1, (0, 1)),
        layers.RandomContrast(0.2),
    ):
        x = augment(x)
    x = layers.ReLU()(conv(x, *stem))
    for stage, (count, width) in enumerate(stages):
        for number in range(count):
            x = block(x, width, 2 if stage and not number else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(outputs, dtype="float32")(x))


def block(x, width: int, stride: int):
    """A basic block, with a projection where the shape changes."""
    y = layers.ReLU()(conv(x, width, 3, stride))
    y = conv(y, width, 3, 1)
    same = stride == 1 and x.shape[-1] == width
    return layers.ReLU()(layers.Add()([y, x if same else conv(x, width, 1, stride)]))


def conv(x, width: int, kernel: int, stride: int):
    """A convolution and its normalisation."""
    made = layers.Conv2D(width, kernel, stride, "same", use_bias=False)(x)
    return layers.BatchNormalization()(made)
