"""What a config's steps cost on a TPU that is not here, compiled by its own compiler.

  pip install libtpu
  python launch/tpu_report.py --config configs/combined.py
  python launch/tpu_report.py --config configs/fer5.py --topology v5e:16x16 \\
      --faces 512 --config.model.width=128 --out launch/results

The real train step and eval step, for all chips of a topology (v5e:2x2 ... v5e:16x16,
v6e:2x4, v4:2x2x1): FLOPs and bytes per chip as the compiler counts them, the time that
each takes at the chip's published speeds, memory, the layers that pad most, collectives
and the costliest operations. The compiler's bytes include on-chip memory, and copies to
it twice, so the bytes of main memory alone are given beside them. Prints a table, and
writes tpu_TOPOLOGY_CONFIG.json to --out, with any overrides in its name.
"""

import contextlib
import dataclasses
import importlib.util
import os
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # nothing runs, so no TPU is needed
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import hlo
import jax
import numpy as np
import rig as rigs
from jax.experimental import topologies
from jax.sharding import Mesh

from emotion_jax import cli, logs, sharding
from emotion_jax.errors import Mistake, first_line
from emotion_jax.registry import pick


@dataclasses.dataclass(frozen=True)
class Chip:
    """Published speeds of one chip (Cloud TPU documentation, system architecture).

    Attributes:
      flops: bfloat16 operations per second.
      memory_s: bytes per second from its memory.
      memory: bytes.
      links_s: bytes per second to other chips, over all links together.
    """

    flops: float
    memory_s: float
    memory: float
    links_s: float


CHIPS = {
    "v4": Chip(275e12, 1228e9, 32e9, 300e9),
    "v5e": Chip(197e12, 819e9, 16e9, 200e9),
    "v5p": Chip(459e12, 2765e9, 95e9, 600e9),
    "v6e": Chip(918e12, 1640e9, 32e9, 448e9),
}


def make_mesh(topology: str) -> Mesh:
    """A mesh over all chips of a topology, none of which needs to be here."""
    if importlib.util.find_spec("libtpu") is None:
        raise Mistake("the TPU's compiler is missing: pip install libtpu")
    try:
        described = topologies.get_topology_desc(topology, "tpu")
    except Exception as error:  # whatever libtpu raises
        reason = first_line(error)
        raise Mistake(f"--topology {topology} is none: {reason}") from None
    return sharding.make_mesh(described.devices)


def report(program, chip: Chip, chips: int, faces: int) -> dict:
    """The numbers of a compiled step, per chip.

    Args:
      chips: the number of chips in the topology.
      faces: per chip, in one step.
    """
    costs, memory = program.cost_analysis(), program.memory_analysis()
    found = hlo.operations(program.as_text())
    flops, accessed = costs["flops"], costs["bytes accessed"]
    collectives = hlo.collectives(found)
    reduced = collectives.get("all-reduce", {}).get("bytes", 0)
    # A ring sends each byte twice, except the chip's own part (Thakur et al. 2005).
    link_ms = 1e3 * 2 * (chips - 1) / chips * reduced / chip.links_s
    flops_ms, bytes_ms = 1e3 * flops / chip.flops, 1e3 * accessed / chip.memory_s
    moved = sum(operation.moved for operation in found)
    needs = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    needs += memory.output_size_in_bytes - memory.alias_size_in_bytes
    return {
        "faces": faces,
        "flops": flops,
        "bytes": accessed,
        "bytes_a_face": accessed / faces,
        "flops_a_byte": round(flops / accessed, 2),
        "flops_ms": round(flops_ms, 4),
        "bytes_ms": round(bytes_ms, 4),
        "bytes_over_flops": round(bytes_ms / flops_ms, 3),
        "main_memory_bytes": moved,
        "main_memory_over_flops": round(1e3 * moved / chip.memory_s / flops_ms, 3),
        "memory": needs,
        "fits": bool(needs < chip.memory),
        "all_reduce_ms": round(link_ms, 4),
        "all_reduce_share": round(link_ms / max(flops_ms, bytes_ms), 4),
        "collectives": collectives,
        "padding": hlo.padding(found)[:10],
        "costliest": hlo.costliest(found),
    }


