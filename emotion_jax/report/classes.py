"""A report's part on a task of classes: how accurate, how confident, which mistakes."""

from pathlib import Path

import numpy as np

from emotion_jax.report import curves, focus, mosaic
from emotion_jax.report.answers import Answers, ruled_out
from emotion_jax.report.page import Html, folded, picture, sentences, table
from emotion_jax.report.quantities import Told
from emotion_jax.scores import MOST_CLASSES, softmax

MOST_LOOKED_AT = 10  # classes drawn with heat maps of what the network looks at


def parts(folder: Path, answers: Answers, told: Told, network, variables: dict):
    """Each part's title and content by name; draws its pictures into the folder."""
    name = answers.name
    return {
        name: (name.capitalize(), right(answers, told)),
        f"{name}-classes": ("Class by class", each(answers, told)),
        f"{name}-confusion": ("Confusion", confusion(folder, answers, told)),
        f"{name}-curves": ("Curves", ranking(folder, answers, told)),
        f"{name}-calibration": ("Calibration", calibration(folder, answers, told)),
        f"{name}-coverage": ("When it may decline", coverage(folder, answers, told)),
        f"{name}-mistakes": ("The surest mistakes", mistakes(folder, answers)),
        f"{name}-focus": (
            "Where it looks",
            looks(folder, answers, network, variables),
        ),
    }


def right(answers: Answers, told: Told) -> list[Html]:
    """How often the network is right, by four measures."""
    found = [
        *map(sentences, ruled_out({answers.name: answers.task}, answers.split)),
        sentences(
            "Accuracy is the share of the faces whose most probable class is their "
            "label: ", told("accuracy"), " of ", told("n"), ", or, for other such "
            "faces, most likely ", told.interval("accuracy"), ". A large class weighs "
            "more in it than a small one.",
        ),
        sentences(
            "Balanced accuracy, ", told("balanced_accuracy"), ", is the mean of the "
            "classes' recalls, and macro-F1, ", told("macro_f1"), ", that of their F1: "
            "there every class counts the same, however few its faces. Where they are "
            "much below the accuracy, the small classes are paid for by the large.",
        ),
    ]  # fmt: skip
    if len(answers.task.names) > 2:
        found.append(
            sentences(
                "Top-2 accuracy, ", told("top2"), ", asks only that the label be one "
                "of the two most probable classes.",
            )
        )  # fmt: skip
    if "twin" not in answers.split.extra:
        return found
    if told.value("n@notwins") == told.value("n"):
        return [
            *found,
            sentences("No face here has an exact copy among the file's training rows."),
        ]
    return [
        *found,
        sentences(
            "Some photos stand in the file twice, here and among its training rows. "
            "Without those, on ", told("n@notwins"), " faces, the accuracy is ",
            told("accuracy@notwins"), ". If it is much lower, the network has learnt "
            "faces by heart.",
        ),
    ]  # fmt: skip


def each(answers: Answers, told: Told) -> list[Html]:
    """The classification report by class, and what its columns mean."""
    columns = ("precision", "recall", "f1", "support", "auc", "ap")
    header = ("class", "precision", "recall", "F1", "faces", "AUC", "AP")
    names = answers.task.names
    rows = [[name, *(told(f"{c}/{name}") for c in columns)] for name in names]
    there = [n for n in names if told.value(f"precision/{n}") is not None]

    def gap(name: str) -> float:
        return told.value(f"precision/{name}") - told.value(f"recall/{name}")

    name = max(there, key=lambda name: abs(gap(name)))
    habit = "too rarely" if gap(name) > 0 else "too often"
    balance = f" Here the network says {name} {habit}." if gap(name) else ""
    return [
        table(header, rows),
        sentences(
            f"Take {name}. Of the faces that the network calls so, ",
            told(f"precision/{name}"), " are: its precision. Of the faces that are, it "
            "finds ", told(f"recall/{name}"), ": its recall. Who says a word more "
            f"often finds more, and is wrong more often.{balance} F1 is the harmonic "
            "mean of the two, ", told(f"f1/{name}"), ": high only where both are. Ask "
            "for precision where a false alarm costs, for recall where a miss does.",
        ),
    ]  # fmt: skip


def confusion(folder: Path, answers: Answers, told: Told) -> list[Html]:
    """Which class is mistaken for which."""
    names, path = answers.task.names, folder / f"{answers.name}-confusion.png"
    if len(names) > MOST_CLASSES:
        return []
    counts = np.array(
        [[told.value(f"confusion/{a}/{b}") for b in names] for a in names]
    )
    curves.draw_confusion(path, counts, names)
    off = np.where(np.eye(len(names), dtype=bool), -1, counts)
    a, b = (names[i] for i in np.unravel_index(off.argmax(), off.shape))
    worst = ""
    if off.max() > 0:
        worst = (
            f"Most often {a} is taken for {b}: ", told(f"confusion/{a}/{b}"),
            " of ", told(f"support/{a}"), "; the other way round: ",
            told(f"confusion/{b}/{a}"), " of ", told(f"support/{b}"), ". ",
        )  # fmt: skip
    rows = [[a, *(told(f"confusion/{a}/{b}") for b in names)] for a in names]
    return [
        picture(path, "confusion matrix, in faces and in percent of each row", "chart"),
        sentences(
            "A row is a label, a column what the network says. ", *worst, "If two "
            "classes are taken for each other, they look alike, or their labels were "
            "given by chance; if one draws faces from all rows, the network says it "
            "when in doubt.",
        ),
        folded("As a table", table(("label", *names), rows)),
    ]  # fmt: skip


