"""Names of images, and what an engine that is asked about images answers; the double answers what no real one would."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from dlpubuild.containers.connect import Connection
from dlpubuild.containers.images import find_image, image_name, list_images, remove_image
from dlpubuild.containers.references import Reference, parse_pinned, parse_tagged, qualified
from dlpubuild.containers.transfer import pull_image, push_image
from dlpubuild.errors import EngineMissingError, ErrorCode, InterruptedBuildError, ToolchainError, UsageError
from tests.doubles.engine import engine_double, healthy, reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIGEST = f"sha256:{'ab' * 32}"
ID = f"sha256:{'cd' * 32}"
REFERENCE = Reference("registry.example/tf2", DIGEST)
DOCUMENT = {
    "Id": ID,
    "RepoTags": ["b:1", "a:1"],
    "RepoDigests": [f"a@{DIGEST}"],
    "Config": {"Labels": {"org.dlpubuild.image": "tf2"}},
    "Size": 7,
    "Created": "1980-01-01T00:00:00Z",
    "RootFS": {"Layers": ["sha256:1"]},
}


@pytest.fixture
def connected() -> Iterator[Callable[[dict[str, bytes | None]], Connection]]:
    """Return a function that connects to an engine with these replies beside those of a healthy one."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def connect(replies: dict[str, bytes | None]) -> Connection:
            engine = stack.enter_context(engine_double({**healthy(), **replies}))
            return stack.enter_context(Connection(engine.address, {}))

        yield connect


def _events(*events: object) -> bytes:
    return reply(b"".join(json.dumps(event).encode() + b"\r\n" for event in events))


@pytest.mark.parametrize(
    ("text", "repository"),
    [
        ("tf2", "tf2"),
        ("registry.example:5000/team/tf2", "registry.example:5000/team/tf2"),
        ("registry.example/team/tf2:1.0", "registry.example/team/tf2"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000/x"),
    ],
)
def test_a_reference_is_a_repository_and_a_digest(text: str, repository: str) -> None:
    assert str(parse_pinned(f"{text}@{DIGEST}")) == f"{repository}@{DIGEST}"


@pytest.mark.parametrize("text", ["tf2", "registry.example/tf2:latest", "registry.example:5000/tf2"])
def test_a_floating_tag_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pinned(text)
    assert caught.value.code is ErrorCode.USAGE
    assert "names no digest" in caught.value.message
    assert "@sha256:" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "Tf2@" + DIGEST, "a b", "tf2@sha256:12", "tf2@" + DIGEST + "0", "https://x/y", "-x"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pinned(text)
    assert caught.value.code is ErrorCode.USAGE


def test_a_repository_to_push_to_may_have_a_tag() -> None:
    assert parse_tagged("registry.example:5000/tf2", "0.1.0") == ("registry.example:5000/tf2", "0.1.0")
    assert parse_tagged("registry.example/tf2:x", "0.1.0") == ("registry.example/tf2", "x")
    for text in (f"tf2@{DIGEST}", "TF2", ""):
        with pytest.raises(UsageError):
            parse_tagged(text, "0.1.0")


def test_names_of_docker_hub_are_completed() -> None:
    assert qualified("tf2:1") == "docker.io/library/tf2:1"
    assert qualified("dlpubuild/tf2:1") == "docker.io/dlpubuild/tf2:1"
    assert qualified("registry.example/tf2:1") == "registry.example/tf2:1"
    assert qualified("localhost/tf2:1") == "localhost/tf2:1"
    assert qualified("host:5000/tf2:1") == "host:5000/tf2:1"


def test_the_name_of_an_image_of_the_tools() -> None:
    assert image_name("tf2", "1.2.3") == "dlpubuild/tf2:1.2.3"


def test_an_image_is_what_the_engine_says_sorted(connected: Callable[..., Connection]) -> None:
    image = find_image(connected({"/images/a:1/json": reply(DOCUMENT)}), "a:1")
    assert image is not None
    assert (image.id, image.tags, image.references) == (ID, ("a:1", "b:1"), (f"a@{DIGEST}",))
    assert (image.labels, image.size_bytes, image.layers) == ({"org.dlpubuild.image": "tf2"}, 7, ("sha256:1",))


def test_an_image_that_is_not_there_is_none(connected: Callable[..., Connection]) -> None:
    assert find_image(connected({}), "a:1") is None


def test_an_image_without_names_and_labels_has_none(connected: Callable[..., Connection]) -> None:
    bare = {"Id": ID, "RepoTags": None, "RepoDigests": None, "Config": {"Labels": None}}
    image = find_image(connected({f"/images/{ID}/json": reply(bare)}), ID)
    assert image is not None
    assert (image.tags, image.references, image.labels, image.layers) == ((), (), {}, ())


def test_images_that_vanish_while_they_are_listed_are_left_out(connected: Callable[..., Connection]) -> None:
    listed = [{"Id": ID}, {"Id": "sha256:gone"}]
    connection = connected({"/images/json": reply(listed), f"/images/{ID}/json": reply(DOCUMENT)})
    assert [image.id for image in list_images(connection)] == [ID]


def test_an_image_in_use_stays_with_the_reason(connected: Callable[..., Connection]) -> None:
    message = {"message": "image is being used by running container 0123"}
    assert "0123" in remove_image(connected({"/images/a:1": reply(message, status="409 Conflict")}), "a:1")
    assert remove_image(connected({}), "a:1") == ""


def test_an_engine_that_fails_is_told_as_such(connected: Callable[..., Connection]) -> None:
    failing = reply({"message": "disk on fire"}, status="500 Internal Server Error")
    for act in (lambda c: find_image(c, "a:1"), lambda c: remove_image(c, "a:1")):
        with pytest.raises(EngineMissingError) as caught:
            act(connected({"/images/a:1/json": failing, "/images/a:1": failing}))
        assert caught.value.code is ErrorCode.ENGINE
        assert "disk on fire" in caught.value.message


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("pull access denied for registry.example/tf2, repository does not exist", "docker login"),
        ("unauthorized: authentication required", "docker login"),
        ("manifest unknown: manifest unknown", "under that digest"),
        ("x509: certificate signed by unknown authority", "certs.d"),
        ("http: server gave HTTP response to HTTPS client", "insecure-registries"),
        ("dial tcp: lookup registry.example: no such host", "cannot reach"),
        ("toomanyrequests: You have reached your pull rate limit", "mirror"),
        ("write /var/lib/docker/tmp/x: no space left on device", "docker system df"),
        ("something else", "log"),
    ],
)
def test_a_pull_that_fails_says_what_the_registry_said(
    connected: Callable[..., Connection], said: str, hint: str
) -> None:
    # Before its stream an engine answers with a status, within it with an event.
    within = _events({"status": "Pulling", "id": "1"}, {"errorDetail": {"message": said}, "error": said})
    for answer in (within, reply({"message": said}, status="404 Not Found")):
        with pytest.raises(ToolchainError) as caught:
            pull_image(
                connected({"/images/create": answer}), REFERENCE, say=lambda _: None, cancelled=threading.Event()
            )
        assert caught.value.code is ErrorCode.IMAGE_TRANSFER
        assert caught.value.message == f"{REFERENCE} cannot be pulled: {said}"
        assert hint in caught.value.hint


