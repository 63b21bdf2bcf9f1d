"""One route in every version of HTTP on both legs: the same decisions, answers and records.

The route has a chain of plugins: a JWT verifier, API keys with quotas, and headers both ways. A client of
each version plays the same calls towards a backend of each version; what differs between the cells is
named where the table is made.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jwt
import pytest
import trio

from tests.conformance.tls.secure import authority
from tests.integration.backends import hypercorn
from tests.integration.clients import eventually
from tests.integration.gateways import HTTP3, HTTPS, declared_gateway, shown, trusted
from tests.integration.protocols.every_version import VERSIONS, client_of
from tests.integration.protocols.http3_backend import http3_backend
from tests.integration.protocols.test_http2_backends import application

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.integration.protocols.every_version import Client, Version
    from tests.integration.protocols.http2_client import Heard

pytestmark = pytest.mark.slow

PATIENCE_S: Final = 400
NG: Final = "cp:otoroshi.next.plugins."
SECRET: Final = "a secret that is long enough for the library, and then some more of it"
MEGABYTE: Final = b"0123456789abcdef" * 65_536
SPOKEN: Final = {"HTTP/1.1": "1.1", "HTTP/2.0": "2", "HTTP/3.0": "3"}
"""What a target's ``protocol`` is, and what its backend says that it heard."""

TOKEN: Final = jwt.encode({"iss": "table"}, SECRET, "HS256")
LIE: Final = jwt.encode({"iss": "table"}, SECRET[::-1], "HS256")
AS_ALWAYS: Final = {
    "x-token": TOKEN,
    "otoroshi-client-id": "good",
    "otoroshi-client-secret": "right",
}


class Call(NamedTuple):
    """What is asked, and what every cell must answer."""

    status: int
    message: str = ""
    """Of the gateway's own answers."""
    more: Mapping[str, str | None] = {}
    """Fields that differ from those of a good call; None for one that is not there."""
    method: str = "GET"
    body: bytes = b""
    host: str = ""
    """Another host than the route's."""


CALLS: Final[Mapping[str, Call]] = {
    "good": Call(200),
    "up-and-down": Call(200, method="POST", body=MEGABYTE),
    "bare": Call(200, method="HEAD"),
    "no-key": Call(400, "no apikey", {"otoroshi-client-id": None}),
    "unknown-key": Call(400, "invalid apikey tuple", {"otoroshi-client-id": "nobody"}),
    "wrong-secret": Call(401, "bad apikey", {"otoroshi-client-secret": "wrong"}),
    "disabled-key": Call(401, "bad apikey", {"otoroshi-client-id": "off"}),
    "no-token": Call(400, "error.expected.token.not.found", {"x-token": None}),
    "bad-token": Call(400, "error.bad.token", {"x-token": LIE}),
    "last-of-the-quota": Call(200, more={"otoroshi-client-id": "few"}),
    "over-the-quota": Call(429, "You performed too much requests", {"otoroshi-client-id": "few"}),
    "nowhere": Call(404, "no route found !", host="nowhere.table.test"),
}


def _key(client_id: str, **more: Any) -> dict[str, Any]:
    return {
        "clientId": client_id,
        "clientSecret": "right",
        "clientName": client_id,
        "authorizedEntities": ["group_default"],
        **more,
    }


def _cell(client: Version, protocol: str) -> str:
    return f"{client}-{SPOKEN[protocol]}"


def _configuration(ports: Mapping[str, int]) -> dict[str, Any]:
    """Declare the route once for each version of its backend, which is all that differs."""
    slots = [
        ("JwtVerification", {"verifiers": ["v"]}),
        ("ApikeyCalls", {"wipe_backend_request": True}),
        ("AdditionalHeadersIn", {"headers": {"x-said": "by ${apikey.id}"}}),
        ("AdditionalHeadersOut", {"headers": {"x-out": "yes"}}),
        ("RemoveHeadersOut", {"names": ["x-server", "server"]}),
    ]
    routes = [
        {
            "id": f"to-{SPOKEN[protocol][0]}",
            "name": "table",
            "frontend": {"domains": [f"to-{SPOKEN[protocol][0]}.table.test"]},
            "backend": {
                "targets": [
                    {
                        "hostname": "back.test",
                        "ip_address": "127.0.0.1",
                        "port": port,
                        "tls": protocol == "HTTP/3.0",
                        "protocol": protocol,
                    }
                ]
            },
            "plugins": [{"plugin": NG + name, "config": config} for name, config in slots],
        }
        for protocol, port in ports.items()
    ]
    verifier: dict[str, Any] = {
        "id": "v",
        "name": "v",
        "enabled": True,
        "strict": True,
        "source": {"type": "InHeader", "name": "x-token", "remove": ""},
        "algoSettings": {"type": "HSAlgoSettings", "size": 256, "secret": SECRET},
        "strategy": {"type": "PassThrough", "verificationSettings": {}},
    }
    few = [
        _key(f"few-{_cell(client, protocol)}", dailyQuota=1)
        for client in VERSIONS
        for protocol in ports
    ]
    return {
        "certificates": [shown("*.table.test"), trusted()],
        "apikeys": [_key("good"), _key("off", enabled=False), *few],
        "jwt-verifiers": [verifier],
        "routes": routes,
    }


