"""What several devices add to a config's step, counted in its compiled program.

  python launch/scaling.py --config configs/fer5.py
  python launch/scaling.py --config configs/fer5.py --faces 64 --config.fsdp=True \\
      --out launch/results

The real train step with the same faces per device, compiled for 1, 2, 4 and 8 simulated
devices: each device's FLOPs, bytes, memory and collectives, and their ratio to those of
one device alone. Then the step of 4 devices in one process and in two. Nothing runs and
nothing is timed, as simulated devices share the cores. Prints a table, and writes
scaling_CONFIG.json to --out, with any overrides in its name.
"""

import socket
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import hlo
import jax
import rig as rigs
from ml_collections import ConfigDict

from emotion_jax import cli, logs, sharding, step
from emotion_jax.errors import Mistake
from emotion_jax.report import tables

DEVICES = (1, 2, 4, 8)
TABLE = 4096  # faces on every device, however many a step takes
PROCESSES, DEVICES_EACH = 2, 2
COUNTS = ("flops", "bytes", "temp_bytes", "collectives")


def count(config: ConfigDict, devices: int, faces: int) -> dict:
    """What the step does on each of this many devices, across all processes.

    Args:
      faces: per device, in one step.
    """
    mesh = sharding.make_mesh(jax.devices()[:devices])
    rig = rigs.Rig(config, mesh, faces * devices, TABLE)
    train_step = rig.train_step(rig.feed("resident"))
    program = train_step.lower(rig.like, *rig.inputs_like()).compile()
    costs = program.cost_analysis()
    operations = hlo.operations(program.as_text(), inner=True)
    return {
        "devices": devices,
        "flops": costs["flops"],
        "update_flops": update_flops(rig),
        "bytes": costs["bytes accessed"],
        "temp_bytes": program.memory_analysis().temp_size_in_bytes,
        "gradient_bytes": sum(x.size * 4 for x in jax.tree.leaves(rig.like.params)),
        "collectives": hlo.collectives(operations),
    }


def update_flops(rig: rigs.Rig) -> float:
    """FLOPs of the optimizer alone: they depend on the parameters, not on the faces."""
    like = rig.like
    layout = jax.tree.map(lambda x: x.sharding, (like.params, like.opt_state))
    options = step.compiler_options(rig.mesh.devices.flat[0].platform)
    update = jax.jit(
        rig.optimizer.tx.update, out_shardings=layout, compiler_options=options
    )
    program = update.lower(like.params, like.opt_state, like.params).compile()
    return program.cost_analysis()["flops"]


def with_ratios(rows: list[dict]) -> list[dict]:
    """Each row, with its FLOPs and bytes relative to the first row's: 1 is perfect."""
    first = rows[0]
    return [
        row | {f"{k}_ratio": round(row[k] / first[k], 4) for k in ("flops", "bytes")}
        for row in rows
    ]


def growing(rows: list[dict]) -> list[str]:
    """The collectives that move more on more devices: those of faces.

    Those of parameters and of sums over the batch have the same size on any number.
    """
    few, *_, many = [row["collectives"] for row in rows if row["devices"] > 1]
    return [
        kind
        for kind in many
        if many[kind]["bytes"] > 1.01 * few.get(kind, {"bytes": 0})["bytes"]
    ]


def simulate(devices: int) -> None:
    """Makes this process see this many CPU devices."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)


def count_as_one_of(config: ConfigDict, faces: int, port: int, process: int) -> dict:
    """Runs `count` in one of several processes, each with its own devices."""
    simulate(DEVICES_EACH)
    jax.distributed.initialize(f"localhost:{port}", PROCESSES, process)
    found = count(config, PROCESSES * DEVICES_EACH, faces)
    jax.distributed.shutdown()
    return found


def in_processes(config: ConfigDict, faces: int) -> list[dict]:
    """What each of the processes counts."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        counting = [
            pool.submit(count_as_one_of, config, faces, port, process)
            for process in range(PROCESSES)
        ]
        return [future.result() for future in counting]


def main(args: list[str]) -> None:
    """The count."""
    parser = cli.Parser("python launch/scaling.py", __doc__)
    add = parser.add_argument
    add("--faces", type=int, default=128, metavar="N", help="a device, in one step")
    add("--out", type=cli.here, metavar="DIR", help="where the JSON goes")
    overrides = cli.overrides(args)
    flags, config = parser.parse_with_config(args)
    if flags.faces < 1:
        raise Mistake(f"--faces is {flags.faces}, must be at least 1")
    if flags.out:
        cli.check_folder("--out", flags.out)

    simulate(max(DEVICES))
    found = {"config": flags.config, "overrides": overrides, "faces": flags.faces}
    found |= logs.environment()
    found["rows"] = with_ratios([count(config, n, flags.faces) for n in DEVICES])
    found["growing"] = growing(found["rows"])
    tell(found)
    alone = next(r for r in found["rows"] if r["devices"] == PROCESSES * DEVICES_EACH)
    found["in_processes"] = in_processes(config, flags.faces)
    found["same_in_processes"] = all(
        row[name] == alone[name] for row in found["in_processes"] for name in COUNTS
    )
    same = "the same" if found["same_in_processes"] else "NOT the same"
    print(f"{alone['devices']} devices in {PROCESSES} processes: {same} as in one")
    name = rigs.result_file("scaling", flags.config, overrides)
    rigs.keep(flags.out, name, found)


def tell(found: dict) -> None:
    """Prints a Markdown line for each number of devices."""
    head = "devices GFLOP times update MB times temporary collectives".split()
    rows = []
    for row in found["rows"]:
        moved = [
            f"{v['count']} {kind}, {v['bytes'] / 1e6:.2f} MB"
            for kind, v in row["collectives"].items()
        ]
        rows.append(
            [
                row["devices"],
                f"{row['flops'] / 1e9:.3f}",
                f"{row['flops_ratio']:.3f}",
                f"{row['update_flops'] / 1e9:.3f}",
                f"{row['bytes'] / 1e6:,.0f}",
                f"{row['bytes_ratio']:.3f}",
                f"{row['temp_bytes'] / 1e6:.1f}",
                "; ".join(moved) or "none",
            ]
        )
    print(tables.markdown(head, rows))
    print(f"gradients: {found['rows'][0]['gradient_bytes'] / 1e6:.2f} MB")
    kinds = ", ".join(found["growing"]) or "none"
    print(f"collectives that grow with the devices, those of faces: {kinds}")


if __name__ == "__main__":
    cli.main(main)
