"""Laws of the TPU report: a program's text read right, and its command line."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import hlo
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "text, logical, padded",
    [
        ("f32[]", 4, 4),
        ("bf16[512,24,24,32]{3,2,1,0}", 512 * 24 * 24 * 32 * 2, 512 * 24 * 24 * 32 * 2),
        # The 32 channels lie along 128 lanes, the 24 columns along 8 sublanes.
        (
            "bf16[2,24,24,32]{3,2,1,0:T(8,128)(2,1)}",
            2 * 24 * 24 * 32 * 2,
            2 * 24 * 24 * 128 * 2,
        ),
        # Here the faces do, and 5 channels along 8 sublanes.
        ("f32[256,3,3,5]{0,3,2,1:T(8,128)}", 256 * 45 * 4, 256 * 9 * 8 * 4),
        ("(f32[3]{0:T(128)}, pred[8]{0})", 12 + 8, 512 + 8),
    ],
)
def test_an_array_is_filled_up_to_its_tiles(text, logical, padded):
    assert hlo.sizes(text) == (logical, padded)


PROGRAM = """
%fused (p: f32[8]) -> f32[8] {
  ROOT %inside = f32[8]{0} add(%p, %p)
}

ENTRY %main.1 (p0: f32[8]) -> f32[8] {
  %p0 = f32[8]{0} parameter(0)
  %fusion.1 = bf16[16,128]{1,0:T(8,128)(2,1)} fusion(%p0), kind=kOutput, \
metadata={op_name="jit(step)/jvp(Network)/trunk/stem/conv_general_dilated"}, \
backend_config={"estimated_cycles":"300"}
  %fusion.2 = bf16[16,64]{1,0:T(8,128)(2,1)} fusion(%p0), kind=kLoop, \
metadata={op_name="jit(step)/transpose(jvp(Network))/trunk/stage1_block1/norm1/mul"}, \
backend_config={"estimated_cycles":"100"}
  %all-reduce.3 = (f32[100]{0}, f32[28]{0}) all-reduce(%fusion.1), to_apply=%add
  ROOT %tuple = (f32[8]{0}) tuple(%p0)
}
"""


def test_operations_are_those_of_the_main_computation():
    found = hlo.operations(PROGRAM)
    assert [operation.name for operation in found] == [
        "fusion.1",
        "fusion.2",
        "all-reduce.3",
    ]
    assert [operation.layer for operation in found] == [
        "trunk/stem",
        "trunk/stage1_block1/norm1'",
        "outside the network",
    ]
    assert hlo.collectives(found) == {"all-reduce": {"count": 1, "bytes": 512}}
    first = hlo.costliest(found)[0]
    assert first["name"] == "fusion.1" and first["share"] == 0.75
    assert hlo.padding(found, least=0)[0]["layer"] == "trunk/stage1_block1/norm1'"
    assert hlo.padding(found, least=0)[0]["padded"] == 2.0


def test_a_collective_in_two_parts_counts_once():
    text = """
ENTRY %main (p0: s16[100]) -> s16[100] {
  %all-reduce-start = s16[100]{0} all-reduce-start(%p0), to_apply=%add
  ROOT %all-reduce-done = s16[100]{0} all-reduce-done(%all-reduce-start)
}
"""
    found = hlo.collectives(hlo.operations(text))
    assert found == {"all-reduce": {"count": 1, "bytes": 200}}


def test_the_costliest_have_the_most_cycles_or_if_unknown_the_most_bytes():
    def costliest(*cycles):
        found = [
            hlo.Operation(name, "fusion", "", size, size, 0, count)
            for name, size, count in zip(("large", "slow"), (9, 5), cycles)
        ]
        return [(one["name"], one["share"]) for one in hlo.costliest(found)]

    assert costliest(1, 3) == [("slow", 0.75), ("large", 0.25)]
    assert costliest(0, 0) == [("large", None), ("slow", None)]


MEMORIES = """
ENTRY %main (p0: u8[4096,100]) -> bf16[64] {
  %p0 = u8[4096,100]{1,0:T(8,128)(4,1)} parameter(0)
  %gather_fusion = u8[16,100]{1,0:T(8,128)(4,1)} fusion(%p0), kind=kCustom
  %copy-start = (u8[16,100]{1,0:T(8,128)S(1)}, u8[16,100]{1,0:T(8,128)}, \
u32[]{:S(2)}) copy-start(%gather_fusion)
  %copy-done = u8[16,100]{1,0:T(8,128)S(1)} copy-done(%copy-start)
  %slice-start = ((u8[4096,100]{1,0}), u8[8,100]{1,0:S(1)}, s32[]{:S(2)}) \
slice-start(%p0), calls=%sliced
  %slice-done = u8[8,100]{1,0:S(1)} slice-done(%slice-start)
  %custom-call = u8[16,100]{1,0:S(1)} custom-call(%slice-done, %slice-done), \
custom_call_target="ConcatBitcast"
  %kept = bf16[64]{0:T(128)S(1)} fusion(%copy-done, %custom-call), kind=kLoop
  ROOT %fusion = bf16[64]{0:T(128)} fusion(%kept, %gather_fusion), kind=kLoop
}
"""


def test_what_stays_on_the_chip_moves_no_bytes_of_its_main_memory():
    assert {o.name: o.moved for o in hlo.operations(MEMORIES)} == {
        "gather_fusion": 2 * 1600,  # the rows, not the table
        "copy-start": 1600,
        "copy-done": 0,
        "slice-start": 800,
        "slice-done": 0,
        "kept": 0,
        "fusion": 128 + 1600,
    }


def report(*flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/tpu_report.py", "--config=configs/fer5.py"]
    return subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    "flag, sentence",
    [
        ("--topology=v9:2x2", "unknown chip"),
        ("--faces=0", "at least 1"),
        ("--topologie=v5e:2x2", "--topology"),
    ],
)
def test_a_wrong_flag_is_a_sentence(flag, sentence):
    found = report(flag)
    assert found.returncode == 2
    assert sentence in found.stderr and "Traceback" not in found.stderr


@pytest.mark.long
def test_the_step_compiles_for_a_tpu(tmp_path):
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("libtpu is not installed")
    flags = ["--topology=v5e:2x2", "--faces=64", f"--out={tmp_path}"]
    flags.append("--config.tasks.emotion.teachers=pretrained")
    found = report(*flags, "--config.model.blocks=(1,)", "--config.optim.name=sgd")
    assert found.returncode == 0, found.stderr
    written = json.loads((tmp_path / "tpu_v5e_2x2_fer5.json").read_text())
    train = written["train"]
    assert train["flops"] > written["eval"]["flops"] > 0
    assert train["bytes_ms"] == pytest.approx(train["bytes"] / 819e6, rel=1e-3)
    assert 0 < train["main_memory_bytes"] < train["bytes"]
    assert train["collectives"]["all-reduce"]["bytes"] > 0 and train["fits"]
