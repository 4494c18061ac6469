"""The binary that stores a source as a TFDS set (prepared.py)."""

from emotion_jax import cli, data
from emotion_jax.data import prepared
from emotion_jax.data.splits import partition
from emotion_jax.errors import Mistake


def main(args: list[str]) -> None:
    """The binary: stores a source's faces so that they need no path and no parsing."""
    parser = cli.Parser("python -m emotion_jax.data.prepare", prepared.__doc__)
    parser.add_argument("data", metavar="SOURCE=PATH", help="the file that you have")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what is there"
    )
    flags = parser.parse(args)
    source, path, options = data.parse_source(flags.data)
    if source not in prepared.NAMES or not path and source != "synthetic":
        forms = [n if n == "synthetic" else f"{n}=PATH" for n in prepared.NAMES]
        raise Mistake(
            f"expected {', '.join(forms[:-1])} or {forms[-1]}, got {flags.data!r}; "
            "other sources are read directly, with --data"
        )
    home = prepared.folder(source)
    print(f"reading {path or source}", flush=True)
    raw = data.load(source, path, **options)
    state = "prepared" if prepared.write(raw, flags.overwrite) else "there already"
    parts = [f"{name} {len(rows):,}" for name, rows in partition(raw).items()]
    print(
        f"{source} is {state}: {len(raw.image):,} faces ({', '.join(parts)}) in {home}"
    )


if __name__ == "__main__":
    cli.main(main)
