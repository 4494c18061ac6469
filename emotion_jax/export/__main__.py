from emotion_jax import cli
from emotion_jax.export import main

cli.main(main)
