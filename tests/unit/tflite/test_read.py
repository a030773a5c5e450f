"""The reader on files whose every byte is known."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.tflite.flatbuffer import NotAModelError
from dlpubuild.tflite.read import read_file, read_model
from tests.factories.tflite_factory import (
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    custom_model,
    encode,
    float_model,
    integer_model,
    with_dynamic_batch,
    with_graph,
    with_tensor,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_tensor_has_the_name_shape_type_and_scales_of_the_file() -> None:
    image, filters, *_ = read_model(encode(integer_model(per_channel=True))).main.tensors

    assert (image.name, image.shape, image.dtype, image.constant_bytes) == ("image_int8", (1, 9, 9, 3), "int8", 0)
    assert image.quantization is not None
    assert (image.quantization.scales, image.quantization.zero_points) == ((0.5,), (0,))
    assert not image.quantization.per_channel
    assert (filters.index, filters.shape, filters.constant_bytes) == (1, (8, 3, 3, 3), 216)
    assert filters.quantization is not None
    assert filters.quantization.scales == tuple(0.25 * i for i in range(1, 9))
    assert filters.quantization.per_channel


def test_the_axis_and_zero_points_of_scales_are_read() -> None:
    tensor = TensorSpec(name="w", shape=(1, 3, 3, 2), scales=(1.0, 2.0), zero_points=(-3, 4), axis=3, data=bytes(18))
    spec = with_tensor(integer_model(), 1, tensor)

    quantization = read_model(encode(spec)).main.tensors[1].quantization

    assert quantization is not None
    assert (quantization.zero_points, quantization.axis) == ((-3, 4), 3)


def test_a_float_tensor_has_no_quantization() -> None:
    assert all(tensor.quantization is None for tensor in read_model(encode(float_model())).main.tensors)


def test_operators_come_in_order_with_version_tensors_and_options() -> None:
    conv, dense = read_model(encode(integer_model())).main.operators

    assert (conv.index, conv.name, conv.version) == (0, "CONV_2D", 3)
    assert (conv.inputs, conv.outputs) == ((0, 1, 2), (3,))
    assert conv.options == {
        "padding": "VALID",
        "stride_w": 2,
        "stride_h": 2,
        "fused_activation_function": "RELU6",
        "dilation_w_factor": 1,
        "dilation_h_factor": 1,
    }
    assert (dense.index, dense.name, dense.version, dict(dense.options)) == (1, "FULLY_CONNECTED", 4, {})


@pytest.mark.parametrize("name", ["BATCH_MATMUL", "CUMSUM", "GELU"])
def test_operator_codes_below_and_above_127_get_their_names(name: str) -> None:
    operators = (OperatorSpec(name=name, inputs=(0,), outputs=(6,)),)

    model = read_model(encode(with_graph(integer_model(), operators=operators)))

    assert [operator.name for operator in model.main.operators] == [name]


def test_an_absent_optional_input_is_minus_one() -> None:
    operators = (OperatorSpec(name="FULLY_CONNECTED", inputs=(3, 4, -1), outputs=(6,)),)

    assert read_model(encode(with_graph(integer_model(), operators=operators))).main.operators[0].inputs == (3, 4, -1)


def test_a_custom_operator_is_known_by_its_custom_code() -> None:
    operator = read_model(encode(custom_model("edgetpu-custom-op"))).main.operators[-1]

    assert operator.is_custom
    assert (operator.name, operator.label) == ("CUSTOM", "edgetpu-custom-op")


def test_signatures_metadata_and_description_are_read() -> None:
    model = read_model(encode(integer_model(io="uint8")))

    (signature,) = model.signatures
    assert (signature.key, signature.subgraph) == ("serving_default", 0)
    assert (signature.inputs, signature.outputs) == ((("image", 7),), (("probabilities", 8),))
    assert model.metadata == {"min_runtime_version": b"2.3.0".ljust(16, b"\0")}
    assert (model.description, model.schema_version) == ("made by a test", 3)


def test_inputs_and_outputs_have_the_names_of_the_signature_or_their_own() -> None:
    spec = integer_model(io="float32")
    named, unnamed = read_model(encode(spec)), read_model(encode(replace(spec, signatures=())))

    assert [named.public_name(tensor) for tensor in (*named.inputs, *named.outputs)] == ["image", "probabilities"]
    assert [unnamed.public_name(tensor) for tensor in unnamed.inputs] == ["image"]
    assert [unnamed.public_name(tensor) for tensor in unnamed.outputs] == ["StatefulPartitionedCall"]


def test_a_dynamic_dimension_is_minus_one_in_the_signature_and_one_in_the_shape() -> None:
    tensor = read_model(encode(with_dynamic_batch(float_model()))).inputs[0]

    assert (tensor.shape, tensor.shape_signature, tensor.is_dynamic) == ((1, 9, 9, 3), (-1, 9, 9, 3), True)


def test_every_subgraph_is_read() -> None:
    spec = integer_model()
    body = GraphSpec(tensors=(TensorSpec(name="x", shape=(2,)),), operators=(), inputs=(0,), outputs=(0,), name="body")

    model = read_model(encode(replace(spec, graphs=(*spec.graphs, body))))

    assert [graph.name for graph in model.subgraphs] == ["main", "body"]
    assert model.main.tensors[0].name == "image_int8"


def test_constants_behind_the_flatbuffer_have_their_length() -> None:
    inside, outside = (read_model(encode(replace(integer_model(), data_outside=flag))) for flag in (False, True))

    assert outside.main.tensors == inside.main.tensors
    assert outside.metadata == inside.metadata


def test_a_constant_that_would_lie_behind_the_end_of_the_file_is_refused() -> None:
    data = encode(replace(integer_model(), data_outside=True))

    with pytest.raises(NotAModelError):
        read_model(data[:-1])


def test_a_name_that_is_not_utf_8_is_read_with_replacement_characters() -> None:
    data = encode(integer_model()).replace(b"image_int8", b"image_\xff\xfe\xfa\xfb")

    assert read_model(data).main.tensors[0].name == "image_\ufffd\ufffd\ufffd\ufffd"


def test_a_file_without_buffers_is_a_model_without_constants() -> None:
    graph = GraphSpec(tensors=(TensorSpec(name="x", shape=(2,)),), operators=(), inputs=(0,), outputs=(0,))

    assert read_model(encode(ModelSpec(graphs=(graph,)))).main.tensors[0].constant_bytes == 0


def test_a_model_of_four_megabytes_is_read_in_far_less_than_fifty_milliseconds() -> None:
    weights = TensorSpec(name="w", shape=(1024, 4096), scales=(1.0,), data=bytes(1024 * 4096))
    data = encode(with_tensor(integer_model(), 1, weights))

    def seconds() -> float:
        begin = perf_counter()
        read_model(data)
        return perf_counter() - begin

    assert len(data) > 1 << 22
    assert min(seconds() for _ in range(3)) < 0.025


FOREIGN = {
    "empty": (b"", "the file is empty"),
    "short": (b"TFL3", "too few"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(8), "HDF5"),
    "zip": (b"PK\x03\x04" + bytes(26), "zip"),
    "gzip": (b"\x1f\x8b\x08" + bytes(26), "gzip"),
    "saved-model": (b"\x08\x01\x12\xd7\x8a\x02\n\x90", "SavedModel"),
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.4.0", "ONNX"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "Git LFS"),
    "html": (b"\n  <!DOCTYPE html>\n<html><body>Sign in</body></html>", "HTML"),
    "other": (b"\x1c\x00\x00\x00TFL2\x00\x00\x00\x00", "TFL2"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_another_format_is_named_with_what_to_do(kind: str) -> None:
    data, named = FOREIGN[kind]

    with pytest.raises(NotAModelError) as caught:
        read_model(data)

    assert caught.value.code is ErrorCode.NOT_A_MODEL
    assert named in caught.value.message
    assert caught.value.hint


def test_the_wording_for_a_keras_file() -> None:
    with pytest.raises(NotAModelError) as caught:
        read_model(b"\x89HDF\r\n\x1a\n")

    assert str(caught.value) == (
        "not a TensorFlow Lite model but an HDF5 file, such as Keras writes as .h5\n"
        "  hint: give a .tflite file, or name this file as `source` in the manifest and let the build convert it"
    )


def test_another_schema_version_is_refused() -> None:
    with pytest.raises(NotAModelError) as caught:
        read_model(encode(replace(integer_model(), version=2)))

    assert "version is 2" in caught.value.message


def test_a_file_without_a_graph_is_refused() -> None:
    with pytest.raises(NotAModelError):
        read_model(encode(ModelSpec(graphs=())))


@pytest.mark.parametrize(
    "spec",
    [
        with_graph(integer_model(), inputs=(99,)),
        with_graph(integer_model(), outputs=(-1,)),
        with_graph(integer_model(), operators=(OperatorSpec(name="ADD", inputs=(0, 7), outputs=(6,)),)),
        with_graph(integer_model(), operators=(OperatorSpec(name="ADD", inputs=(-2, 0), outputs=(6,)),)),
    ],
    ids=["graph-input", "graph-output", "operator-input", "negative-input"],
)
def test_an_index_of_a_tensor_that_is_not_there_is_refused(spec: ModelSpec) -> None:
    with pytest.raises(NotAModelError):
        read_model(encode(spec))


def test_read_file_names_the_file_in_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "däta set.tflite"
    path.write_bytes(b"")

    with pytest.raises(NotAModelError) as caught:
        read_file(path)

    assert caught.value.location is not None
    assert caught.value.location.file == str(path)


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.tflite", tmp_path):
        with pytest.raises(DlpuError) as caught:
            read_file(path)
        assert caught.value.code is ErrorCode.MODEL_UNREADABLE


def test_read_file_returns_what_read_model_returns(tmp_path: Path) -> None:
    data = encode(integer_model())
    (tmp_path / "m.tflite").write_bytes(data)

    assert read_file(tmp_path / "m.tflite") == read_model(data)
