"""Optax optimizers by name, each with a schedule, a weight decay and its own fields."""

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from emotion_jax.schedules import Schedule
from emotion_jax.trees import map_by_path

Transformation = optax.GradientTransformation


def kernels(params):
    """A mask of the parameters that decay: kernels, but not biases or scales."""
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, params)


def inner_kernels(params):
    """A mask of all kernels except those of the heads' last layers."""
    return map_by_path(is_inner_kernel, params)


def is_inner_kernel(path: str, p) -> bool:
    """Whether the parameter at this path is such a kernel."""
    return jnp.ndim(p) > 1 and "output" not in path


def sgd(rate: Schedule, weight_decay: float, momentum: float = 0.9) -> Transformation:
    """Nesterov momentum; the decay is coupled, as usual with SGD."""
    return optax.chain(
        optax.add_decayed_weights(weight_decay, kernels),
        optax.sgd(rate, momentum, nesterov=True),
    )


def adamw(
    rate: Schedule, weight_decay: float, b1: float = 0.9, b2: float = 0.999
) -> Transformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""
    return optax.adamw(rate, b1, b2, weight_decay=weight_decay, mask=kernels)


def lion(
    rate: Schedule, weight_decay: float, b1: float = 0.9, b2: float = 0.99
) -> Transformation:
    """The sign of a momentum (Chen et al. 2023).

    Wants a tenth of Adam's rate and ten times its decay.
    """
    return optax.lion(rate, b1, b2, weight_decay=weight_decay, mask=kernels)


def lamb(
    rate: Schedule, weight_decay: float, b1: float = 0.9, b2: float = 0.999
) -> Transformation:
    """Adam, its steps scaled to each kernel's norm (You et al. 2020): large batches.

    As in their code, steps of biases and scales are not scaled; nor are those of the
    heads' last layers, which start at zero and would hardly leave it.
    """
    return optax.chain(
        optax.scale_by_adam(b1, b2, eps=1e-6),
        optax.add_decayed_weights(weight_decay, kernels),
        optax.masked(optax.scale_by_trust_ratio(), inner_kernels),
        optax.scale_by_learning_rate(rate),
    )


def muon(
    rate: Schedule,
    weight_decay: float,
    beta: float = 0.95,
    adam_scale: float = 0.15,
) -> Transformation:
    """Orthogonal steps for kernels (Jordan et al. 2024), Adam for the rest.

    A convolution is one matrix from its window to its output channels. Biases, scales
    and the heads' last layers get Adam's steps with Nesterov momentum, at `adam_scale`
    times the rate and without decay.
    """

    def matrices(params):
        """Which axes of a parameter make its matrix; None leaves it to Adam."""

        def axes(path, p):
            if not is_inner_kernel(path, p):
                return None
            return contrib.MuonDimensionNumbers(tuple(range(p.ndim - 1)), (p.ndim - 1,))

        return map_by_path(axes, params)

    return contrib.muon(
        rate,
        beta=beta,
        weight_decay=weight_decay,
        weight_decay_mask=kernels,
        adam_learning_rate=lambda step: adam_scale * rate(step),
        muon_weight_dimension_numbers=matrices,
    )


def schedule_free(
    rate: Schedule, weight_decay: float, b1: float = 0.9, b2: float = 0.999
) -> Transformation:
    """AdamW that averages instead of decaying its rate (Defazio et al. 2024).

    Wants the schedule `constant` with a warm-up; the average is evaluated.
    """
    base = optax.adamw(rate, 0.0, b2, weight_decay=weight_decay, mask=kernels)
    return contrib.schedule_free(base, rate, b1)


OPTIMIZERS = {
    "sgd": sgd,
    "adamw": adamw,
    "lion": lion,
    "lamb": lamb,
    "muon": muon,
    "schedule_free": schedule_free,
}
