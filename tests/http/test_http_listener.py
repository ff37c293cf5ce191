"""The server itself: protocols, the port, signals and stopping."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pyqwest
import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.protocol import ProtocolType
from flyteidl2.project import project_service_pb2 as project
from flyteidl2.project.project_service_connect import ProjectServiceClient
from flyteidl2.workflow import run_service_pb2 as run
from flyteidl2.workflow.run_service_connect import RunServiceClient

from tests.listening import listening
from tests.rpc.edge_services import Edge, running_edge
from wingbeat.errors import NotFound, StartError
from wingbeat.http.asgi import Receive, Scope, Send
from wingbeat.http.fence import Fence
from wingbeat.http.health import alive
from wingbeat.http.listener import Listener, Tls, bind

HTTP2 = pyqwest.HTTPVersion.HTTP2
HTTP1 = pyqwest.HTTPVersion.HTTP1
SECONDS = 10


@pytest.mark.parametrize(
    ("version", "protocol"),
    [
        (HTTP1, ProtocolType.CONNECT),
        (HTTP2, ProtocolType.CONNECT),
        (HTTP2, ProtocolType.GRPC),
        (HTTP1, ProtocolType.GRPC_WEB),
    ],
    ids=["Connect over HTTP/1.1", "Connect over HTTP/2", "gRPC over HTTP/2", "gRPC-Web over HTTP/1.1"],
)
async def test_unary_calls_errors_and_streams_work(version: pyqwest.HTTPVersion, protocol: ProtocolType) -> None:
    async with running_edge(Edge()) as edge:
        http = pyqwest.Client(pyqwest.HTTPTransport(http_version=version))
        projects = ProjectServiceClient(edge.address.url, protocol=protocol, http_client=http)
        answer = await projects.get_project(project.GetProjectRequest(id="p"))
        assert answer.project.id == "p"

        edge.projects.raises = NotFound("no project 'p'")
        with pytest.raises(ConnectError, match="no project 'p'") as raised:
            await projects.get_project(project.GetProjectRequest(id="p"))
        assert raised.value.code is Code.NOT_FOUND

        runs = RunServiceClient(edge.address.url, protocol=protocol, http_client=http)
        stream = runs.watch_runs(run.WatchRunsRequest(org="o"))
        assert await anext(stream) == run.WatchRunsResponse()
        edge.address.listener.stop()
        with pytest.raises(ConnectError) as ended:
            await anext(stream)
        assert ended.value.code is Code.UNAVAILABLE


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificates of this test")
    folder = tmp_path_factory.mktemp("tls")
    options = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out certificate.pem "
        "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
    )
    subprocess.run([openssl, *options.split()], cwd=folder, check=True, capture_output=True)
    return Tls(folder / "certificate.pem", folder / "key.pem")


async def test_tls_offers_http2(tls: Tls) -> None:
    versions: list[str] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        versions.append(f"{scope['scheme']} {scope['http_version']}")
        await alive(scope, receive, send)

    async with listening(note, tls=tls) as address:
        trusted = pyqwest.HTTPTransport(tls_ca_cert=tls.certificate.read_bytes())
        response = await pyqwest.Client(trusted).get(f"https://127.0.0.1:{address.port}")
    assert (response.status, versions) == (200, ["https 2"])


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = Tls(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with (
        bind("127.0.0.1", 0) as free,
        pytest.raises(StartError, match=r"cannot use the certificate .*certificate\.pem"),
    ):
        Listener(alive, free, grace_seconds=1, on_started=print, on_stopping=print, tls=missing)


async def test_http2_requests_pass_the_fence_by_their_authority() -> None:
    async with listening(Fence(alive)) as address:
        http = pyqwest.Client(pyqwest.HTTPTransport(http_version=HTTP2))
        assert (await http.get(address.url)).status == 200


async def test_an_http2_client_that_goes_away_ends_the_method() -> None:
    async with running_edge(Edge()) as edge, asyncio.timeout(SECONDS):
        http = pyqwest.Client(pyqwest.HTTPTransport(http_version=HTTP2))
        stream = RunServiceClient(edge.address.url, http_client=http).watch_runs(run.WatchRunsRequest(org="o"))
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        waiting.cancel()
        await edge.runs.closed.wait()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            bind("127.0.0.1", port)


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(StartError, match=r"^cannot listen on no-such-host\.invalid:80: "):
        bind("no-such-host.invalid", 80)


def test_accepted_connections_send_small_packets_at_once() -> None:
    """Else the second packet of an answer waits for the acknowledgement of the first: 40 ms for every call."""
    with bind("127.0.0.1", 0) as listening_socket, socket.create_connection(listening_socket.getsockname()):
        accepted, _ = listening_socket.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_ipv6_address_can_be_bound() -> None:
    with bind("::1", 0) as listening_socket:
        assert listening_socket.family is socket.AF_INET6


async def test_a_call_that_outlives_the_grace_is_cut_off() -> None:
    asked = asyncio.Event()

    async def endless(scope: object, receive: object, send: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with listening(endless, grace_seconds=1) as address, asyncio.timeout(SECONDS):
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await asked.wait()
        address.listener.stop()
        await address.served
        writer.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_stops_the_server_and_what_follows_still_runs(number: signal.Signals) -> None:
    program = textwrap.dedent(
        """
        import asyncio
        from wingbeat.http.health import alive
        from wingbeat.http.listener import Listener, bind, run

        async def main():
            await Listener(
                alive, bind("127.0.0.1", 0), grace_seconds=1,
                on_started=lambda: print("started", type(asyncio.get_running_loop()).__module__, flush=True),
                on_stopping=lambda: print("stopping", flush=True),
            ).serve()
            print("closed", flush=True)

        run(main())
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "started uvloop\n"
        os.kill(server.pid, number)
        assert server.stdout.read() == "stopping\nclosed\n"
    assert server.returncode == 0
