"""How fast a config trains and evaluates here, and where the time of a step goes.

  python launch/benchmark.py --config configs/synthetic.py
  python launch/benchmark.py --config configs/fer5.py --compare --out launch/results

Runs on faces of noise, synchronised, in several repeats, compilation timed separately;
writes medians and spread, with hardware, versions and commit, as a table and as
benchmark_PLATFORM_CONFIG.json. --compare trains the same network in PyTorch and Keras,
if installed, in the same session; compare the ratios, as machines are noisy. --only
measures a part of it, where minutes count.
"""

import functools
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
import overheads
import peers
import rig as rigs
from jax.experimental.compilation_cache import compilation_cache

from emotion_jax import cli, logs, sharding, step
from emotion_jax.data.augment import make_augment
from emotion_jax.errors import Mistake


def model_flops(rig: rigs.Rig) -> float:
    """FLOPs of one face's step: three forward passes' (Kaplan et al. 2020, 2.1)."""
    image = jax.ShapeDtypeStruct((1, rig.side, rig.side, 1), jnp.float32)
    variables = {"params": rig.like.params, "batch_stats": rig.like.batch_stats}
    jaxpr = jax.make_jaxpr(functools.partial(rig.network.apply, train=False))
    forward = sum(map(products, inner(jaxpr(variables, image).jaxpr)))
    return 3 * rig.network.views * forward


def inner(jaxpr):
    """All operations, including those of the functions that it calls."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            if hasattr(value, "jaxpr"):
                yield from inner(value.jaxpr)


def products(equation) -> float:
    """FLOPs of a convolution or a matrix product: two for each multiply-add."""
    shapes = [getattr(v.aval, "shape", ()) for v in equation.invars]
    out = float(np.prod(equation.outvars[0].aval.shape))
    if equation.primitive.name == "conv_general_dilated":
        features = equation.params["dimension_numbers"].rhs_spec[0]
        return 2 * out * float(np.prod(shapes[1])) / shapes[1][features]
    if equation.primitive.name == "dot_general":
        (contract, _), _ = equation.params["dimension_numbers"]
        return 2 * out * float(np.prod([shapes[0][axis] for axis in contract]))
    return 0.0


def peak(repeats: int) -> float:
    """FLOP/s of a large matrix product in the precision that `dtype="auto"` picks."""
    cpu = jax.default_backend() == "cpu"
    size, dtype = (2048, jnp.float32) if cpu else (8192, jnp.bfloat16)
    x = jnp.ones((size, size), dtype)
    product = jax.jit(lambda x: x @ x)
    return 2 * size**3 / min(rigs.seconds(lambda: product(x), repeats))


def compiled(rig: rigs.Rig, feed) -> dict:
    """Seconds to compile the train step, with nothing cached and with a warm cache."""
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        before = jax.config.jax_compilation_cache_dir
        keep_in(cache)
        for which in ("cold", "warm"):
            jax.clear_caches()
            begin = time.perf_counter()
            program = rig.train_step(feed).lower(rig.like, *rig.inputs_like()).compile()
            found[which] = round(time.perf_counter() - begin, 2)
        keep_in(before)
    memory = program.memory_analysis()
    return {"compile_s": found, "temp_bytes": memory.temp_size_in_bytes}


def keep_in(folder: str | None) -> None:
    """Caches compiled programs in this folder from now on."""
    jax.config.update("jax_compilation_cache_dir", folder)
    compilation_cache.reset_cache()  # JAX opens it only once


def parts(rig: rigs.Rig, repeats: int) -> dict[str, float]:
    """Milliseconds that each part adds to a step, and Python's own time beside it."""
    feed, state = rig.feed("resident"), rig.state()
    batches = feed.batches(0)
    inputs = next(batches)
    make = step.make_batch(rig.augment, feed, rig.mesh, 0, rig.network.views)
    plain = step.make_batch(make_augment(rig.tasks, {}), feed, rig.mesh, 0)
    loss = step.make_loss(rig.network, rig.tasks)
    grad = jax.value_and_grad(loss, has_aux=True)
    key = jax.random.key(0)
    options = step.compiler_options(rig.mesh.devices.flat[0].platform)

    def taught(state, inputs, teach):
        batch = make(state.step, inputs)
        return batch | {"taught": teach(batch["image"])}

    def forward(state, *given):
        return loss(state.params, state.batch_stats, taught(state, *given), key)

    def backward(state, *given):
        return grad(state.params, state.batch_stats, taught(state, *given), key)

    def update(state, *given):
        _, grads = backward(state, *given)
        updates, opt_state = rig.optimizer.tx.update(
            grads, state.opt_state, state.params
        )
        params = optax.apply_updates(state.params, updates)
        return params, opt_state

    upto = {
        "gather": lambda state, inputs, teach: plain(state.step, inputs),
        "augment": lambda state, inputs, teach: make(state.step, inputs),
        **({"teach": taught} if rig.taught else {}),
        "forward": forward,
        "backward": backward,
        "update": update,
    }
    found, before = {}, 0.0
    for name, function in upto.items():
        jitted = jax.jit(function, compiler_options=options)

        def run(jitted=jitted):  # wait for each, or they would share the device
            return jax.block_until_ready(jitted(state, inputs, rig.teach))

        took = min(rigs.seconds(run, repeats))
        found[name], before = round(1e3 * (took - before), 4), took
    found["input wait"] = round(1e3 * min(rigs.seconds(lambda: next(batches), 3)), 4)
    return found


