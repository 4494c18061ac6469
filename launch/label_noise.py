"""How good labels of faces are, and so how well a network can be shown to read them.

  python launch/label_noise.py --fer2013 fer2013.csv --votes fer2013new.csv \\
      --keypoints keypoints_val.csv keypoints_train.csv

prints the tables of launch/results/label_noise.md, in a minute or two on one CPU core.
It takes FER2013 with its Usage, FER+'s votes, and keypoints with a column `person`,
starting with the file that networks are measured on.
"""

from collections.abc import Callable

import noise_points
import noise_votes
import numpy as np
from noise_points import Labelled, Registered, rms
from noise_votes import Right, Voted

from emotion_jax import cli, evaluate, inference
from emotion_jax.data.image import resize
from emotion_jax.data.table import FIVE, POINTS
from emotion_jax.errors import Mistake
from emotion_jax.intervals import PERCENTILES, resamples
from emotion_jax.report import tables
from emotion_jax.tasks.points import FRAME

ALIKE = (0.90, 0.93, 0.95, 0.97, 0.98)  # correlations of two pictures' pixels
SAME = 0.97  # from here on, two frames are nearly one picture
RECIPE = """\
# What the labels are worth

Made by

    python launch/label_noise.py {args}

with 95 % intervals by bootstrap over faces, of twins over photos, of keypoints over
people. The network is `{network}` for emotions, `{pointer}` for keypoints."""


def interval(
    statistic: Callable[[np.ndarray], float], n: int, group: np.ndarray | None = None
) -> str:
    """The statistic of n rows, with its 95 % bootstrap interval."""
    if not n:
        return "-"
    drawn = [statistic(rows) for rows in resamples(np.arange(n), group)]
    low, high = np.percentile(drawn, PERCENTILES)
    return f"{statistic(np.arange(n)):.3f} ({low:.3f} to {high:.3f})"


def share(right: Right) -> str:
    """The share of faces that are right, with its interval."""
    return interval(lambda rows: float(right[rows].mean()), len(right))


def probabilities(model: inference.Model, faces: Voted) -> np.ndarray:
    """The network's probabilities for these faces, over the five classes alone."""
    found = model.predict(faces.raw.image[faces.rows])
    shares = found.emotion[:, [found.classes.index(name) for name in FIVE]]
    return shares / shares.sum(1, keepdims=True)


def within(faces: Voted, rows: np.ndarray) -> Voted:
    """The faces that are among these rows of the file."""
    here = np.isin(faces.rows, rows)
    return Voted(faces.raw, faces.rows[here], faces.label[here], faces.share[here])


def emotions(path: str, votes: str, model: inference.Model) -> list[str]:
    """The part on FER2013."""
    faces = noise_votes.load(path, votes)
    test, train = faces.of("PublicTest"), faces.of("Training")
    (val,) = evaluate.load_splits(model.restored, [f"fer2013={path}"], "val")
    apart = within(train, val.rows)
    said = tuple(np.log(probabilities(model, part) + 1e-6) for part in (apart, test))
    agree = noise_votes.agreement(test)
    own = (said[1].argmax(1) == test.label).astype(float)
    taught, both = (
        noise_votes.taught(train, test),
        noise_votes.taught(apart, test, said),
    )
    readers = {
        "names what most of the ten voters do": agree,
        "the same of nine, were the label the tenth vote": noise_votes.next_vote(test),
        "has learnt from Training how labels go with votes": taught,
        "the network, from the pixels": own,
        "has learnt from `val` how they go with votes and network": both,
    }
    right = tables.markdown(
        ["who reads the five classes of PublicTest", "faces", "right by FER2013"],
        [[who, f"{len(right):,}", share(right)] for who, right in readers.items()],
    )
    clear = noise_votes.by_clarity(test, agree)
    network = noise_votes.by_clarity(test, own)
    sure = tables.markdown(
        [
            "votes for the first of the five",
            "faces",
            "label is that",
            "network is right",
        ],
        [
            [name, f"{n:,}", f"{value:.3f}", f"{other:.3f}"]
            for (name, n, value), (_, _, other) in zip(clear, network)
        ],
    )
    return ["## Emotions", right, sure, photos(faces)]


def photos(faces: Voted) -> str:
    """Photos that occur in several rows: do the labels of these rows agree?"""
    raw, rows = faces.raw, []
    label, share = raw.labels["emotion"].argmax(1), raw.trained["emotion"]
    near = noise_votes.twin_pairs(raw, near=True)
    pairs = {"exact twins": noise_votes.twin_pairs(raw, near=False), "near twins": near}
    for kind, these in pairs.items():
        five = these[np.isin(label[these], noise_votes.COLUMNS).all(1)]
        for which, some in (("seven classes", these), ("both of the five", five)):
            same = noise_votes.agree(some, label)
            rows.append([f"{kind}, {which}, FER2013", f"{len(same):,}", *bounds(same)])
    voted = noise_votes.agree(near, share.argmax(1))
    drawn = noise_votes.panels_agree(share[np.unique(near)])
    rows += [
        [
            "near twins, seven classes, majority of FER+",
            f"{len(voted):,}",
            *bounds(voted),
        ],
        [
            "two panels drawn from the votes on one row",
            f"{len(drawn):,}",
            *bounds(drawn),
        ],
    ]
    head = ["one photo, labelled twice", "photos", "agree", "root"]
    return tables.markdown(head, rows)


def bounds(same: Right) -> list[str]:
    """Bounds on the accuracy of a reader who knows how each photo is labelled.

    If a photo's labels have shares p, two labels agree with probability sum of p^2; the
    best reader is right by the largest p, which is between that sum and its root.
    """
    root = interval(lambda rows: float(same[rows].mean() ** 0.5), len(same))
    return [share(same), root]


