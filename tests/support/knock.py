"""Knocks at Ray's doors, as a stranger would: `python tests/support/knock.py ADDRESS TOKEN PORT…` on one of the hosts.

Every port is tried as HTTP and as gRPC, with methods of each of Ray's services; TOKEN is sent unless it is `none`.
Prints what each port said as JSON, by port, a list of
    refused     the door wants a (better) token
    open        the method was carried out, or its arguments were looked at
    metrics     a page of figures for Prometheus
    nothing     no such service behind this door
    closed      nobody listens there for this address
"""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import grpc

SECONDS = 10
PAGES = {  # and what is posted there; None: it is only looked at
    "/api/version": None,
    "/api/jobs/": None,
    "/api/job_agent/jobs/": b"{}",
    "/get_or_create_runtime_env": b"",
    "/metrics": None,
}
METHODS = (  # of every service that Ray 2.60 serves; their requests are empty, which asks for nothing that harms
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.InternalKVGcsService/GetInternalConfig",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ReporterService/GetTraceback",
    "/ray.rpc.LogService/ListLogs",
    "/ray.rpc.RayletDriver/ClusterInfo",
)
STRANGERS_METHODS = (  # an empty request could be too much for one who is let in
    "/ray.rpc.CoreWorkerService/PushTask",
    "/ray.rpc.ObjectManagerService/Push",
    "/ray.rpc.NodeManagerService/RequestWorkerLease",
)


def knock(address: str, port: int, token: str | None, *, stranger: bool) -> list[str]:
    """What one port says to every knock."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    said = [page(f"http://{address}:{port}{path}", headers, data) for path, data in PAGES.items()]
    with grpc.insecure_channel(f"{address}:{port}") as channel:
        for method in METHODS + (STRANGERS_METHODS if stranger else ()):
            said.append(call(channel, method, [(key.lower(), value) for key, value in headers.items()]))
    return sorted(set(said))


def page(url: str, headers: dict[str, str], data: bytes | None) -> str:
    """What a web server says."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=SECONDS) as answer:
            return "metrics" if answer.read().startswith(b"# HELP") else "open"
    except urllib.error.HTTPError as error:
        return {401: "refused", 403: "refused", 404: "nothing", 405: "nothing"}.get(error.code, "open")
    except urllib.error.URLError as error:
        return "closed" if isinstance(error.reason, ConnectionRefusedError) else "nothing"
    except (OSError, http.client.HTTPException):
        return "nothing"  # what is spoken there is not HTTP


def call(channel: grpc.Channel, method: str, metadata: list[tuple[str, str]]) -> str:
    """What a gRPC server says to an empty request."""
    ask = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    try:
        ask(b"", timeout=SECONDS, metadata=metadata)
    except grpc.RpcError as error:
        words = {"UNAUTHENTICATED": "refused", "UNIMPLEMENTED": "nothing", "UNAVAILABLE": "nothing"}
        return words.get(error.code().name, "open")
    return "open"


if __name__ == "__main__":
    host, given, *ports = sys.argv[1:]
    right = given == Path("~/.ray/auth_token").expanduser().read_text().strip()
    word = None if given == "none" else given
    sys.stdout.write(json.dumps({port: knock(host, int(port), word, stranger=not right) for port in ports}))
