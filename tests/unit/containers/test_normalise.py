"""Normalised images: what differs from build to build goes, and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.containers.layer import write_layer
from dlpubuild.containers.normalise import NormalImage, normalise_image
from dlpubuild.errors import ErrorCode, ToolchainError
from tests.factories.image_archives import Entry, config_of, docker_archive, layer_bytes, oci_archive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TREE = (
    Entry(name="opt", content=None, mode=0o755),
    Entry(name="opt/a", content=b"one", uid=7),
    Entry(name="opt/b", content=b"two", mode=0o755),
    Entry(name="opt/link", target="a"),
)
_CAPABILITY = {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02"}


def _normal(source: Path, *tags: str) -> NormalImage:
    return normalise_image(source, source.with_suffix(".out"), tags=tags)


def _written(source: Path) -> Mapping[str, Any]:
    """Return the configuration in the archive that was written of `source`."""
    with tarfile.open(source.with_suffix(".out")) as archive:
        described = json.loads(_content(archive, "manifest.json"))
        return dict(json.loads(_content(archive, described[0]["Config"])))


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    assert stream is not None
    return stream.read()


def _layer(*entries: Entry, mtime: float = 1.5) -> list[tarfile.TarInfo]:
    sink = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(layer_bytes(entries, mtime=mtime))) as layer:
        write_layer(layer, sink)
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as normal:
        return normal.getmembers()


def test_times_order_and_owners_names_do_not_change_the_id(tmp_path: Path) -> None:
    first, second = layer_bytes(TREE, mtime=1.25), layer_bytes(reversed(TREE), mtime=2_000_000_000, owner="me")
    one = _normal(docker_archive(tmp_path / "1.tar", config_of([first], created="2026-01-01T00:00:00Z"), [first]))
    two = _normal(docker_archive(tmp_path / "2.tar", config_of([second], created="2027-01-01T00:00:00Z"), [second]))
    assert one == two


@pytest.mark.parametrize(
    "other",
    [
        Entry(name="opt/b", content=b"Two", mode=0o755),
        Entry(name="opt/b", content=b"two", mode=0o644),
        Entry(name="opt/b", content=b"two", mode=0o755, uid=1),
        Entry(name="opt/c", content=b"two", mode=0o755),
        Entry(name="opt/b", content=b"two", mode=0o755, pax=_CAPABILITY),
        Entry(name="opt/b", target="a"),
    ],
)
def test_a_file_that_differs_changes_the_id(tmp_path: Path, other: Entry) -> None:
    first, second = layer_bytes(TREE, mtime=1), layer_bytes((*TREE[:2], other, TREE[3]), mtime=1)
    one = _normal(docker_archive(tmp_path / "1.tar", config_of([first]), [first]))
    two = _normal(docker_archive(tmp_path / "2.tar", config_of([second]), [second]))
    assert one.id != two.id


def test_the_layout_of_the_archive_does_not_change_the_id(tmp_path: Path) -> None:
    layers = [layer_bytes(TREE, mtime=1), layer_bytes([Entry(name="etc", content=None)], mtime=1)]
    config = config_of(layers)
    images = [
        _normal(docker_archive(tmp_path / "docker.tar", config, layers)),
        _normal(oci_archive(tmp_path / "oci.tar", config, layers, compressed=False)),
        _normal(oci_archive(tmp_path / "gzip.tar", config, layers, compressed=True)),
        _normal(oci_archive(tmp_path / "attested.tar", config, layers, compressed=True, attested=True)),
    ]
    assert len(set(images)) == 1
    assert len(images[0].layers) == 2


def test_what_was_normalised_stays_as_it_is(tmp_path: Path) -> None:
    layer = layer_bytes(TREE, mtime=1)
    source = docker_archive(tmp_path / "1.tar", config_of([layer]), [layer])
    first = _normal(source, "dlpubuild/tf2:1")
    again = source.with_suffix(".out").rename(tmp_path / "2.tar")
    assert _normal(again, "dlpubuild/tf2:1") == first
    assert again.read_bytes() == again.with_suffix(".out").read_bytes()


def test_the_id_is_the_digest_of_the_written_configuration(tmp_path: Path) -> None:
    layer = layer_bytes(TREE, mtime=1)
    source = docker_archive(tmp_path / "1.tar", config_of([layer]), [layer])
    image = _normal(source, "dlpubuild/tf2:1", "registry.example:5000/tf2:x")
    with tarfile.open(source.with_suffix(".out")) as archive:
        (described,) = json.loads(_content(archive, "manifest.json"))
        assert described["RepoTags"] == ["dlpubuild/tf2:1", "registry.example:5000/tf2:x"]
        assert described["Config"] == image.id.replace("sha256:", "blobs/sha256/")
        for name in [described["Config"], *described["Layers"]]:
            assert hashlib.sha256(_content(archive, name)).hexdigest() == name.rpartition("/")[2]
        index = json.loads(_content(archive, "index.json"))
        named = [each["annotations"]["io.containerd.image.name"] for each in index["manifests"]]
        assert named == ["docker.io/dlpubuild/tf2:1", "registry.example:5000/tf2:x"]
        manifest = json.loads(_content(archive, index["manifests"][0]["digest"].replace("sha256:", "blobs/sha256/")))
        assert [layer["digest"] for layer in manifest["layers"]] == list(image.layers)


def test_the_configuration_keeps_what_a_container_is_made_from(tmp_path: Path) -> None:
    layers = [layer_bytes(TREE, mtime=1)] * 2
    config = config_of(
        layers,
        created="2026-01-01T00:00:00Z",
        container="0123",
        history=[{"created": "2026-01-01T00:00:00Z", "created_by": "COPY"}, {"empty_layer": True}],
        **{"moby.buildkit.buildinfo.v1": "e30="},
    )
    source = docker_archive(tmp_path / "1.tar", config, layers)
    image = _normal(source)
    assert _written(source) == {
        "architecture": "amd64",
        "os": "linux",
        "created": "1980-01-01T00:00:00Z",
        "config": {
            "Cmd": ["python"],
            "Env": ["PATH=/opt/tc/bin:/usr/bin:/bin"],
            "Labels": {"org.dlpubuild.image": "tf2"},
            "User": "65532:65532",
        },
        "history": [{"created": "1980-01-01T00:00:00Z", "created_by": "dlpubuild image build tf2"}] * 2,
        "rootfs": {"type": "layers", "diff_ids": list(image.layers)},
    }


def test_members_are_in_order_with_folders_before_what_is_in_them() -> None:
    members = _layer(
        Entry(name="a-b", content=b""), Entry(name="./a/", content=None), Entry(name="a/x"), Entry(name="a/b/c")
    )
    assert [member.name for member in members] == ["a", "a/b/c", "a/x", "a-b"]
    assert {member.mtime for member in members} == {315_532_800}


def test_of_several_names_of_a_file_the_first_has_the_content() -> None:
    orders = [
        (Entry(name="b", content=b"x", mode=0o600), Entry(name="a", link="b"), Entry(name="c", link="b")),
        (Entry(name="c", content=b"x", mode=0o600), Entry(name="b", link="c"), Entry(name="a", link="b")),
    ]
    for entries in orders:
        first, *others = _layer(*entries)
        assert (first.name, first.isreg(), first.size, first.mode) == ("a", True, 1, 0o600)
        assert [(other.name, other.islnk(), other.linkname) for other in others] == [("b", True, "a"), ("c", True, "a")]


def test_of_a_name_that_comes_twice_the_last_counts() -> None:
    (member,) = _layer(Entry(name="a", content=b"old"), Entry(name="a", content=b"newer"))
    assert member.size == 5


def test_extended_attributes_stay_and_other_extras_go() -> None:
    (member,) = _layer(Entry(name="ping", content=b"x", pax={**_CAPABILITY, "atime": "12.5", "LIBARCHIVE.x": "y"}))
    assert member.pax_headers == _CAPABILITY


def test_names_that_are_long_or_no_utf8_survive() -> None:
    names = ["a" * 300, "caf\udce9"]
    assert sorted(member.name for member in _layer(*(Entry(name=name) for name in names))) == sorted(names)


def test_equal_layers_are_written_once_and_named_twice(tmp_path: Path) -> None:
    layers = [layer_bytes(TREE, mtime=1)] * 2
    source = docker_archive(tmp_path / "1.tar", config_of(layers), layers)
    image = _normal(source)
    assert image.layers[0] == image.layers[1]
    with tarfile.open(source.with_suffix(".out")) as archive:
        assert archive.getnames().count(image.layers[0].replace("sha256:", "blobs/sha256/")) == 1


@pytest.mark.parametrize("images", [0, 2])
def test_an_archive_without_exactly_one_image_is_refused(tmp_path: Path, images: int) -> None:
    layer = layer_bytes(TREE, mtime=1)
    source = docker_archive(tmp_path / "1.tar", config_of([layer]), [layer], images=images)
    with pytest.raises(ToolchainError) as caught:
        _normal(source)
    assert caught.value.code is ErrorCode.IMAGE_BUILD
    assert f"{images} images" in caught.value.message


def test_a_layer_in_zstd_is_refused_with_what_to_do(tmp_path: Path) -> None:
    layer = b"\x28\xb5\x2f\xfd" + bytes(20)
    source = oci_archive(tmp_path / "1.tar", config_of([layer]), [layer], compressed=False)
    with pytest.raises(ToolchainError) as caught:
        _normal(source)
    assert caught.value.code is ErrorCode.IMAGE_BUILD
    assert "zstd" in caught.value.message


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    for number, entries in enumerate(
        ([Entry(name="a", link="b")], [Entry(name="a", link="b"), Entry(name="b", link="a")])
    ):
        layer = layer_bytes(entries, mtime=1)
        with pytest.raises(ToolchainError) as caught:
            _normal(docker_archive(tmp_path / f"{number}.tar", config_of([layer]), [layer]))
        assert caught.value.code is ErrorCode.IMAGE_BUILD


@settings(derandomize=True, database=None, deadline=None, max_examples=30)
@given(cut=st.integers(min_value=0, max_value=10_239))
def test_a_damaged_archive_is_refused_or_read_as_a_whole(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """An engine that dies while it saves leaves the beginning of an archive."""
    layer = layer_bytes(TREE, mtime=1)
    source = docker_archive(tmp_path_factory.mktemp("cut") / "1.tar", config_of([layer]), [layer])
    whole = source.read_bytes()
    source.write_bytes(whole[: min(cut, len(whole))])
    with pytest.raises(ToolchainError) as caught:
        _normal(source)
    assert caught.value.code is ErrorCode.IMAGE_BUILD