def points(faces: Labelled, first: Labelled, model: inference.Model) -> list[str]:
    """The part on keypoints; the network is measured on the `first` of the faces."""
    found = Registered(faces, ALIKE[0])
    rows = []
    for low, high in zip(ALIKE, (*ALIKE[1:], 1.0)):
        here = (found.alike >= low) & (found.alike <= high)
        pairs = found.pairs[here]
        errors = found.labels(pairs) / np.sqrt(2), found.shapes(pairs) / np.sqrt(2)
        people = faces.person[pairs[:, 0]]
        spans = [px(error, people) for error in errors]
        rows.append([f"{low:.2f} to {high:.2f}", len(pairs), len(set(people)), *spans])
    alike = tables.markdown(
        ["pixels correlate by", "pairs", "people", "laid by pixels", "laid by labels"],
        rows,
    )
    return ["## Keypoints", alike, *floor(faces, first, found, model)]


def px(errors: np.ndarray, people: np.ndarray) -> str:
    """The RMS error of a coordinate, in pixels of the 96-pixel frame."""
    return interval(lambda rows: rms(errors[rows]), len(errors), people)


def missed(model: inference.Model, faces: Labelled) -> np.ndarray:
    """The network's errors, as x + i y in pixels of the 96-pixel frame."""
    image = resize(faces.image.astype(np.uint8)[..., None], model.side)
    said = model.predict(image).keypoints.astype(np.float64)
    return ((said + 0.5) * (FRAME / model.side) - 0.5) @ [1, 1j] - faces.points


def of_people(errors: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Each face's errors replaced by the mean of its person's."""
    _, who = np.unique(person, return_inverse=True)
    sums = np.zeros((who.max() + 1, errors.shape[1]), complex)
    np.add.at(sums, who, errors)
    return (sums / np.bincount(who)[:, None])[who]


def floor(
    faces: Labelled, first: Labelled, found: Registered, model: inference.Model
) -> list[str]:
    """The labels' noise beside the network's error, for all points and for each."""
    errors, grain = missed(model, first), noise_points.grain(first.points)
    grain = grain[~np.isnan(grain)]
    mirror, frontal = noise_points.symmetric(faces.points)
    pairs = found.pairs[found.alike >= SAME]
    again = found.labels(pairs) / np.sqrt(2)
    shift = np.broadcast_to(errors.mean(1, keepdims=True), errors.shape)
    both = pairs[(pairs < len(first.points)).all(1)]
    twice = (errors[both[:, 0]] - errors[both[:, 1]]) / np.sqrt(2)

    def without_noise(error: float) -> str:
        return f"{np.sqrt(max(error**2 - rms(again) ** 2, 0)):.3f}"

    measures = {
        f"labels lie on a grid of {np.median(grain):.2f} px (median): its rounding": [
            len(grain),
            f"{np.sqrt((grain**2).mean() / 12):.3f}",
        ],
        f"labels of nearly one picture (correlation {SAME} or more)": [
            len(pairs),
            px(again, faces.person[pairs[:, 0]]),
        ],
        "frontal faces on their mirror images": [frontal, f"{rms(mirror):.3f}"],
        "the network's error": [len(errors), px(errors, first.person)],
        "of it, a shift of all points alike": [len(errors), px(shift, first.person)],
        "of it, what all faces of a person share, point by point": [
            len(set(first.person)),
            px(of_people(errors, first.person), first.person),
        ],
        "of it, what changes between two frames of nearly one picture": [
            len(both),
            px(twice, first.person[both[:, 0]]),
        ],
        "the network's error without the noise": [
            len(errors),
            without_noise(rms(errors)),
        ],
        "a network of 1.5 px, without the noise": ["", without_noise(1.5)],
    }
    every = tables.markdown(
        ["what", "faces or pairs", "px"], [[k, *v] for k, v in measures.items()]
    )
    return [every, by_point(again, mirror, errors)]


def by_point(again: np.ndarray, mirror: np.ndarray, errors: np.ndarray) -> str:
    """A row for each point: the labels' noise seen in two ways, the network's error."""
    kinds = {
        "nearly one picture": again,
        "mirror image": mirror,
        "network's error": errors,
    }
    rows = [
        [name.replace("_", " "), *(f"{rms(kind[:, k]):.2f}" for kind in kinds.values())]
        for k, name in enumerate(POINTS)
    ]
    return tables.markdown(["point", *kinds], rows)


def main(args: list[str]) -> None:
    """Prints the tables."""
    parser = cli.Parser("python launch/label_noise.py", __doc__)
    add = parser.add_argument
    add("--fer2013", required=True, metavar="CSV")
    add("--votes", required=True, metavar="CSV", help="FER+'s fer2013new.csv")
    add("--keypoints", required=True, nargs="+", metavar="CSV")
    add("--emotion-network", default="pretrained", metavar="X")
    add("--keypoint-network", default="pretrained:keypoints", metavar="X")
    flags = parser.parse(args)
    names = flags.emotion_network, flags.keypoint_network
    models = [inference.Model(name, "label_noise:") for name in names]
    for name, model, task in zip(names, models, ("emotion", "keypoints"), strict=True):
        known = model.restored.tasks.get(task)
        if not known or task == "emotion" and not set(FIVE) <= set(known.names):
            raise Mistake(f"{name} does not know what is asked of it: {task}")
    faces, first = noise_points.load(flags.keypoints)
    told = [RECIPE.format(args=" ".join(args), network=names[0], pointer=names[1])]
    told += emotions(flags.fer2013, flags.votes, models[0])
    told += points(faces, first, models[1])
    print("\n\n".join(told))


if __name__ == "__main__":
    cli.main(main)