def _told(heard: Heard) -> dict[str, str]:
    """What a client sees of the gateway's decision."""
    fields = {name.decode().lower(): value.decode() for name, value in heard.fields}
    names = ("otoroshi-error", "otoroshi-error-msg", "x-out", "x-heard", "x-server", "server")
    return {name: fields[name] for name in names if name in fields}


def _faults(name: str, call: Call, cell: str, protocol: str, heard: Heard) -> list[object]:
    """Return what is not as the table says."""
    told = _told(heard)
    found: list[object] = []
    if heard.status != call.status or heard.reset is not None:
        found.append((heard.status, heard.reset, told))
    if call.status == 200:
        key = f"few-{cell}" if "few" in call.more.values() else "good"
        if told != {"x-out": "yes", "x-heard": f"by {key}"}:
            found.append(told)
        spoken = dict(heard.fields).get(b"x-version")
        if spoken != SPOKEN[protocol].encode() or heard.body != call.body:
            found.append((spoken, len(heard.body)))
    elif "x-heard" in told or told.get("otoroshi-error-msg", "") != call.message:
        found.append(told)
    return [(name, *found)] if found else []


def _fields(call: Call, cell: str) -> list[tuple[str, str]]:
    """Return what a call's head has besides its method, host and path."""
    fields = {**AS_ALWAYS, **call.more}
    if fields["otoroshi-client-id"] == "few":
        fields["otoroshi-client-id"] = f"few-{cell}"
    if call.body:
        fields["content-length"] = str(len(call.body))
    return [(name, value) for name, value in fields.items() if value is not None]


def _record(cell: str, name: str, call: Call, ports: Mapping[str, int]) -> dict[str, object]:
    """Return what the access log must have of a call, but for times, its id and the size of the answer."""
    number = cell.rpartition("-")[2][0]
    (port,) = [port for protocol, port in ports.items() if SPOKEN[protocol][0] == number]
    is_passed_on = call.status == 200
    key = f"few-{cell}" if "few" in call.more.values() else "good"
    return {
        "ip": "127.0.0.1",
        "method": call.method,
        "host": call.host or f"to-{number}.table.test",
        "path": f"/{cell}/{name}",
        "status": call.status,
        "bytes_in": len(call.body),
        "route": None if call.host else f"to-{number}",
        "target": f"127.0.0.1:{port}" if is_passed_on else None,
        "attempts": int(is_passed_on),
        "local": not is_passed_on,
        "apikey": key if is_passed_on else None,
    }


async def _play(client: Client, version: Version, protocol: str) -> list[object]:
    """Play all calls of a cell; return what is not as the table says."""
    cell = _cell(version, protocol)
    wrong: list[object] = []
    for name, call in CALLS.items():
        host = call.host or f"to-{SPOKEN[protocol][0]}.table.test"
        path, fields = f"/{cell}/{name}", _fields(call, cell)
        if call.body:
            heard = await client.ask(call.method, host, path, *fields, body=call.body)
        else:
            heard = await client.ask(call.method, host, path, *fields)
        wrong += _faults(name, call, cell, protocol, heard)
    if protocol == "HTTP/3.0":
        # The other backend cannot say trailers.
        fields = [("te", "trailers"), *_fields(CALLS["good"], cell)]
        heard = await client.ask("GET", "to-3.table.test", "/trailers", *fields)
        if (b"grpc-status", b"0") not in heard.trailers or _told(heard) != {"x-out": "yes"}:
            wrong.append(("trailers", heard))
    return wrong


async def test_one_route_decides_the_same_in_every_version_on_both_legs(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    wrong: dict[str, list[object]] = {}
    wanted: list[dict[str, object]] = []
    records: list[dict[str, object]] = []
    leaf = authority().issue_cert("back.test")

    async def is_written() -> bool:
        text = log.read_text()
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        records[:] = [line for line in lines if line["path"] != "/trailers"]
        return len(records) >= len(wanted)

    with trio.fail_after(PATIENCE_S):
        async with hypercorn(application) as tcp, http3_backend(leaf) as quic:
            ports = {"HTTP/1.1": tcp, "HTTP/2.0": tcp, "HTTP/3.0": quic.port}
            options = (*HTTPS, *HTTP3, "--access-log", str(log))
            async with declared_gateway(_configuration(ports), tmp_path, *options) as gateway:
                for version in VERSIONS:
                    async with client_of(gateway, version, "to-1.table.test") as client:
                        for protocol in ports:
                            cell = _cell(version, protocol)
                            wrong[cell] = await _play(client, version, protocol)
                            wanted += [_record(cell, *of, ports) for of in CALLS.items()]
                await eventually(is_written)
    assert not any(wrong.values()), "\n".join(f"{cell}: {f}" for cell, f in wrong.items() if f)
    found = [{name: record[name] for name in wanted[0]} for record in records]
    assert sorted(found, key=str) == sorted(wanted, key=str)
