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

# calibrate: record value ranges on the calibration data
rm -rf "$top"/calibrate
mkdir -p "$top"/calibrate/src "$top"/calibrate/in "$top"/calibrate/out
cd "$top"/calibrate
cp /steps/calibrate.py src/
cp /steps/probe.py src/
cp /steps/samples.py src/
cp /steps/tflite_run.py src/
cp /steps/stepio.py src/
cat >src/params.json <<'END_OF_PARAMS'
{
 "data": {
  "files": [
   "in/data/00000.png",
   "in/data/00001.png",
   "in/data/00002.png"
  ],
  "kind": "images"
 },
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
 "model": "in/model.tflite"
}
END_OF_PARAMS
mkdir -p in/data
cp /project/data/two.png in/data/00000.png
cp /project/data/three.png in/data/00001.png
cp /project/data/one.png in/data/00002.png
mkdir -p in
cp "$top"/import/out/model.tflite in/model.tflite
env -i PATH="$PATH" HOME="${HOME:-/}" LC_ALL=C.UTF-8 PYTHONHASHSEED=0 "$PYTHON" src/calibrate.py src/params.json

# quantize: quantize to integers
rm -rf "$top"/quantize
mkdir -p "$top"/quantize/src "$top"/quantize/in "$top"/quantize/out
cd "$top"/quantize
cp /steps/quantize.py src/
cp /steps/integer_model.py src/
cp /steps/output_check.py src/
cp /steps/probe.py src/
cp /steps/tflite_run.py src/
cp /steps/stepio.py src/
cat >src/params.json <<'END_OF_PARAMS'
{
 "input_type": "int8",
 "model": "in/calibrated.tflite",
 "output_type": "int8",
 "per_channel": true,
 "probe": "in/probe.npz"
}
END_OF_PARAMS
mkdir -p in
cp "$top"/calibrate/out/calibrated.tflite in/calibrated.tflite
cp "$top"/calibrate/out/probe.npz in/probe.npz
env -i PATH="$PATH" HOME="${HOME:-/}" LC_ALL=C.UTF-8 PYTHONHASHSEED=0 "$PYTHON" src/quantize.py src/params.json

echo artpec9: "$top"/quantize/out/model.tflite
