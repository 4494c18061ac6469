"""Residual networks (He et al. 2015) for small gray faces, and their usual variants."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from emotion_jax import registry
from emotion_jax.errors import Mistake
from emotion_jax.models.norm import BatchNorm

ACTIVATIONS = {
    "relu": nn.relu,
    "gelu": nn.gelu,
    "silu": nn.silu,
    "leaky_relu": nn.leaky_relu,
    "sigmoid": nn.sigmoid,
}
# A stem that shrinks the side makes the rest faster by its stride squared.
STEM_KERNEL = {1: 3, 2: 5, 4: 7}
# A branch's convolutions: kernel, multiple of the block's width, whether it strides.
BLOCKS = {
    "basic": ((3, 1, True), (3, 1, False)),
    "bottleneck": ((1, 1, False), (3, 1, True), (1, 4, False)),
}
NORMS = {"batch": BatchNorm, "group": partial(nn.GroupNorm, num_groups=8)}


@dataclasses.dataclass(frozen=True)
class Style:
    """What all blocks of a network share."""

    block: str
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    act: Callable
    preactivation: bool
    shortcut: bool
    squeeze_excite: int
    antialias: bool
    train: bool


class Block(nn.Module):
    """A branch of convolutions beside a shortcut, the identity where shapes agree.

    Beside an identity, the branch's last scale starts at zero: the branch adds nothing
    at first (Goyal et al. 2017, 5.1). Beside a projection it must not: a strided 1x1
    convolution alone sees a quarter of the pixels. (After 100 steps on FER2013, five
    classes: training accuracy 0.55, against 0.43 with zeros everywhere.)
    """

    width: int
    stride: int
    drop: float  # how often the branch is left out in training
    style: Style

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        style, layers = self.style, BLOCKS[self.style.block]
        identity = self.stride == 1 and x.shape[-1] == self.width * layers[-1][1]
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        y = x
        if style.preactivation:
            y = style.act(style.norm(name="norm0")(x))
            x = x if identity else y
        for i, (kernel, multiple, strides) in enumerate(layers, 1):
            stride = self.stride if strides else 1
            y = self.convolve(y, self.width * multiple, kernel, stride, f"conv{i}")
            if i < len(layers):
                y = style.act(style.norm(name=f"norm{i}")(y))
            elif not style.preactivation:
                begin = zeros if identity and style.shortcut else ones
                y = style.norm(name=f"norm{i}", scale_init=begin)(y)
        if style.squeeze_excite:
            y = SqueezeExcite(style.squeeze_excite, name="gate")(y)
        if style.shortcut:
            if not identity:
                x = self.convolve(x, y.shape[-1], 1, self.stride, "skip")
                x = x if style.preactivation else style.norm(name="skip_norm")(x)
            y = x + self.drop_path(y)
        return y if style.preactivation else style.act(y)

    def convolve(self, x, width: int, kernel: int, stride: int, name: str):
        """A convolution; if anti-aliased, a blur does its striding (Zhang 2019).

        The blur comes before the norm and the activation; in the paper, after them.
        """
        conv = partial(self.style.conv, width, (kernel, kernel), name=name)
        if stride > 1 and self.style.antialias:
            return conv()(blur(x, stride)) if kernel == 1 else blur(conv()(x), stride)
        if kernel == 1 and self.style.train:
            # So its gradient is computed only at the positions that the stride keeps.
            return conv()(x[:, ::stride, ::stride])
        return conv(strides=stride)(x)

    def drop_path(self, y: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """The branch; in training, zero for some faces (Huang et al. 2016)."""
        if not self.style.train or self.drop == 0:
            return y
        keep = 1.0 - self.drop
        kept = jax.random.bernoulli(self.make_rng("dropout"), keep, (len(y), 1, 1, 1))
        return y * (kept / keep).astype(y.dtype)


class SqueezeExcite(nn.Module):
    """Weights each channel by what all of them hold (Hu et al. 2018, 3)."""

    ratio: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        dense = partial(nn.Dense, dtype=x.dtype)
        hidden = max(x.shape[-1] // self.ratio, 4)
        squeezed = nn.relu(dense(hidden, name="squeeze")(x.mean((1, 2))))
        weight = nn.sigmoid(dense(x.shape[-1], name="excite")(squeezed))
        return x * weight[:, None, None, :]


def blur(x: Float[Array, "b h w c"], stride: int) -> Float[Array, "b h2 w2 c"]:
    """The binomial blur [1 2 1]^2 / 16 at every `stride`-th pixel: two means of 2x2."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    return nn.avg_pool(nn.avg_pool(x, (2, 2)), (2, 2), (stride, stride))


