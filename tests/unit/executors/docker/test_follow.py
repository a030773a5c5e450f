"""Following a container on an engine that is not well; with one that is, the integration tests do."""

from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.containers.connect import Connection
from dlpubuild.errors import EngineMissingError, ErrorCode, InterruptedBuildError
from dlpubuild.executors.docker.calls import Calls, created
from dlpubuild.executors.docker.follow import Attachment, follow
from dlpubuild.executors.watching import Output
from tests.doubles.engine import engine_double, healthy, reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.executors.docker.calls import State

ENDED = {"State": {"Running": False, "ExitCode": 3, "OOMKilled": False}}
RUNNING = {"State": {"Running": True, "ExitCode": 0, "OOMKilled": False}}


def frame(stream: int, content: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


def stream(*frames: bytes) -> bytes:
    """An answer to an attach request, which the engine ends by closing the connection."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
    return head + b"".join(frames)


def run(replies: Mapping[str, bytes | None], *, log: io.BytesIO | None = None, cancel_s: float = 20) -> State:
    """Attach to a container and follow it on an engine that answers with `replies`."""
    until = time.monotonic() + cancel_s

    def check() -> None:
        if time.monotonic() > until:
            raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")

    with engine_double({**healthy(), **replies}) as engine, Connection(engine.address, {}) as connection:
        calls = Calls(connection)
        with Attachment() as attachment:
            attachment.open(calls, "c", check)
            output = Output(log=log or io.BytesIO(), observe=lambda _: None)
            return follow(calls, "c", attachment, output, check, look_s=0.05)


def replies(attach: bytes | None, inspect: Any) -> dict[str, bytes | None]:
    said = inspect if isinstance(inspect, bytes) or inspect is None else reply(inspect)
    return {"/containers/c/attach": attach, "/containers/c/json": said}


def test_both_streams_reach_the_log_in_order() -> None:
    log = io.BytesIO()
    frames = (frame(1, b"out\n"), frame(2, b"err\n"), frame(1, b""), frame(1, b"x" * 200_000))
    state = run(replies(stream(*frames), ENDED), log=log)
    assert state.exit_code == 3
    assert log.getvalue() == b"out\nerr\n" + b"x" * 200_000


@pytest.mark.parametrize("rest", [b"\x01\0\0", frame(1, b"cut off")[:-3]], ids=["head", "content"])
def test_a_stream_that_breaks_midway_ends_and_the_engine_says_how(rest: bytes) -> None:
    log = io.BytesIO()
    assert run(replies(stream(frame(1, b"whole\n"), rest), ENDED), log=log).exit_code == 3
    assert log.getvalue().startswith(b"whole\n")


def test_an_engine_that_goes_away_with_the_stream_is_lost() -> None:
    broken = reply(ENDED, length=5000)
    with pytest.raises(EngineMissingError) as caught:
        run(replies(stream(frame(1, b"so far\n")), broken))
    assert caught.value.code is ErrorCode.ENGINE_LOST


def test_a_container_that_is_not_known_any_more_is_lost() -> None:
    gone = reply({"message": "No such container: c"}, status="404 Not Found")
    with pytest.raises(EngineMissingError) as caught:
        run(replies(stream(), gone))
    assert caught.value.code is ErrorCode.ENGINE_LOST


def test_a_container_that_runs_on_after_its_output_ended_can_be_cancelled() -> None:
    with pytest.raises(InterruptedBuildError):
        run(replies(stream(), RUNNING), cancel_s=0.3)


def test_an_engine_that_does_not_answer_an_attach_can_be_cancelled() -> None:
    with pytest.raises(InterruptedBuildError):
        run(replies(None, RUNNING), cancel_s=0.3)


def test_an_attach_that_is_refused_is_told() -> None:
    with pytest.raises(EngineMissingError) as caught:
        run(replies(reply({"message": "no"}, status="500 Error"), RUNNING))
    assert "refused to attach" in caught.value.message


def test_output_that_never_ends_does_not_keep_a_container_that_has() -> None:
    with engine_double({**healthy(), **replies(None, ENDED)}) as engine, Connection(engine.address, {}) as connection:
        output = Output(log=io.BytesIO(), observe=lambda _: None)
        state = follow(Calls(connection), "c", Attachment(), output, lambda: None, look_s=0.05)
    assert state.exit_code == 3


def test_a_container_whose_creation_was_not_answered_is_looked_for_and_removed() -> None:
    told = {
        "/containers/create": reply({"Id": "c"}, status="201 Created", length=500),
        "/containers/json": reply([{"Id": "found", "Labels": {"x": "y"}}]),
        "/containers/found": reply(b"", status="204 No Content"),
    }
    with engine_double({**healthy(), **told}) as engine, Connection(engine.address, {}) as connection:
        with (
            pytest.raises(EngineMissingError),
            created(Calls(connection), {"Image": "i", "Labels": {"x": "y"}}),
        ):
            pytest.fail("there is no container")
        asked = [line.split()[:2] for line in engine.asked]
    assert [line for line in asked if line[0] == "DELETE"] == [
        ["DELETE", "/v1.41/containers/found?v=True&link=False&force=True"]
    ]


def test_no_thread_stays() -> None:
    before = threading.active_count()
    run(replies(stream(frame(1, b"x")), ENDED))
    assert threading.active_count() == before