def ranking(folder: Path, answers: Answers, told: Told) -> list[Html]:
    """How well each class's probability sorts the faces."""
    if told.value("auc") is None:
        return [sentences("All faces are of one class: there is nothing to sort.")]
    path = folder / f"{answers.name}-curves.png"
    curves.draw_ranking(path, answers.probability, answers.truth, answers.task.names)
    return [
        picture(path, "ROC and precision-recall curves of each class", "chart"),
        sentences(
            "Here a class's probability sorts the faces, and the line between yes and "
            "no moves through them. Left, ROC: which part of its faces is found while "
            "which part of the others is taken by mistake. The area below, AUC, is how "
            "often a face of the class stands before one that is not; a coin gives the "
            "dotted line. Its mean is ", told("auc"), ".",
        ),
        sentences(
            "Right, precision against recall: what finding more costs. For a rare "
            "class it is the honest one, as there a few false alarms among many faces "
            "drown the true ones. The area below is the average precision, AP; its "
            "mean is ",
            told("ap"), ".",
        ),
    ]  # fmt: skip


def calibration(folder: Path, answers: Answers, told: Told) -> list[Html]:
    """Whether the network is right as often as its probabilities claim."""
    path = folder / f"{answers.name}-calibration.png"
    raw = softmax(answers.logits.astype(np.float64)).max(-1)
    curves.draw_calibration(path, raw, answers.sure, answers.hit)
    after = (
        told("ece"), " after its logits are divided by one temperature, ",
        told("temperature"), ". It was fitted on the faces that training validates on, "
        "is part of the checkpoint, and changes no answer, only how sure it is.",
    )  # fmt: skip
    if answers.temperature == 1:
        after = ("and no temperature was fitted to this checkpoint.",)
    return [
        picture(path, "accuracy by confidence, and how common each is", "chart"),
        sentences(
            "Of all faces on which the network is eighty percent sure, it should be "
            "right on eighty percent: on the dotted line. Above it the network is too "
            "modest, below it too sure. The calibration error (ECE) is the mean "
            "distance from that line, over equal bins of confidence: ",
            told("ece@raw"), " as the network was trained, ", *after,
        ),
        sentences(
            "The negative log-likelihood, ", told("nll@raw"), " before and ",
            told("nll"), " after, judges both at once: being right, and knowing when. "
            "Sampling noise alone makes an ECE above zero.",
        ),
    ]  # fmt: skip


def coverage(folder: Path, answers: Answers, told: Told) -> list[Html]:
    """What the network gains by answering only where it is confident."""
    path = folder / f"{answers.name}-coverage.png"
    curves.draw_coverage(path, answers.sure, answers.hit)
    return [
        picture(path, "accuracy by share of faces answered; confidence", "chart"),
        sentences(
            "If the network may decline the faces it is least sure of, it is right on ",
            told("accuracy@coverage_90"), " when it declines a tenth, ",
            told("accuracy@coverage_80"), " when a fifth, ",
            told("accuracy@coverage_50"), " when half, instead of ", told("accuracy"),
            ". A flat line would mean that its confidence is worth nothing.",
        ),
    ]  # fmt: skip


def mistakes(folder: Path, answers: Answers) -> list[Html]:
    """The most confident wrong answers."""
    wrong = np.flatnonzero(~answers.hit)
    if not len(wrong):
        return [sentences("There is none: every face is given its label.")]
    some = wrong[np.argsort(-answers.sure[wrong], kind="stable")][: mosaic.MOST]
    path = folder / f"{answers.name}-mistakes.png"
    image = answers.split.faces["image"][answers.rows[some]]
    mosaic.draw(path, image, answers.captions(some), tile=132)
    return [
        sentences(
            "What the network says, how sure it is, and the label. Ask of each face "
            "who is wrong: labels that people gave in a hurry are mistaken too, and "
            "then the accuracy above is too low."
        ),
        picture(path, "faces with a confident mistake"),
    ]


def looks(folder: Path, answers: Answers, network, variables: dict) -> list[Html]:
    """Some faces of each class, and which areas speak for the answer."""
    there = np.unique(answers.truth)[:MOST_LOOKED_AT]
    some = np.concatenate(
        [
            mosaic.evenly(np.flatnonzero(answers.truth == k), mosaic.COLUMNS)
            for k in there
        ]
    )
    image = answers.split.faces["image"][answers.rows[some]]
    path = folder / f"{answers.name}-focus.png"
    heat = focus.maps(network, variables, answers.name, image, answers.guess[some])
    mosaic.draw(path, image, answers.captions(some), tile=132, heat=heat)
    return [
        sentences(
            "Bright places speak most for the class that the network says (Grad-CAM, "
            "Selvaraju et al.). The last feature map is coarse, and each of its places "
            "sees much around it: look for what the faces of a class have in common. "
            "Light that always lies beside the face tells of a network that learnt the "
            "wrong thing."
        ),
        picture(path, "where the network looks, on faces of each class"),
    ]
