"""Write a PyTorch model as the ONNX file that dlpubuild takes: opset 17, batch 1, one file, names for input and output.

    python export.py tiny.py:Tiny --shape 1,3,64,64 tiny.onnx
    python export.py my_net.py:Net --weights my_net.pt --shape 1,3,224,224 my_net.onnx

The model is a class, or a function that returns one, without arguments, in a Python file of yours. --weights is what
`torch.save(model.state_dict(), PATH)` wrote. The result is run by ONNX Runtime and held against PyTorch before it is
kept. `export` is all there is to it: copy it into your training script if you like.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

OPSET = 17
TOLERANCE = 1e-3


def export(model: torch.nn.Module, shape: tuple[int, ...], path: Path) -> float:
    """Write `model` for one input of `shape`, batch included, to `path`; return how far ONNX Runtime is from PyTorch.

    That is the largest difference on random values, as a share of the largest value of its output. Outputs are called
    `output`, or `output_0` and so on where there are several.
    """
    # Dropout and batch normalisation behave otherwise while training.
    model = model.eval()
    example = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(example)
    several = isinstance(expected, (tuple, list))
    outputs = list(expected) if several else [expected]
    partial = path.with_name(path.name + ".partial")
    with warnings.catch_warnings():
        # PyTorch prefers its newer exporter. That one begins at opset 18, and cannot go back for every model.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model,
            (example,),
            str(partial),
            opset_version=OPSET,
            input_names=["input"],
            output_names=[f"output_{number}" for number in range(len(outputs))] if several else ["output"],
            # Weights in the file itself, and sizes that are fixed: nothing on a DLPU is dynamic.
            external_data=False,
            dynamic_axes=None,
            dynamo=False,
        )
    written = onnx.load(partial)
    onnx.checker.check_model(written)
    session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
    found = session.run(None, {"input": example.numpy()})
    distance = max(
        float(np.abs(want.numpy() - got).max() / max(float(want.abs().max()), 1e-6))
        for want, got in zip(outputs, found, strict=True)
    )
    if distance > TOLERANCE:
        partial.unlink()
        raise SystemExit(f"ONNX Runtime computes something else than PyTorch: {distance:.3g} of the largest value")
    partial.replace(path)
    return distance


def load(reference: str) -> torch.nn.Module:
    """Return the model that `file.py:Name` names."""
    file, _, name = reference.rpartition(":")
    if not file:
        raise SystemExit(f"{reference}: write it as file.py:Name")
    spec = importlib.util.spec_from_file_location("model_to_export", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", metavar="FILE.py:NAME", help="class or function that makes the model")
    parser.add_argument("output", type=Path, metavar="OUT.onnx")
    parser.add_argument("--shape", required=True, help="of the input: 1,channels,height,width")
    parser.add_argument("--weights", type=Path, help="state dictionary of the trained model")
    arguments = parser.parse_args()
    shape = tuple(int(size) for size in arguments.shape.split(","))
    if shape[0] != 1:
        parser.error("the first size is the batch, and that is 1 on every DLPU")
    model = load(arguments.model)
    if arguments.weights:
        model.load_state_dict(torch.load(arguments.weights, map_location="cpu", weights_only=True))
    distance = export(model, shape, arguments.output)
    print(f"{arguments.output}: opset {OPSET}, input {list(shape)}, within {distance:.1e} of PyTorch")
    return 0


if __name__ == "__main__":
    sys.exit(main())