def evaluation(rig: rigs.Rig, repeats: int, batch: int = 512) -> list[float]:
    """Images/s of the eval step, with outputs left on the device."""
    eval_step = rig.eval_step()
    batch = -(-batch // rig.mesh.size) * rig.mesh.size
    image = np.resize(rig.split.faces["image"], (batch, rig.side, rig.side, 1))
    image = sharding.place(image, sharding.split(rig.mesh))
    variables = rig.state().variables()
    return [
        batch / s for s in rigs.seconds(lambda: eval_step(variables, image), repeats)
    ]


def training(rig: rigs.Rig, flags) -> dict:
    """Images/s of the train step by feed and steps per call; its share of the peak."""
    rates = {
        name: rigs.spread(rigs.training(rig, name, flags.repeats))
        for name in ("resident", "streamed")
    }
    for calls in flags.calls:
        for way, scan in (("unrolled", False), ("scanned", True)):
            found = rigs.training(rig, "resident", flags.repeats, calls, scan)
            rates[f"{calls} steps a call, {way}"] = rigs.spread(found)
    flops, most = model_flops(rig), peak(flags.repeats)
    share = rates["resident"]["median"] * flops / most / rig.mesh.size
    found = {"train_images_s": rates, "model_flops_a_face": flops}
    return found | {"peak_flops_s": most, "flop_share": round(share, 4)}


def starting(rig: rigs.Rig, flags) -> dict:
    """Seconds to import the package, and to the end of the first step."""
    imports = rigs.spread(overheads.import_s(3))
    return {"import_s": imports, "first_step_s": overheads.first_step_s()}


def saving(rig: rigs.Rig, flags) -> dict:
    """What a checkpoint costs, and the peak memory of everything so far."""
    stats = jax.local_devices()[0].memory_stats() or {}
    found = {"checkpoint_cpu_s": rigs.spread(overheads.checkpoint(rig))}
    return found | {"peak_bytes": stats.get("peak_bytes_in_use")}


SECTIONS = {  # a full process is slower, so the host's own time comes first
    "host": lambda rig, flags: {"host_ms": overheads.host(flags.repeats)},
    "compile": lambda rig, flags: compiled(rig, rig.feed("resident")),
    "train": training,
    "evaluate": lambda rig, flags: {
        "eval_images_s": rigs.spread(evaluation(rig, flags.repeats))
    },
    "parts": lambda rig, flags: {"step_ms": parts(rig, flags.repeats)},
    "start": starting,
    "save": saving,
}


def main(args: list[str]) -> None:
    """The benchmark."""
    parser = cli.Parser("python launch/benchmark.py", __doc__)
    add = parser.add_argument
    add("--batch-size", type=int, default=0, metavar="N", help="default: the config's")
    add("--repeats", type=int, default=5, metavar="N")
    add("--calls", type=int, nargs="*", default=[], help="also so many steps a call")
    add("--only", nargs="+", default=list(SECTIONS), choices=SECTIONS, metavar="PART")
    add("--compare", nargs="*", metavar="PEER", help=f"also {', '.join(peers.PEERS)}")
    add("--out", type=cli.here, metavar="DIR", help="where the JSON goes")
    overrides = cli.overrides(args)
    flags, config = parser.parse_with_config(args)
    if flags.repeats < 1 or flags.batch_size < 0:
        raise Mistake("--repeats and --batch-size are at least 1")
    if min(flags.calls, default=2) < 2:
        raise Mistake("--calls are at least 2 steps; one a call is measured anyway")
    if flags.compare is not None and "train" not in flags.only:
        raise Mistake("--compare needs the train part, which it compares with")
    wanted = peers.pick(flags.compare)
    if flags.out:
        cli.check_folder("--out", flags.out)

    mesh = sharding.make_mesh()
    batch_size = flags.batch_size or config.train.batch_size
    sharding.check_divides(batch_size, mesh, "train.batch_size")
    rig = rigs.Rig(config, mesh, batch_size, 32 * batch_size)
    if wanted:
        peers.plan_of(rig)  # raises for a network that the peers cannot build
    found = {"config": flags.config, "overrides": overrides, "batch_size": batch_size}
    found |= logs.environment()
    found |= {"cores": os.cpu_count(), "model": config.model.to_dict()}
    name = file_name(found["platform"], flags, overrides)
    for numbers in measured(rig, flags, wanted):
        found |= numbers
        rigs.keep(flags.out, name, found)  # at once, as the next part may not end
    tell(found)


def file_name(platform: str, flags, overrides: Sequence[str]) -> str:
    """The JSON file's name, which tells what was not as usual."""
    sized = [f"batch-{flags.batch_size}"] if flags.batch_size else []
    parts = [] if flags.only == list(SECTIONS) else flags.only
    names = [*overrides, *sized, *parts]
    return rigs.result_file(f"benchmark_{platform}", flags.config, names)


def measured(rig: rigs.Rig, flags, wanted: Sequence[str]) -> Iterator[dict]:
    """The numbers so far, after each part and then after each peer."""
    found = {}
    for part, measure in SECTIONS.items():
        if part in flags.only:
            found |= measure(rig, flags)
            yield found
    for peer in wanted:
        theirs = peers.PEERS[peer](rig, flags.repeats)
        ours = found["train_images_s"]["resident"]["median"]
        found[peer] = theirs | {"ratio": round(ours / theirs["median"], 3)}
        yield found


def tell(found: dict) -> None:
    """Prints one line for each number."""
    for name, value in found.items():
        print(f"{name:20} {json.dumps(value)}")


if __name__ == "__main__":
    cli.main(main)