def test_a_pull_that_is_interrupted_ends_while_the_engine_says_nothing(connected: Callable[..., Connection]) -> None:
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(InterruptedBuildError):
        pull_image(connected({"/images/create": None}), REFERENCE, say=lambda _: None, cancelled=cancelled)


def test_a_push_gives_the_digest_that_the_registry_gave(connected: Callable[..., Connection]) -> None:
    events = _events(
        {"status": "Pushing", "id": "1", "progressDetail": {"current": 1, "total": 2}},
        {"status": "1.0: digest"},
        {"progressDetail": {}, "aux": {"Tag": "1.0", "Digest": DIGEST, "Size": 528}},
    )
    replies = {f"/images/{ID}/tag": reply(b"", status="201 Created"), "/images/registry.example/tf2/push": events}
    digest = push_image(
        connected(replies), ID, "registry.example/tf2", "1.0", say=lambda _: None, cancelled=threading.Event()
    )
    assert digest == DIGEST


def test_a_push_without_a_digest_is_no_success(connected: Callable[..., Connection]) -> None:
    tagged = reply(b"", status="201 Created")
    replies = {f"/images/{ID}/tag": tagged, "/images/registry.example/tf2/push": _events({"status": "done"})}
    with pytest.raises(ToolchainError) as caught:
        push_image(
            connected(replies), ID, "registry.example/tf2", "1.0", say=lambda _: None, cancelled=threading.Event()
        )
    assert caught.value.code is ErrorCode.IMAGE_TRANSFER


def test_what_is_not_there_cannot_be_pushed(connected: Callable[..., Connection]) -> None:
    with pytest.raises(ToolchainError) as caught:
        push_image(connected({}), ID, "registry.example/tf2", "1.0", say=lambda _: None, cancelled=threading.Event())
    assert caught.value.code is ErrorCode.IMAGE_MISSING
