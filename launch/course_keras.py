"""The course's emotion network, trained in Keras as its notebook does, for the race.

Faces are enlarged to 96 x 96; Adam at its default rate, batches of 64, Keras's own
ImageDataGenerator. Run by race.py; prints a JSON line after each epoch.
"""

import argparse
import json
import os
import time

BEGIN = time.perf_counter()
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
FIVE = {0: 0, 1: 1, 4: 2, 3: 3, 5: 4}  # by FER2013's numbers, without fear and neutral


def faces(path: str, usage: str):
    """One Usage's gray levels in [0, 1] and labels among the five classes."""
    import numpy as np
    import pandas as pd
    from PIL import Image

    table = pd.read_csv(path)
    table.columns = [name.strip() for name in table.columns]
    table = table[(table.Usage == usage) & table.emotion.isin(list(FIVE))]
    rows = [np.array(text.split(), np.uint8).reshape(48, 48) for text in table.pixels]
    large = [Image.fromarray(row).resize((96, 96), Image.BICUBIC) for row in rows]
    image = np.stack([np.asarray(one) for one in large])[..., None] / np.float32(255)
    return image, np.array([FIVE[label] for label in table.emotion])


def network():
    """Two stages of residual blocks, 1,174,021 parameters."""
    import keras
    from keras import layers

    def block(x, widths: tuple[int, int, int], projects: bool):
        f1, f2, f3 = widths
        skip, x = x, layers.Conv2D(f1, 1)(x)
        if projects:
            x = layers.MaxPool2D(2)(x)
            skip = layers.MaxPool2D(2)(layers.Conv2D(f3, 1)(skip))
            skip = layers.BatchNormalization()(skip)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(f2, 3, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.BatchNormalization()(layers.Conv2D(f3, 1)(x))
        return layers.ReLU()(layers.Add()([x, skip]))

    image = layers.Input((96, 96, 1))
    x = layers.Conv2D(64, 7, strides=2)(layers.ZeroPadding2D(3)(image))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(3, strides=2)(x)
    for widths in ((64, 64, 256), (128, 128, 512)):
        for projects in (True, False, False):
            x = block(x, widths, projects)
    x = layers.Flatten()(layers.AveragePooling2D(4)(x))
    model = keras.Model(image, layers.Dense(len(FIVE), activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Trains until the target or the time limit is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv")
    parser.add_argument("--target", type=float, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    flags = parser.parse_args()

    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    train, test = faces(flags.csv, "Training"), faces(flags.csv, "PublicTest")
    augment = tf.keras.preprocessing.image.ImageDataGenerator(
        rotation_range=15,
        width_shift_range=0.1,
        height_shift_range=0.1,
        shear_range=0.1,
        zoom_range=0.1,
        horizontal_flip=True,
        fill_mode="nearest",
    )
    model, batches = network(), augment.flow(*train, batch_size=64, seed=0)
    accuracy, epoch = 0.0, 0
    while accuracy < flags.target and time.perf_counter() - BEGIN < 60 * flags.minutes:
        model.fit(batches, epochs=1, verbose=0)
        accuracy, epoch = model.evaluate(*test, verbose=0)[1], epoch + 1
        took = time.perf_counter() - BEGIN
        told = {"epoch": epoch, "seconds": round(took, 1), "accuracy": accuracy}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
