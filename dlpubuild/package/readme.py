"""The `README.md` and `LICENSE` of a package: what is in it and how an application uses it, for people.

In: a `BundleSpec`. Out: the text of both files. Commands and paths in it are those of Axis' ACAP Native SDK and
of `larod-client`; whatever comes from the user is escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.package.acap_fragment import FRAGMENT, run_options
from dlpubuild.package.description import float32_text, image_geometry, preprocessing_by_input
from dlpubuild.package.markdown import code_span, escaped
from dlpubuild.package.members import SUMS_NAME
from dlpubuild.package.model_json import LABELS, MODEL_JSON
from dlpubuild.package.params_header import PARAMS_HEADER
from dlpubuild.package.pixels import per_channel, pixel_mapping
from dlpubuild.package.readme_binary import memory_lines
from dlpubuild.package.readme_compiled import camera_without, compiled_rows, compiler_row, model_rows

if TYPE_CHECKING:
    from dlpubuild.package.description import ImageGeometry, IoTensor, ModelDescription
    from dlpubuild.package.pixels import PixelMapping
    from dlpubuild.package.spec import BundleSpec, InputPreprocessing, PackageRequest, ToolchainFacts

README = "README.md"
LICENSE = "LICENSE"

_RESIZE_WORDS = {
    "stretch": "scaled to exactly that size, its proportions not kept",
    "crop": "scaled until it covers that size, what stands out cut off evenly",
    "letterbox": "scaled until it fits into that size, the rest filled",
}
_COLOR_WORDS = {"rgb": "red, green, blue", "bgr": "blue, green, red", "gray": "gray"}
_LAYOUT_WORDS = {"NHWC": "interleaved", "NCHW": "planar"}


def license_file(request: PackageRequest) -> bytes:
    """Return the license text as it was given, else one line that says what is known."""
    if request.license_text is not None:
        return request.license_text
    if request.license is not None:
        return f"SPDX-License-Identifier: {request.license}\n".encode()
    return b"No license was declared for this model.\n"


def readme(spec: BundleSpec) -> bytes:
    """Return `README.md` as UTF-8."""
    sections = (
        _title(spec.request),
        _contents(spec.request),
        _model(spec),
        _tensors(spec),
        *_preprocessing(spec),
        _application(spec.request),
        _camera(spec.request),
    )
    return ("\n\n".join("\n".join(lines) for lines in sections) + "\n").encode()


def _title(request: PackageRequest) -> list[str]:
    vendor = f" by {escaped(request.vendor)}" if request.vendor else ""
    how = "packaged as given for" if request.toolchain is None else "converted for"
    return [
        f"# {request.name} {request.version} for {request.soc.title}",
        "",
        f"A neural network{vendor}, {how} the larod device `{request.soc.larod_device}`.",
    ]


def _contents(request: PackageRequest) -> list[str]:
    labels = [f"| `{LABELS}` | the labels, one a line |"] if request.labels is not None else []
    return [
        "| file | what |",
        "|---|---|",
        *model_rows(request),
        f"| `{PARAMS_HEADER}` | its sizes and scales as C constants |",
        *labels,
        f"| `{MODEL_JSON}` | all that is known of the model, for programs |",
        f"| `{FRAGMENT}` | what the application's `manifest.json` needs |",
        f"| `{LICENSE}` | the license of the model |",
        f"| `{SUMS_NAME}` | digests; `sha256sum -c {SUMS_NAME}` checks every file |",
    ]


def _model(spec: BundleSpec) -> list[str]:
    request, model = spec.request, spec.model
    operators = ", ".join(f"{code_span(name)} {count}" for name, count in model.operators)
    accuracy = [
        f"| accuracy: {escaped(name)} | {value:g} |" for name, value in sorted((request.accuracy or {}).items())
    ]
    return [
        "## Model",
        "",
        "| | |",
        "|---|---|",
        f"| ACAP architecture | {request.soc.architecture} |",
        f"| sha256 | `{request.model_digest.hash}` |",
        *_size(request, model),
        f"| quantization | {model.quantization} (asked for: {request.requested_quantization}) |",
        f"| scales of the weights | {model.granularity} |",
        *([] if model.macs is None else [f"| multiply-accumulates | {model.macs:,} |"]),
        *([f"| operators | {operators} |"] if operators else []),
        *([] if model.macs is None else [f"| oldest TensorFlow Lite | {model.min_runtime or 'not known'} |"]),
        f"| converted with | {_converter(request.toolchain)} |",
        *([] if request.compiled is None else compiled_rows(request.compiled)),
        *([] if request.binary_compiler is None else [compiler_row(request.binary_compiler)]),
        *accuracy,
    ]


def _size(request: PackageRequest, model: ModelDescription) -> list[str]:
    size = f"| size | {request.model_digest.size_bytes:,} bytes"
    if model.parameter_bytes is None:
        return [f"{size} |"]
    if request.compiled is None:
        return [f"{size}, of which {model.parameter_bytes:,} parameters |"]
    return [f"{size} |", f"| parameters | {model.parameter_bytes:,} bytes |"]


def _converter(facts: ToolchainFacts | None) -> str:
    if facts is None:
        return "nothing: packaged as given"
    if facts.image is not None:
        return f"`{facts.image}`"
    return f"TensorFlow {facts.tensorflow}" if facts.tensorflow is not None else f"the toolchain {escaped(facts.name)}"


def _tensors(spec: BundleSpec) -> list[str]:
    return [
        "## Tensors",
        "",
        "| | name | shape | type | scale | zero point |",
        "|---|---|---|---|---|---|",
        *(_tensor_row("input", index, tensor) for index, tensor in enumerate(spec.model.inputs)),
        *(_tensor_row("output", index, tensor) for index, tensor in enumerate(spec.model.outputs)),
        "",
        "The value of a quantized tensor is `(stored - zero point) * scale`.",
        *memory_lines(spec.model),
    ]


def _tensor_row(kind: str, index: int, tensor: IoTensor) -> str:
    shape = "×".join(str(size) for size in tensor.shape) or "scalar"  # noqa: RUF001 - the sign in print
    scale, zero_point = "-", "-"
    if tensor.scale is not None:
        scale, zero_point = float32_text(tensor.scale), str(tensor.zero_point or 0)
    return f"| {kind} {index} | {code_span(tensor.name)} | {shape} | {tensor.dtype} | {scale} | {zero_point} |"


def _preprocessing(spec: BundleSpec) -> list[list[str]]:
    matched = preprocessing_by_input(spec.model.inputs, spec.request.preprocessing)
    pairs = zip(spec.model.inputs, matched, strict=True)
    return [_one_preprocessing(tensor, how) for tensor, how in pairs if how is not None]


def _one_preprocessing(tensor: IoTensor, how: InputPreprocessing) -> list[str]:
    mapping = pixel_mapping(tensor, how)
    channels = len(mapping.multiplier)
    mean = _numbers(per_channel("mean", how.mean, channels))
    std = _numbers(per_channel("std", how.std, channels))
    geometry = image_geometry(tensor, how)
    return [
        f"## Preprocessing of {code_span(tensor.name)}",
        "",
        *(_image_words(how, geometry) if geometry else ()),
        "The network was trained on `x = (pixel - mean) / std`, pixels from 0 to 255, with",
        f"mean {mean} and std {std}.",
        *_feeding(tensor, mapping),
    ]


def _image_words(how: InputPreprocessing, geometry: ImageGeometry) -> list[str]:
    size = f"{geometry.width} pixels wide and {geometry.height} high"
    fitted = f" An image is {_RESIZE_WORDS[how.resize]}." if how.resize else ""
    order = f"{geometry.channels} channel{'s' if geometry.channels > 1 else ''} ({_COLOR_WORDS[how.color]})"
    return [
        f"The input is an image, {size}, {order}, {_LAYOUT_WORDS[geometry.layout]} ({geometry.layout}).{fitted}",
    ]


def _feeding(tensor: IoTensor, mapping: PixelMapping) -> list[str]:
    if mapping.identity:
        how = "in planes, with the pitch above" if tensor.memory else "as they are"
        return [f"The stored value is then the pixel itself: **feed the bytes of the image {how}.**"]
    if mapping.shift is not None:
        sign = "-" if mapping.shift < 0 else "+"
        return [f"The stored value is then `pixel {sign} {abs(mapping.shift)}`, for every pixel."]
    if mapping.minimum is None:
        return [f"The input takes `x` itself, as {tensor.dtype}; bytes of an image cannot be fed as they are."]
    line = "round(multiplier * pixel + offset)"
    return [
        f"The stored value is `clamp({line}, {mapping.minimum}, {mapping.maximum})` with",
        f"multiplier {_numbers(mapping.multiplier)} and offset {_numbers(mapping.offset)}.",
    ]


def _numbers(values: tuple[float, ...]) -> str:
    texts = [float32_text(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else f"({', '.join(texts)})"


def _application(request: PackageRequest) -> list[str]:
    added = [f"-a {request.model_member}", *([f"-a {LABELS}"] if request.labels is not None else [])]
    folders = ["model", *(["label"] if request.labels is not None else [])]
    top = f"/opt/{request.base_name}"
    return [
        "## In an ACAP application",
        "",
        "In the application's Dockerfile, after its sources are in `/opt/app` (`ADD` unpacks the archive):",
        "",
        "```dockerfile",
        f"ADD {request.base_name}.tar.gz /opt/",
        "WORKDIR /opt/app",
        f"RUN cp -r {' '.join(f'{top}/{folder}' for folder in folders)} . && \\",
        f"    . /opt/axis/acapsdk/environment-setup* && acap-build . {' '.join(added)}",
        "```",
        "",
        f'The sources say `#include "{PARAMS_HEADER}"`. Merge `{FRAGMENT}` into `manifest.json`; with it the',
        "application is started with these arguments, from where it is installed on the camera:",
        "",
        "```",
        run_options(request),
        "```",
    ]


def _camera(request: PackageRequest) -> list[str]:
    return [
        "## On a camera",
        "",
        f"With `{request.model_file}` copied to the camera, this runs it on random input and prints the mean time:",
        "",
        "```sh",
        f"larod-client -R 100 -w 5 -p -c {request.soc.larod_device} -g {request.model_file} -i ''",
        "```",
        *([] if request.compiled is None else camera_without(request)),
    ]
