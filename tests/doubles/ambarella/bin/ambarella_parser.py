"""What tfparser.py and onnxparser.py have in common: options, what they hold against the model, and the .vas file."""

import argparse
import hashlib
import os
import struct

from ambarella_files import begin, refuse

PRECISIONS = {"act-force-fx8", "act-force-fx16", "coeff-force-fx8", "coeff-force-fx16"}
FORMATS = ("0,0,8,0", "0,0,0,0")


def main(program, flag, read, planar):
    """`planar` returns the shape that -isrc has to give for one of the model."""
    parser = argparse.ArgumentParser(prog=program, allow_abbrev=False)
    parser.add_argument(flag, dest="model", required=True)
    parser.add_argument("-o", required=True)
    parser.add_argument("-of", required=True)
    parser.add_argument("-isrc", action="append", required=True)
    parser.add_argument("-odst", action="append", required=True)
    parser.add_argument("-c", default="")
    options = parser.parse_args()
    mode = begin(program)
    try:
        with open(options.model, "rb") as stream:
            content = stream.read()
        model = read(content)
    except (OSError, ValueError, IndexError, StopIteration, struct.error) as error:
        refuse("cannot read %s: %s" % (options.model, error))
    unknown = set(filter(None, options.c.split(","))) - PRECISIONS
    if unknown:
        refuse("unknown configuration: %s" % ", ".join(sorted(unknown)))
    digest = hashlib.sha256(content)
    fed = [source(text, model, planar, digest) for text in options.isrc]
    missing = sorted(set(model.inputs) - set(fed))
    if missing:
        refuse("input %s has no source" % missing[0])
    for text in options.odst:
        name, odf = text.split("|")
        if not name.startswith("o:") or odf != "odf:fp32":
            refuse("cannot parse %s" % text)
        if name[2:] not in model.outputs:
            refuse("output %s is not in the graph; it has %s" % (name[2:], ", ".join(model.outputs)))
        digest.update(text.encode())
    digest.update(options.c.encode())
    os.makedirs(options.of, exist_ok=True)
    if mode != "missing":
        with open("%s/%s.vas" % (options.of, options.o), "w") as stream:
            if not mode:
                stream.write("vas 1\nname %s\ndigest %s\n" % (options.o, digest.hexdigest()))
    print("[%s] %d inputs, %d outputs, quantized" % (program, len(fed), len(options.odst)))


def source(text, model, planar, digest):
    """Hold one -isrc against the model and the files it names; return the name of the input."""
    parts = text.split("|")
    values = dict(part.partition(":")[::2] for part in parts)
    if not set(values) <= {"is", "iq", "idf", "i", "ic"} or "iq" not in values:
        refuse("cannot parse %s" % text)
    if values.get("idf") not in FORMATS or (values["idf"] == "0,0,8,0" and "ic" in values):
        refuse("data format of %s" % text)
    if "ic" in values and not float(values["ic"]) > 0:
        refuse("input scale of %s" % text)
    name, _, path = values["i"].partition("=")
    if name not in model.inputs:
        refuse("input %s is not in the graph; it has %s" % (name, ", ".join(model.inputs)))
    shape, code = model.inputs[name]
    if code != 0:
        refuse("input %s is not float: the model is quantized" % name)
    given = tuple(int(size) for size in values["is"].split(","))
    wanted = planar(shape)
    if len(given) != len(wanted) or any(own not in (-1, size) for own, size in zip(wanted, given)):
        refuse("shape %s of input %s does not match %s" % (given, name, wanted))
    if not os.path.isfile(path):
        refuse("no such list: %s" % path)
    size = 1
    for each in given:
        size *= each
    with open(path) as stream:
        binaries = stream.read().split("\n")[:-1]
    if not binaries:
        refuse("the list %s is empty" % path)
    for binary in binaries:
        with open(binary, "rb") as stream:
            planes = stream.read()
        if len(planes) != size:
            refuse("%s has %d bytes, %s takes %d" % (binary, len(planes), name, size))
        digest.update(planes)
    digest.update(text.encode())
    return name
