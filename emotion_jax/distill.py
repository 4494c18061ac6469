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
from emotion_jax.checkpoint import Meta
from emotion_jax.errors import Mistake
from emotion_jax.models import make_network
from emotion_jax.step import standardise
from emotion_jax.tasks import Task, make_tasks


class Teacher:
    """One trained network, which teaches one of the pupil's tasks."""

    def __init__(self, name: str, task: Task, meta: Meta):
        known = meta.names.get(name, ())
        if missing := [n for n in task.names if n not in known]:
            raise Mistake(f"knows no {missing[0]}: its {name} is {known or 'missing'}")
        config = meta.config
        tasks = make_tasks(config["tasks"])
        if tasks[name].learn_offset != task.learn_offset:
            theirs = tasks[name].learn_offset
            raise Mistake(f"was trained with learn_offset={theirs}, unlike this run")
        self.network = make_network(tasks, **config["model"])
        self.name, self.kind = name, task.kind
        self.side, self.temperature = meta.side, meta.temperature
        self.places = [known.index(n) for n in task.names]

    def __call__(
        self, variables: dict, image: Float[Array, "b h w 1"]
    ) -> Float[Array, "b ..."]:
        """Its logits after temperature, or points in pixels of the pupil's image."""
        side = image.shape[1]
        if side != self.side:
            shape = len(image), self.side, self.side, 1
            image = jax.image.resize(image, shape, "linear")
        answer = self.network.apply(variables, standardise(image), train=False)
        answer = answer[self.name][:, jnp.array(self.places)]
        if self.kind == "points":
            return (answer + 0.5) * (side / self.side) - 0.5
        return answer / self.temperature[self.name]


def load(tasks: Mapping[str, Task], mesh: Mesh) -> Partial:
    """The function (image) -> the teachers' answers by task; {} if there are none.

    Raises:
      Mistake: a teacher is not a checkpoint, or does not know what it is to teach.
    """
    teachers, variables = {}, {}
    for name, task in tasks.items():
        for source in task.all_teachers:
            flag = f"config.tasks.{name}.teachers"
            folder, meta, arrays = checkpoint.read(source, mesh, flag)
            try:
                teachers.setdefault(name, []).append(Teacher(name, task, meta))
            except Mistake as mistake:
                raise Mistake(f"{flag} {source} {mistake}") from None
            variables.setdefault(name, []).append(arrays)
            logs.say(f"{name} is taught by {bucket.origin(folder)}")

    def teach(variables, image):
        return {
            name: average(
                tasks[name].kind,
                [see(v, image) for see, v in zip(teachers[name], variables[name])],
            )
            for name in teachers
        }

    return Partial(teach, variables)


def average(kind: str, answers: list[Float[Array, "b ..."]]) -> Float[Array, "b ..."]:
    """The logits of the mean distribution, or the mean points."""
    every = jnp.stack(answers)
    if kind == "points":
        return every.mean(0)
    return jax.nn.logsumexp(jax.nn.log_softmax(every), axis=0)
