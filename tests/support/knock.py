"""Send requests to Ray's ports, as a client would: `python tests/support/knock.py ADDRESS TOKEN PORT…` on a host.

Every port is tried as HTTP and as gRPC, with methods of each of Ray's services; TOKEN is sent unless it is `none`.
Prints what each port answers as JSON, by port, a list of
    refused     the port requires a (valid) token
    open        the method ran, or its arguments were parsed
    metrics     a page of figures for Prometheus
    nothing     no such service on this port
    closed      nothing listens there for this address
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
PAGES = {  # path → body of a POST; None: a GET
    "/api/version": None,
    "/api/jobs/": None,
    "/api/job_agent/jobs/": b"{}",
    "/get_or_create_runtime_env": b"",
    "/metrics": None,
}
METHODS = (  # of every service that Ray 2.60 serves; their requests are empty, which changes nothing
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.InternalKVGcsService/GetInternalConfig",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ReporterService/GetTraceback",
    "/ray.rpc.LogService/ListLogs",
    "/ray.rpc.RayletDriver/ClusterInfo",
)
METHODS_WITHOUT_TOKEN = (  # an empty request could crash a server that accepts it
    "/ray.rpc.CoreWorkerService/PushTask",
    "/ray.rpc.ObjectManagerService/Push",
    "/ray.rpc.NodeManagerService/RequestWorkerLease",
)


def knock(address: str, port: int, token: str | None, *, without_token: bool) -> list[str]:
    """Return every kind of answer of one port, sorted."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answers = [page(f"http://{address}:{port}{path}", headers, data) for path, data in PAGES.items()]
    with grpc.insecure_channel(f"{address}:{port}") as channel:
        for method in METHODS + (METHODS_WITHOUT_TOKEN if without_token else ()):
            answers.append(call(channel, method, [(key.lower(), value) for key, value in headers.items()]))
    return sorted(set(answers))


def page(url: str, headers: dict[str, str], data: bytes | None) -> str:
    """Return the kind of answer to an HTTP request."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=SECONDS) as answer:
            return "metrics" if answer.read().startswith(b"# HELP") else "open"
    except urllib.error.HTTPError as error:
        return {401: "refused", 403: "refused", 404: "nothing", 405: "nothing"}.get(error.code, "open")
    except urllib.error.URLError as error:
        return "closed" if isinstance(error.reason, ConnectionRefusedError) else "nothing"
    except (OSError, http.client.HTTPException):
        return "nothing"  # the port does not speak HTTP


def call(channel: grpc.Channel, method: str, metadata: list[tuple[str, str]]) -> str:
    """Return the kind of answer to an empty gRPC request."""
    ask = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    try:
        ask(b"", timeout=SECONDS, metadata=metadata)
    except grpc.RpcError as error:
        kinds = {"UNAUTHENTICATED": "refused", "UNIMPLEMENTED": "nothing", "UNAVAILABLE": "nothing"}
        return kinds.get(error.code().name, "open")
    return "open"


if __name__ == "__main__":
    host, given, *ports = sys.argv[1:]
    right = given == Path("~/.ray/auth_token").expanduser().read_text().strip()
    token = None if given == "none" else given
    sys.stdout.write(json.dumps({port: knock(host, int(port), token, without_token=not right) for port in ports}))