def compiled(rig: rigs.Rig, which: str):
    """A step's compiled program, for chips that are not here."""
    if which == "train":
        lowered = rig.train_step(rigs.FEEDS["resident"]).lower(
            rig.like, *rig.inputs_like()
        )
    else:
        variables = jax.eval_shape(lambda state: state.variables(), rig.like)
        variables = rigs.shapes(variables, sharding.whole(rig.mesh))
        shape = (rig.batch_size, rig.side, rig.side, 1)
        image = jax.ShapeDtypeStruct(shape, np.uint8, sharding=sharding.split(rig.mesh))
        lowered = rig.eval_step().lower(variables, image)
    return lowered.compile()


@contextlib.contextmanager
def quiet():
    """Silences libtpu's own messages about a machine without TPUs."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def main(args: list[str]) -> None:
    """The report."""
    parser = cli.Parser("python launch/tpu_report.py", __doc__)
    add = parser.add_argument
    add("--topology", default="v5e:2x2", metavar="CHIP:SHAPE")
    add("--faces", type=int, default=512, metavar="N", help="a chip, in one step")
    add("--steps", nargs="+", default=["train", "eval"], choices=["train", "eval"])
    add("--out", type=cli.here, metavar="DIR", help="where the JSON goes")
    overrides = cli.overrides(args)
    flags, config = parser.parse_with_config(args)
    chip = pick("chip", flags.topology.split(":")[0], CHIPS)
    if flags.faces < 1:
        raise Mistake(f"--faces is {flags.faces}, must be at least 1")
    if flags.out:
        cli.check_folder("--out", flags.out)
    if config.model.get("dtype", "auto") == "auto":  # as it would train on a TPU
        with config.unlocked():
            config.model.dtype = "bfloat16"

    with quiet():
        mesh = make_mesh(flags.topology)
    rig = rigs.Rig(config, mesh, flags.faces * mesh.size, 32_768)
    found = {"config": flags.config, "overrides": overrides}
    found |= {"topology": flags.topology, "chips": mesh.size}
    found |= {"chip": dataclasses.asdict(chip), "libtpu": logs.version("libtpu")}
    found |= {
        k: v for k, v in logs.environment().items() if k in ("packages", "commit")
    }
    for which in flags.steps:
        begin = time.perf_counter()
        with quiet():
            program = compiled(rig, which)
        found[which] = report(program, chip, mesh.size, flags.faces)
        found[which]["compile_s"] = round(time.perf_counter() - begin, 1)
        tell(which, found[which])
    kind = f"tpu_{flags.topology.replace(':', '_')}"
    rigs.keep(flags.out, rigs.result_file(kind, flags.config, overrides), found)


def tell(which: str, row: dict) -> None:
    """Prints the numbers in readable form."""
    print(f"\n{which}: {row['faces']} faces a chip, {row['flops'] / 1e9:,.1f} GFLOP")
    print(
        f"  {row['bytes_a_face'] / 1e6:.2f} MB a face, {row['flops_a_byte']} FLOP a B"
    )
    print(
        f"  FLOPs need {row['flops_ms']} ms, bytes {row['bytes_ms']} ms: "
        f"{row['bytes_over_flops']} times as long"
    )
    print(
        f"  {row['main_memory_bytes'] / row['faces'] / 1e6:.2f} MB a face to and from "
        f"main memory: {row['main_memory_over_flops']} times as long"
    )
    fits = "fits" if row["fits"] else "does NOT fit"
    print(f"  memory {row['memory'] / 1e9:.2f} GB: {fits}")
    print(f"  all-reduce {row['all_reduce_ms']} ms, {row['all_reduce_share']:.1%}")
    for kind, counts in row["collectives"].items():
        print(f"    {kind}: {counts['count']}, {counts['bytes'] / 1e6:.2f} MB")
    print("  most padded:")
    for layer in row["padding"][:5]:
        size = layer["bytes"] / 1e6
        print(f"    {layer['layer']}: {size:.1f} MB, padded {layer['padded']} times")
    print("  costliest:")
    for line in row["costliest"]:
        share = "" if line["share"] is None else f"{line['share']:.1%}"
        print(f"    {share:>6} {line['layer']} ({line['name']})")


if __name__ == "__main__":
    cli.main(main)
