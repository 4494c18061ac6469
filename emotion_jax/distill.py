"""Distillation: trained networks teach what they see in a face to the one in training.

A task names its teachers: `--config.tasks.emotion.teachers=runs/fer5`, or several,
`="('runs/fer5', 'runs/fer7')"`. Teachers and pupil see the same augmented faces
(Beyer et al. 2022), all those of a batch: even a face without a label teaches.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.tree_util import Partial
from jaxtyping import Array, Float

from emotion_jax import bucket, checkpoint, logs
from emotion_jax.errors import Mistake
from emotion_jax.meta import Meta
from emotion_jax.models import make_network
from emotion_jax.step import standardise
from emotion_jax.tasks import Task, make_tasks


class Teacher:
    """One trained network, which teaches some of the pupil's tasks."""

    def __init__(self, meta: Meta, dtype: str):
        self.tasks = make_tasks(meta.config["tasks"])
        model = dict(meta.config["model"])
        if model.get("dtype", "auto") == "auto":
            model["dtype"] = dtype
        self.network = make_network(self.tasks, **model)
        self.meta, self.places = meta, {}

    def take_on(self, name: str, task: Task) -> None:
        """Adds a task to those that it teaches.

        Raises:
          Mistake: it does not know what it is to teach.
        """
        known = self.meta.names.get(name, ())
        if missing := [n for n in task.names if n not in known]:
            raise Mistake(f"knows no {missing[0]}: its {name} is {known or 'missing'}")
        theirs = self.tasks[name].learn_offset
        if theirs != task.learn_offset:
            raise Mistake(f"was trained with learn_offset={theirs}, unlike this run")
        self.places[name] = [known.index(n) for n in task.names]

    def __call__(
        self, variables: dict, image: Float[Array, "b h w 1"]
    ) -> dict[str, Float[Array, "b ..."]]:
        """Its logits after temperature, or points in pixels of the pupil's image."""
        ours, its = image.shape[1], self.meta.side
        if ours != its:
            image = jax.image.resize(image, (len(image), its, its, 1), "linear")
        answers = self.network.apply(variables, standardise(image), train=False)
        found = {}
        for name, places in self.places.items():
            answer = answers[name][:, jnp.array(places)]
            if self.tasks[name].kind == "points":
                found[name] = (answer + 0.5) * (ours / its) - 0.5
            else:
                found[name] = answer / self.meta.temperature[name]
        return found


def load(tasks: Mapping[str, Task], mesh: Mesh, dtype: str = "auto") -> Partial:
    """The function (image) -> the teachers' answers by task; {} if there are none.

    A network that teaches several tasks is held, and runs, once.

    Args:
      dtype: what the teachers' own `auto` is to mean, if not what suits this machine.

    Raises:
      Mistake: a teacher is not a checkpoint, or does not know what it is to teach.
    """
    teachers, variables, origins = {}, {}, {}
    for name, task in tasks.items():
        for source in task.all_teachers:
            flag = f"config.tasks.{name}.teachers"
            if source not in teachers:
                folder, meta, variables[source] = checkpoint.read(source, mesh, flag)
                teachers[source] = Teacher(meta, dtype)
                origins[source] = bucket.origin(folder)
            try:
                teachers[source].take_on(name, task)
            except Mistake as mistake:
                raise Mistake(f"{flag} {source} {mistake}") from None
            logs.say(f"{name} is taught by {origins[source]}")

    def teach(variables, image):
        answers = {s: see(variables[s], image) for s, see in teachers.items()}
        return {
            name: average(task.kind, [answers[s][name] for s in task.all_teachers])
            for name, task in tasks.items()
            if task.all_teachers
        }

    return Partial(teach, variables)


def average(kind: str, answers: list[Float[Array, "b ..."]]) -> Float[Array, "b ..."]:
    """The logits of the mean distribution, or the mean points."""
    every = jnp.stack(answers)
    if kind == "points":
        return every.mean(0)
    return jax.nn.logsumexp(jax.nn.log_softmax(every), axis=0)
