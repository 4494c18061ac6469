"""The two networks of the Keras course that this project grew from, layer by layer.

Both see 96x96 faces: a convolution and a pool that quarter the side, then two stages of
one projection block and two identity blocks. Parameters and running statistics together
are 18,016,286 with the keypoint head and 1,174,021 with the head of five emotions, as
Keras counts them. The configs course_keypoints and course_emotion train them.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from emotion_jax.errors import Mistake
from emotion_jax.models.heads import Head
from emotion_jax.models.norm import BatchNorm

STAGES = ((64, 64, 256), (128, 128, 512))
GLOROT = nn.initializers.glorot_uniform()  # Keras's default


class CourseBlock(nn.Module):
    """Three convolutions beside a shortcut; a projection block halves the side."""

    widths: tuple[int, int, int]
    projects: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], train: bool
    ) -> Float[Array, "b h2 w2 c2"]:
        conv = partial(nn.Conv, dtype=self.dtype, kernel_init=GLOROT)
        norm = partial(keras_norm, train, self.dtype)
        f1, f2, f3 = self.widths
        pool = partial(nn.max_pool, window_shape=(2, 2), strides=(2, 2))
        y = conv(f1, (1, 1), name="a")(x)
        if self.projects:
            y = pool(y)
            x = norm(name="skip_norm")(pool(conv(f3, (1, 1), name="skip")(x)))
        y = nn.relu(norm(name="a_norm")(y))
        y = nn.relu(norm(name="b_norm")(conv(f2, (3, 3), name="b")(y)))
        y = norm(name="c_norm")(conv(f3, (1, 1), name="c")(y))
        return nn.relu(x + y)


class CourseTrunk(nn.Module):
    """The trunk that both of the course's networks share."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, image: Float[Array, "b h w 1"], train: bool = False
    ) -> Float[Array, "b h2 w2 c"]:
        """Features, at a nineteenth of the side: 5x5x512 for a 96x96 face."""
        x = image / 4.0 + 0.5  # the course's gray levels are in [0, 1]
        stem = nn.Conv(
            64, (7, 7), (2, 2), 3, dtype=self.dtype, kernel_init=GLOROT, name="stem"
        )
        x = nn.relu(keras_norm(train, self.dtype, name="stem_norm")(stem(x)))
        x = nn.max_pool(x, (3, 3), (2, 2))
        for stage, widths in enumerate(STAGES, 1):
            for block in range(3):
                name = f"stage{stage}_block{block + 1}"
                x = CourseBlock(widths, block == 0, self.dtype, name=name)(x, train)
        check_side(image.shape[1], x, 1)
        return x


class CourseHead(Head):
    """Keypoints: two wide layers and a ReLU on the pixels (sic). Classes: one layer."""

    @nn.compact
    def __call__(self, features: Float[Array, "b h w c"], side: int, train: bool):
        dense = partial(nn.Dense, kernel_init=GLOROT)
        points = self.kind == "points"
        window = (2, 2) if points else (4, 4)
        check_side(side, features, window[0])
        x = nn.avg_pool(features.astype(jnp.float32), window, window)
        x = x.reshape(x.shape[0], -1)
        if not points:
            return dense(len(self.names), name="output")(x)
        for width, rate in ((4096, 0.2), (2048, 0.1)):
            x = nn.relu(dense(width, name=f"dense{width}")(x))
            x = nn.Dropout(rate, deterministic=not train)(x)
        x = nn.relu(dense(2 * len(self.names), name="output")(x))
        return x.reshape(-1, len(self.names), 2)


def check_side(side: int, features: Float[Array, "b h w c"], least: int) -> None:
    """Raises unless faces of this side leave the head `least` positions per side."""
    if min(features.shape[1:3]) < least:
        raise Mistake(
            f"the course's networks take 96x96 faces; {side}x{side} are too small: "
            "set config.data.side=96"
        )


def keras_norm(train: bool, dtype: DTypeLike, name: str | None = None) -> BatchNorm:
    """BatchNorm with Keras's momentum and epsilon."""
    return BatchNorm(
        use_running_average=not train,
        momentum=0.99,
        epsilon=0.001,
        dtype=dtype,
        name=name,
    )