class ResNet(nn.Module):
    """A stem, then stages of blocks, each at half the side and `growth` times as wide.

    Attributes:
      blocks: how many blocks each stage has; (2, 2, 2, 2) of basic ones is ResNet-18.
      width: channels of the first stage's 3x3 convolutions. A TPU has 128 lanes: width
        128 with growth 1 fills them at every depth.
      stem_stride: 1, 2 or 4: by how much the stem shrinks the side; 2 suits 48 pixels,
        4 suits 96.
      block: basic or bottleneck.
      preactivation: norm and activation before each convolution (He et al. 2016).
      shortcut: False makes it a plain network, to see what shortcuts do.
      norm: batch, or group, which normalises each face alone (Wu & He 2018).
      squeeze_excite: how many times narrower the gate's hidden layer is; 0 for no gate.
      antialias: a blur does the blocks' striding.
      stochastic_depth: how often training leaves the last block out; earlier ones
        proportionally less often.
      momentum: of BatchNorm's running statistics.
    """

    blocks: Sequence[int] = (2, 2, 2, 2)
    width: int = 64
    growth: float = 2.0
    stem_stride: int = 2
    block: str = "basic"
    activation: str = "relu"
    preactivation: bool = False
    shortcut: bool = True
    norm: str = "batch"
    squeeze_excite: int = 0
    antialias: bool = False
    stochastic_depth: float = 0.0
    momentum: float = 0.9
    dtype: DTypeLike = jnp.float32

    def __post_init__(self):
        for field, known in (
            ("activation", ACTIVATIONS),
            ("stem_stride", STEM_KERNEL),
            ("block", BLOCKS),
            ("norm", NORMS),
        ):
            registry.pick(f"config.model.{field}", getattr(self, field), known)
        if not 0 < self.growth <= 16 or not 0 < len(self.blocks) <= 8:
            raise Mistake(
                "config.model needs stages of blocks of at least 1, 8 stages at most, "
                f"and a growth above 0, at most 16; got {len(self.blocks)} stages and "
                f"growth={self.growth}"
            )
        widths = [self.stage_width(stage) for stage in range(len(self.blocks))]
        sizes = [*widths, *self.blocks]
        if min(sizes) < 1 or max(widths) > 16_384 or max(self.blocks) > 128:
            raise Mistake(
                "config.model needs widths and blocks of at least 1, at most 16384 and "
                f"128, got widths {widths}, blocks={tuple(self.blocks)}"
            )
        if self.norm == "group" and any(width % 8 for width in widths):
            raise Mistake(
                f"config.model.norm='group' wants widths that 8 divides, got {widths}"
            )
        if not 0 <= self.stochastic_depth < 1 or self.squeeze_excite < 0:
            raise Mistake(
                "config.model.stochastic_depth is a rate below 1 and squeeze_excite at "
                f"least 0, got {self.stochastic_depth} and {self.squeeze_excite}"
            )
        if not 0 <= self.momentum < 1:
            raise Mistake(f"config.model.momentum is {self.momentum}, not in [0, 1)")
        super().__post_init__()

    def stage_width(self, stage: int) -> int:
        """Channels of a stage's 3x3 convolutions."""
        return round(self.width * self.growth**stage)

    @nn.compact
    def __call__(
        self, image: Float[Array, "b h w 1"], train: bool = False
    ) -> Float[Array, "b h2 w2 c"]:
        """Features in `dtype`; BatchNorm's statistics are of the global batch."""
        style = self.style(train)
        kernel, stride = STEM_KERNEL[self.stem_stride], self.stem_stride
        x = style.conv(self.width, (kernel, kernel), stride, name="stem")(image)
        if not self.preactivation:
            x = style.act(style.norm(name="stem_norm")(x))
        last = max(sum(self.blocks) - 1, 1)
        for stage, count in enumerate(self.blocks):
            width = self.stage_width(stage)
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                drop = self.stochastic_depth * (sum(self.blocks[:stage]) + block) / last
                name = f"stage{stage + 1}_block{block + 1}"
                x = Block(width, stride, drop, style, name=name)(x)
        if self.preactivation:
            x = style.act(style.norm(name="last_norm")(x))
        return x

    def style(self, train: bool) -> Style:
        """The settings that all blocks share."""
        norm = partial(NORMS[self.norm], dtype=self.dtype)
        if self.norm == "batch":
            norm = partial(norm, use_running_average=not train, momentum=self.momentum)
        return Style(
            self.block,
            partial(nn.Conv, use_bias=False, dtype=self.dtype),
            norm,
            ACTIVATIONS[self.activation],
            self.preactivation,
            self.shortcut,
            self.squeeze_excite,
            self.antialias,
            train,
        )
