"""Converts MediaPipe's BlazeFace from TFLite to the ONNX file that ships.

  pip install tflite onnx
  python launch/convert_detector.py face_detection_back.tflite detector.onnx

Weights stay float16, as given; onnxruntime widens them once when it loads the file.
The input and the outputs keep their names and layouts: `input` [1, side, side, 3],
`regressors` [1, anchors, 16] and `classificators` [1, anchors, 1].
"""

import argparse
import sys
from pathlib import Path

import numpy as np

try:
    import tflite
    from onnx import TensorProto, checker, helper, numpy_helper
except ImportError as error:
    print(f"{error}: pip install tflite onnx", file=sys.stderr)
    sys.exit(2)

OPTIONS = {
    "CONV_2D": tflite.Conv2DOptions,
    "DEPTHWISE_CONV_2D": tflite.DepthwiseConv2DOptions,
    "MAX_POOL_2D": tflite.Pool2DOptions,
    "CONCATENATION": tflite.ConcatenationOptions,
}
KINDS = {value: name for name, value in vars(tflite.BuiltinOperator).items()}
DTYPES = {
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.INT32: np.int32,
}
TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


class Converter:
    """One file's graph, with images as [n c h w] inside."""

    def __init__(self, blob: bytes):
        self.model = tflite.Model.GetRootAs(blob)
        self.graph = self.model.Subgraphs(0)
        self.nodes, self.constants, self.kernels = [], [], {}

    def tensor(self, index: int):
        return self.graph.Tensors(index)

    def name(self, index: int) -> str:
        return self.tensor(index).Name().decode()

    def value(self, index: int) -> np.ndarray:
        tensor = self.tensor(index)
        data = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        return data.view(DTYPES[tensor.Type()]).reshape(tensor.ShapeAsNumpy())

    def emit(self, kind: str, inputs: list[str], output: str, **attributes) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def widened(self, index: int, axes: list[int]) -> str:
        """A float16 weight with its axes in ONNX's order, as float32."""
        value = np.ascontiguousarray(self.kernels[index].transpose(axes))
        name = self.constant(f"{self.name(index)}_half", value)
        self.emit("Cast", [name], self.name(index), to=TensorProto.FLOAT)
        return self.name(index)

    def visit(self, operator) -> None:
        """Adds the nodes of one operator."""
        code = self.model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        kind, options = KINDS[code], None
        if kind in OPTIONS:
            options, table = OPTIONS[kind](), operator.BuiltinOptions()
            options.Init(table.Bytes, table.Pos)
            fused = options.FusedActivationFunction()
            assert fused == tflite.ActivationFunctionType.NONE
        inputs = operator.InputsAsNumpy().tolist()
        getattr(self, kind.lower())(inputs, operator.Outputs(0), options)

    def dequantize(self, inputs, output, options):
        self.kernels[output] = self.value(inputs[0])

    def conv_2d(self, inputs, output, options, axes=(0, 3, 1, 2), group=1):
        image, kernel, bias = inputs
        height, width = self.kernels[kernel].shape[1:3]
        names = [self.name(image), self.widened(kernel, axes), self.widened(bias, [0])]
        self.emit(
            "Conv",
            names,
            self.name(output),
            group=group,
            **self.window(image, options, height, width),
        )

    def depthwise_conv_2d(self, inputs, output, options):
        channels = self.kernels[inputs[1]].shape[3]
        self.conv_2d(inputs, output, options, axes=(3, 0, 1, 2), group=channels)

    def max_pool_2d(self, inputs, output, options):
        height, width = options.FilterHeight(), options.FilterWidth()
        window = self.window(inputs[0], options, height, width)
        self.emit("MaxPool", [self.name(inputs[0])], self.name(output), **window)

    def window(self, image: int, options, height: int, width: int) -> dict:
        """TFLite's SAME: as many outputs as strides fit, odd padding at the end."""
        stride = options.StrideH(), options.StrideW()
        size, pads = self.tensor(image).ShapeAsNumpy()[1:3], [0, 0]
        if options.Padding() == tflite.Padding.SAME:
            pads = [
                max((-(-n // s) - 1) * s + k - n, 0)
                for n, s, k in zip(size, stride, (height, width), strict=True)
            ]
        pads = [int(p) for p in pads]
        return {
            "kernel_shape": [height, width],
            "strides": list(stride),
            "pads": [p // 2 for p in pads] + [p - p // 2 for p in pads],
        }

    def relu(self, inputs, output, options):
        self.emit("Relu", [self.name(inputs[0])], self.name(output))

    def add(self, inputs, output, options):
        self.emit("Add", [self.name(i) for i in inputs], self.name(output))

    def pad(self, inputs, output, options):
        pads = self.value(inputs[1])[TO_NCHW].T.ravel().astype(np.int64)
        name = self.constant(f"{self.name(output)}_pads", pads)
        self.emit("Pad", [self.name(inputs[0]), name], self.name(output))

    def reshape(self, inputs, output, options):
        image, shape = self.name(inputs[0]), self.tensor(output).ShapeAsNumpy()
        self.emit("Transpose", [image], f"{image}_nhwc", perm=TO_NHWC)
        name = self.constant(f"{self.name(output)}_shape", shape.astype(np.int64))
        self.emit("Reshape", [f"{image}_nhwc", name], self.name(output))

    def concatenation(self, inputs, output, options):
        names = [self.name(i) for i in inputs]
        self.emit("Concat", names, self.name(output), axis=options.Axis())

    def convert(self):
        """Converts the whole file to a checked ONNX model."""
        graph = self.graph
        (image,) = graph.InputsAsNumpy()
        outputs = graph.OutputsAsNumpy()
        for i in range(graph.OperatorsLength()):
            self.visit(graph.Operators(i))
        inner = f"{self.name(image)}_nchw"
        for node in self.nodes:
            node.input[:] = [inner if n == self.name(image) else n for n in node.input]
        first = helper.make_node("Transpose", [self.name(image)], [inner], perm=TO_NCHW)

        def info(index):
            shape = self.tensor(index).ShapeAsNumpy().tolist()
            return helper.make_tensor_value_info(
                self.name(index), TensorProto.FLOAT, shape
            )

        made = helper.make_model(
            helper.make_graph(
                [first, *self.nodes],
                "blazeface",
                [info(image)],
                [info(o) for o in outputs],
                self.constants,
            ),
            opset_imports=[helper.make_opsetid("", 18)],
            ir_version=9,
            producer_name="emotion_jax",
        )
        checker.check_model(made, full_check=True)
        return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, metavar="TFLITE")
    parser.add_argument("target", type=Path, metavar="ONNX")
    flags = parser.parse_args()
    model = Converter(flags.source.read_bytes()).convert()
    flags.target.write_bytes(model.SerializeToString())
