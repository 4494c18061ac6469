"""ONNX: one file for onnxruntime, on servers, phones and in browsers."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from emotion_jax.evaluator import Restored
from emotion_jax.export.fold import fold
from emotion_jax.export.graph import BATCH, Graph, Node, Tensor
from emotion_jax.export.lower import lower
from emotion_jax.export.onnx_rules import ONNX
from emotion_jax.export.program import Program, Reader, make_program
from emotion_jax.views import Outputs

OPSET, IR_VERSION = 18, 9  # read by onnxruntime 1.15 and later
BATCH_SIZE = 256


def make(restored: Restored) -> dict[str, bytes]:
    """The file: a function from uint8 images to each task's outputs, by name."""
    program = make_program(restored)
    return {"model.onnx": serialise(program, *trace(program))}


def load(files: Mapping[str, bytes]) -> Reader:
    """Loads it in onnxruntime, in small batches: it keeps all layers' activations."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        files["model.onnx"], providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def answer(image: UInt8[np.ndarray, "n h w 1"]) -> Outputs:
        batches = [
            session.run(names, {"image": image[start : start + BATCH_SIZE]})
            for start in range(0, len(image), BATCH_SIZE)
        ]
        return dict(zip(names, map(np.concatenate, zip(*batches))))

    return answer


def trace(program: Program) -> tuple[list[Node], dict[str, tuple[int, ...]]]:
    """A program's nodes, and its outputs' names and shapes, for any batch."""
    graph, (jaxpr, shapes) = Graph(), program.trace()
    image = Tensor("image", (BATCH, program.side, program.side, 1), (0, 1, 2, 3))
    found = lower(graph, jaxpr, image, rules=ONNX)
    names = {
        graph.arrange(value, range(len(value.shape))): name
        for name, value in zip(shapes, found, strict=True)
    }
    nodes = [renamed(node, names) for node in fold(graph.nodes, list(names))]
    return nodes, shapes


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """The node with the public names in place of generated ones."""
    inputs = [names.get(i, i) if isinstance(i, str) else i for i in node.inputs]
    return Node(
        node.op, tuple(inputs), names.get(node.output, node.output), node.attributes
    )


def serialise(
    program: Program, nodes: list[Node], outputs: dict[str, tuple[int, ...]]
) -> bytes:
    """The nodes as a checked model, with constants as initializers."""
    from onnx import TensorProto, checker, helper, numpy_helper

    constants, made = [], []
    for node in nodes:
        inputs = []
        for place, value in enumerate(node.inputs):
            if isinstance(value, np.ndarray):
                name = f"{node.output}_{place}"
                value = np.ascontiguousarray(value)
                constants.append(numpy_helper.from_array(value, name))
                value = name
            inputs.append(value)
        made.append(
            helper.make_node(
                node.op, inputs, [node.output], node.output, **node.attributes
            )
        )

    def info(name: str, kind: int, shape: tuple):
        return helper.make_tensor_value_info(name, kind, ["n", *shape[1:]])

    side = program.side
    graph = helper.make_graph(
        made,
        "emotion_jax",
        [info("image", TensorProto.UINT8, (BATCH, side, side, 1))],
        [info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="emotion_jax",
    )
    helper.set_model_props(model, program.metadata)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()
