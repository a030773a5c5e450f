#!/usr/bin/env python3
"""A stand-in for gen_image_list.py: images become binaries of uint8 planes, and lists of both.

It cannot decode images: the planes are made of a digest of the file, so that the same image gives the same bytes.
"""

import argparse
import hashlib
import os

from ambarella_files import begin, refuse


def main():
    parser = argparse.ArgumentParser(prog="gen_image_list.py", allow_abbrev=False)
    parser.add_argument("-f", required=True)
    parser.add_argument("-o", required=True)
    parser.add_argument("-ns", action="store_true")
    parser.add_argument("-e", required=True)
    parser.add_argument("-c", type=int, choices=(0, 1), default=0)
    parser.add_argument("-d", choices=("0,0", "uint8"), required=True)
    parser.add_argument("-r", required=True)
    parser.add_argument("-bf", required=True)
    parser.add_argument("-bo", required=True)
    options = parser.parse_args()
    mode = begin("gen_image_list.py")
    if not os.path.isdir(options.f):
        refuse("no such folder: %s" % options.f)
    height, width = (int(size) for size in options.r.split(","))
    names = sorted(name for name in os.listdir(options.f) if name.endswith(options.e))
    if not names:
        refuse("no %s image in %s" % (options.e, options.f))
    os.makedirs(options.bf, exist_ok=True)
    images, binaries = [], []
    for name in names:
        path = os.path.join(options.f, name)
        with open(path, "rb") as stream:
            content = stream.read()
        binary = "%s/%s.bin" % (options.bf, os.path.splitext(name)[0])
        planes = hashlib.shake_256(content + bytes([options.c])).digest(3 * height * width)
        with open(binary, "wb") as stream:
            stream.write(planes)
        images.append(path)
        binaries.append(binary)
    if mode != "missing":
        write(options.o, images)
        write(options.bo, [] if mode == "rubbish" else binaries)
    print("%d images" % len(images))


def write(path, lines):
    with open(path, "w") as stream:
        stream.write("".join(line + "\n" for line in lines))


if __name__ == "__main__":
    main()
