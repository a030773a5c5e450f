#!/bin/sh
# Runs the steps by hand; for one that is already laid out, see: dlpubuild render
# PYTHON: absolute path of the toolchain's interpreter, as `dlpubuild toolchain list` shows it.
set -eu
: "${PYTHON:?set PYTHON to the interpreter of the toolchain}"
top="$(pwd)/dlpu-steps"

# import: convert the model to a float .tflite
rm -rf "$top"/import
mkdir -p "$top"/import/src "$top"/import/in "$top"/import/out
cd "$top"/import
cp /steps/import_model.py src/
cp /steps/stepio.py src/
cat >src/params.json <<'END_OF_PARAMS'
{
 "format": "keras",
 "inputs": [
  {
   "name": "image",
   "shape": [
    1,
    8,
    8,
    3
   ]
  }
 ],
 "model": "in/model.keras",
 "optimization": "none",
 "outputs": []
}
END_OF_PARAMS
mkdir -p in
cp /project/model.keras in/model.keras
env -i PATH="$PATH" HOME="${HOME:-/}" LC_ALL=C.UTF-8 PYTHONHASHSEED=0 "$PYTHON" src/import_model.py src/params.json

# compile: compile with the Ambarella toolchain
rm -rf "$top"/compile
mkdir -p "$top"/compile/src "$top"/compile/in "$top"/compile/out
cd "$top"/compile
cp /steps/compile_ambarella.py src/
cp /steps/ambarella_calibration.py src/
cp /steps/ambarella_handover.py src/
cp /steps/ambarella_model.py src/
cp /steps/ambarella_tools.py src/
cp /steps/ambarella_work.py src/
cp /steps/array_file.py src/
cp /steps/onnx_file.py src/
cp /steps/tflite_file.py src/
cp /steps/tflite_operators.py src/
cp /steps/tool_process.py src/
cp /steps/stepio.py src/
cat >src/params.json <<'END_OF_PARAMS'
{
 "activations": "fx16",
 "coefficients": "fx16",
 "data": {
  "files": [
   "in/data/00000.png",
   "in/data/00001.png",
   "in/data/00002.png"
  ],
  "kind": "images"
 },
 "input_format": "idf:0,0,8,0",
 "inputs": [
  {
   "color": "rgb",
   "name": "image",
   "resize": "stretch",
   "shape": [
    1,
    8,
    8,
    3
   ]
  }
 ],
 "model": "in/model.tflite",
 "output": "out/model.bin",
 "outputs": [],
 "parser": "tf",
 "shapes": [],
 "signature": "08 00 02 02",
 "soc": "cv25",
 "timeout_sec": 600
}
END_OF_PARAMS
mkdir -p in/data
cp /project/data/two.png in/data/00000.png
cp /project/data/three.png in/data/00001.png
cp /project/data/one.png in/data/00002.png
mkdir -p in
cp "$top"/import/out/model.tflite in/model.tflite
env -i PATH="$PATH" HOME="${HOME:-/}" LC_ALL=C.UTF-8 PYTHONHASHSEED=0 "$PYTHON" src/compile_ambarella.py src/params.json

echo cv25: "$top"/compile/out/model.bin
