"""Prepared sets: a source's faces stored as ArrayRecord, where TFDS stores its own.

  python -m emotion_jax.data.prepare fer2013=fer2013.csv
  python -m emotion_jax.data.prepare fer2013:5=icml_face_data.csv --overwrite
  python -m emotion_jax.data.prepare keypoints=training.csv
  python -m emotion_jax.data.prepare synthetic

From then on `--data fer2013` needs no path. The sets are in $TFDS_DATA_DIR, or else in
~/tensorflow_datasets, and TensorFlow Datasets can read them by itself too, without
TensorFlow: tfds.data_source("fer2013", split="Training"). `keypoints` is called
facial_keypoints there, and `synthetic` is called synthetic_faces.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emotion_jax import logs
from emotion_jax.data import cache
from emotion_jax.data.table import POINTS, Raw
from emotion_jax.errors import FULL, Mistake, Stopped, first_line

VERSION = "1.0.0"
NAMES = {
    "fer2013": "fer2013",
    "keypoints": "facial_keypoints",
    "synthetic": "synthetic_faces",
}
OWN = ("image", "row", "emotion", "keypoints", "keypoints_known", "person")


def folder(source: str) -> Path:
    """Where a source's prepared set is, or would be."""
    root = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    if "://" in root:
        raise Mistake(f"prepared sets lie on a local disk, got TFDS_DATA_DIR={root}")
    return Path(root).expanduser() / NAMES[source] / VERSION


def read(source: str) -> Raw:
    """The table as the file's reader gave it, except for the file's path."""
    home = folder(source)
    if not whole(home):
        raise Mistake(
            f"{source} needs a file: --data {source}=PATH. Or prepare it once, "
            f"python -m emotion_jax.data.prepare {source}=PATH: {home} is not there"
        )
    try:
        return read_folder(source, home)
    except Exception as error:  # TFDS, ArrayRecord and protobuf each raise their own
        reason = first_line(error)
        raise Mistake(
            f"{home} is damaged ({reason}); prepare it again with --overwrite"
        ) from error


def write(raw: Raw, overwrite: bool = False) -> bool:
    """Makes the prepared set, whole or not at all; False if it already existed."""
    home = folder(raw.source)
    with told(home.parent), locked(home.parent):
        if whole(home) and not overwrite:
            if same(read(raw.source), raw):
                return False
            raise Mistake(f"{home} holds other faces; --overwrite replaces them")
        half = home.parent / ".preparing"
        shutil.rmtree(half, ignore_errors=True)  # left by a process that was killed
        try:
            build(raw, half)
            made = half / home.relative_to(home.parents[1])
            if not same(read_folder(raw.source, made), raw):
                raise Stopped(f"{home} did not come back as it was written")
            if home.exists():
                home.rename(half / "replaced")
            made.rename(home)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return True


def whole(home: Path) -> bool:
    """Whether the set exists; it appears only in the last step, a rename."""
    return (home / "dataset_info.json").is_file()


def same(a: Raw, b: Raw) -> bool:
    """Whether two tables are equal in every byte; only the path may differ."""
    a, b = ({**cache.pack(raw), "path": np.array("")} for raw in (a, b))
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name])
        for name in a
    )


@contextlib.contextmanager
def told(home: Path) -> Iterator[None]:
    """Turns disk errors into one-sentence errors."""
    try:
        yield
    except OSError as error:
        kind = Stopped if error.errno in FULL else Mistake
        raise kind(f"cannot write to {home}: {error.strerror or error}") from None
    except Stopped:
        raise
    except RuntimeError as error:  # ArrayRecord's: "write() failed: No space ...; in"
        reason = str(error).split(";")[0].rsplit(": ", 1)[-1]
        raise Stopped(f"cannot write to {home}: {reason}") from error


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Admits one process at a time; the kernel releases the lock if it dies."""
    import fcntl  # not on Windows, which can still read

    home.mkdir(parents=True, exist_ok=True)
    with open(home / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logs.say(f"waiting for another process that prepares {home}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(raw: Raw, root: Path) -> None:
    """Has TFDS write the set below `root`."""
    import tensorflow_datasets as tfds  # half a second

    from emotion_jax.data import builders

    builder = builders.BUILDERS[raw.source](raw=raw, data_dir=root)
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    print(f"writing {len(raw.image):,} faces", flush=True)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(None):  # which would name the temporary folder
            builder.download_and_prepare(download_config=config)
    finally:
        tfds.enable_progress_bar()


def read_folder(source: str, home: Path) -> Raw:
    """The table that a set's files hold."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.proto import tf_example_pb2

    builder = tfds.builder_from_directory(home)
    features, metadata = builder.info.features, builder.info.metadata
    raw_bytes = tfds.decode.DeserializeMethod.RAW_BYTES  # TFDS's decoding takes 3 s
    examples, usage = [], []
    for split in builder.info.splits:
        records = builder.as_data_source(split, deserialize_method=raw_bytes)
        usage += [split] * len(records)
        for record in records.__getitems__(range(len(records))):
            example = tf_example_pb2.Example.FromString(record)
            examples.append(example.features.feature)
    order = np.argsort([example["row"].int64_list.value[0] for example in examples])

    def texts(name: str) -> list[bytes]:
        return [examples[i][name].bytes_list.value[0] for i in order]

    def array(name: str) -> np.ndarray:
        feature = features[name]
        flat = np.frombuffer(b"".join(texts(name)), feature.np_dtype).copy()
        return flat.reshape(-1, *feature.shape)

    labels, known, names = {}, {}, {}
    if "emotion" in features:
        names["emotion"] = tuple(features["emotion"].names)
        index = [examples[i]["emotion"].int64_list.value[0] for i in order]
        labels["emotion"] = np.eye(len(names["emotion"]), dtype=np.float32)[index]
        known["emotion"] = np.ones(len(order), bool)
    if "keypoints" in features:
        names["keypoints"] = POINTS
        labels["keypoints"] = array("keypoints")
        known["keypoints"] = array("keypoints_known")
    person = None
    if "person" in features:
        person = np.array([name.decode() for name in texts("person")])
    dtype = metadata["usage"]
    return Raw(
        source=source,
        path="",
        image=array("image"),
        labels=labels,
        known=known,
        names=names,
        usage=np.array(usage, dtype)[order] if dtype else None,
        person=person,
        extra={name: array(name) for name in features if name not in OWN},
    )
