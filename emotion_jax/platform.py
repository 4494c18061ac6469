"""What a platform's compiler is told: speed only, never other results."""

from functools import cache

import jax

# XLA's CPU backend hands fused element-wise operations and convolutions to YNNPACK by
# default. For the gradients of small convolutions that is two to three times slower
# than XLA's own code; matrix products alone are left to it. (Measured on 2 cores, one
# training step of ResNet-18, width 32: 60 against 151 images/s, jax 0.10.2.)
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}


@cache
def compiler_options() -> dict[str, str]:
    """Options for `jax.jit`; none where this version's compiler does not know them."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=CPU_OPTIONS)()
    except Exception:  # each version has an error of its own for an unknown option
        return {}
    return CPU_OPTIONS
