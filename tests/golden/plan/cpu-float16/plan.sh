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
 "optimization": "float16",
 "outputs": []
}
END_OF_PARAMS
mkdir -p in
cp /project/model.keras in/model.keras
env -i PATH="$PATH" HOME="${HOME:-/}" LC_ALL=C.UTF-8 PYTHONHASHSEED=0 "$PYTHON" src/import_model.py src/params.json

echo cpu: "$top"/import/out/model.tflite
