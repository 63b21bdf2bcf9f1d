"""Secrets of every kind, planted in a whole gateway, and looked for wherever a gateway tells something.

Each kind has a text of its own, so that a leak says which it is. What a client has a right to see, the backend's own
answer and the entities that an administrator reads, is not looked at.
"""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import GatewayEndedError, gateway_process
from tests.integration.clients import GUARD_S, admin, eventually, route
from tests.integration.events import EXPORTERS, events_in, exporter
from tests.integration.plugins.api_keys import METHODS, Shown, basic, bearer, key, protected, token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

KEYS = "/apis/apim.otoroshi.io/v1/apikeys"
ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
VERIFIERS = "/apis/security.otoroshi.io/v1/jwt-verifiers"
APPLIED = {"wait": "applied"}

SECRET = "planted-key?secret?1"
"""Its base64 has a slash for most clients, so that the URL-safe form is another one."""
NEXT = "planted-next-secret"
WRONG = "planted-wrong-secret"
ACCESS_TOKEN = "planted-access-token"

FAULTY = '''\
"""Fails, and says what it was given."""
from oto_trio.plugin_api import Exchange, Plugin


class Faulty(Plugin):
    """Fail."""
    id = "cp:test.Faulty"
    name = "Faulty"
    description = "Fails with the request's credentials in its exception."
    categories = ("Other",)

    def access(self, exchange: Exchange) -> None:
        raise ValueError(f"cannot read {exchange.request.headers.get('Authorization')!r}, try again")
'''


def forms(secret: str) -> set[str]:
    """Return a text as it is, and what it looks like in base64 at each offset."""
    found = {secret}
    for before in ("", "x", "xx"):
        data = (before + secret).encode()
        for encode in (b64encode, urlsafe_b64encode):
            # Characters at the ends depend on what stands beside the secret.
            found.add(encode(data).decode()[4 * bool(before) : len(data) // 3 * 4])
    return found


def look_for(secrets: Iterable[str], places: dict[str, str]) -> None:
    """Fail for each form of a secret in a place."""
    marks = {mark for secret in secrets for mark in forms(secret)}
    found = [
        (place, mark, text[max(text.find(mark) - 200, 0) : text.find(mark) + 80])
        for place, text in places.items()
        for mark in marks
        if mark in text
    ]
    assert not found


def escaped(text: str) -> str:
    """Escape every character of a text for a URL."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def plugin(name: str, **config: Any) -> dict[str, Any]:
    return {"plugin": f"cp:otoroshi.next.plugins.{name}", "config": config}


ODD = {
    "basic": {"header_name": "X-One", "query_name": "one", "path_name": "one"},
    "custom_headers": {"client_id_header_name": "X-Id", "client_secret_header_name": "X-Two"},
    "jwt": {"header_name": "X-Three", "query_name": "three"},
    "oto_bearer": {"header_name": "X-Four", "query_name": "four"},
}
"""Names that say nothing."""

ODD_METHODS: dict[str, Callable[[str, str], Shown]] = {
    "basic header": lambda c, s: Shown(headers={"X-One": basic(c, s)}),
    "basic header with its scheme": lambda c, s: Shown(headers={"X-One": f"Basic {basic(c, s)}"}),
    "basic query": lambda c, s: Shown(f"one={basic(c, s)}"),
    "basic query, escaped": lambda c, s: Shown(f"one={escaped(basic(c, s))}"),
    "custom headers": lambda c, s: Shown(headers={"X-Id": c, "X-Two": s}),
    "jwt header": lambda c, s: Shown(headers={"X-Three": token(c, s)}),
    "jwt query, escaped": lambda c, s: Shown(f"three={escaped(token(c, s))}"),
    "own token": lambda c, s: Shown(headers={"X-Four": bearer(c, s)}),
    "own token in the query": lambda c, s: Shown(f"four={bearer(c, s)}"),
}


@pytest.mark.parametrize("exports", [True, False], ids=["exported", "not exported"])
async def test_no_key_is_told_right_or_wrong_wherever_it_stands(
    tmp_path: Path, upstream: Upstream, exports: bool
) -> None:
    path, log = tmp_path / "events.log", tmp_path / "access.log"
    errors: list[str] = []
    with trio.fail_after(6 * GUARD_S):
        async with (
            gateway_process(
                "--workers", "1", "--access-log", str(log), data=tmp_path / "data"
            ) as gateway,
            admin(gateway) as api,
            httpx.AsyncClient(base_url=gateway.http, timeout=GUARD_S) as client,
        ):
            in_path = protected("path", upstream.url, extractors=ODD)
            in_path["frontend"]["domains"] = ["path.test/api/:one"]
            for where, document in [
                *[(KEYS, key(name, SECRET, enabled=name != "off")) for name in ("good", "off")],
                (KEYS, key("rotating", SECRET, rotation={"enabled": True, "nextSecret": NEXT})),
                (ROUTES, protected("odd", upstream.url, extractors=ODD)),
                (ROUTES, protected("usual", upstream.url)),
                (ROUTES, in_path),
                *([(EXPORTERS, exporter("e", config={"path": str(path)}))] if exports else []),
            ]:
                made = await api.post(where, json=document, params=APPLIED)
                assert made.status_code == 201, made.text

            async def ask(host: str, shown: Shown, at: str = "/a") -> int:
                headers = {"Host": f"{host}.test", "Accept": "application/json", **shown.headers}
                answer = await client.get(f"{at}?{shown.query}", headers=headers)
                if answer.status_code >= 400:
                    errors.append(answer.text + str(answer.headers))
                return answer.status_code

            async def is_told() -> bool:
                await client.get("/", headers={"Host": "warm.test"})
                told = any(event["@type"] == "GatewayEvent" for event in events_in(path))
                return log.exists() and (told or not exports)

            await eventually(is_told)
            for host, methods in (("odd", ODD_METHODS), ("usual", METHODS)):
                for name, show in methods.items():
                    assert await ask(host, show("good", SECRET)) == 200, name
                    await ask(host, show("rotating", NEXT))
                    await ask(host, show("off", SECRET))
                    await ask(host, show("good", WRONG))
                    await ask(host, show("nobody", WRONG))
            for secret in (SECRET, WRONG):
                shown = basic("good", secret).rstrip("=").replace("+", "-").replace("/", "_")
                await ask("path", Shown(), f"/api/{shown}/a")
                await ask("path", Shown(), f"/api/{escaped(shown)}/a")
            assert await ask("usual", Shown(), "/last") == 400

            async def is_over() -> bool:
                text = log.read_text()
                return "/last" in text and (not exports or "/last" in path.read_text())

            await eventually(is_over)
            listed = (await api.get("/api/alert/events")).text
            assert "RevokedApiKeyUsageAlert" in listed
            metrics = (await api.get("/metrics", params={"format": "prometheus"})).text
            assert "otoroshi_access_log_batches_dropped 0" in metrics
            assert "otoroshi_alerts_dropped" in metrics
            audits = (await api.get("/api/audit/events")).text
        own = json.dumps(gateway.log)
    assert ("RevokedApiKeyUsageAlert" in own) is not exports, "alerts are logged if not exported"
    assert len(errors) > len(METHODS)
    places = {
        "events": path.read_text() if exports else "",
        "access log": log.read_text(),
        "alerts": listed,
        "audit": audits,
        "metrics": metrics,
        "log": own,
        "answers": "".join(errors),
    }
    look_for([SECRET, NEXT, WRONG, "good:planted"], places)
    for place, text in places.items():
        assert "otoapk_" not in text, place
        assert "eyJ" not in text, place


async def test_no_secret_of_a_configuration_is_told_while_it_is_used(
    tmp_path: Path, upstream: Upstream
) -> None:
    data, path, log = tmp_path / "data", tmp_path / "events.log", tmp_path / "access.log"
    (data / "plugins").mkdir(parents=True)
    (data / "plugins" / "faulty.py").write_text(FAULTY)

    def answer(head: bytes) -> tuple[int, bytes]:
        if head.startswith(b"POST /token"):
            return 200, json.dumps({"access_token": ACCESS_TOKEN, "expires_in": 60}).encode()
        if head.startswith(b"POST /broken"):
            return 500, b"{}"
        return 200, b"ok"

    upstream.answer = answer
    secret = {name: f"planted-{name}-secret" for name in SECRETS}
    algorithm = {
        "type": "HSAlgoSettings",
        "size": 256,
        "secret": secret["exchange"],
        "base64": False,
    }
    slots = {
        "basic": [
            plugin(
                "BasicAuthCaller",
                username="u",
                password=secret["basic"],
                headerName="X-Odd",
                headerValueFormat="Odd %s",
            )
        ],
        "oauth": [
            plugin(
                "OAuth2Caller",
                url=f"{upstream.url}/token",
                clientId="c",
                clientSecret=secret["oauth"],
                headerName="X-Odd",
                headerValueFormat="%s",
            )
        ],
        "broken": [
            plugin("OAuth2Caller", url=f"{upstream.url}/broken", clientSecret=secret["oauth"])
        ],
        "hmac": [plugin("HMACValidator", secret=secret["hmac"])],
        "caller": [plugin("HMACCaller", secret=secret["hmac"], authorizationHeader="X-Odd")],
        "challenge": [
            plugin("OtoroshiChallenge", algo_to_backend=algorithm, algo_from_backend=algorithm)
        ],
        "infos": [plugin("OtoroshiInfos", algo=algorithm, header_name="X-Odd")],
        "users": [plugin("SimpleBasicAuth", users={"ann": secret["user"]})],
        "jwt": [plugin("JwtVerification", verifiers=["v"])],
        "faulty": [{"plugin": "cp:test.Faulty"}],
        "plain": [],
    }
    refused: list[str] = []
    with trio.fail_after(6 * GUARD_S):
        async with (
            gateway_process("--workers", "1", "--access-log", str(log), data=data) as gateway,
            admin(gateway) as api,
            httpx.AsyncClient(base_url=gateway.http, timeout=GUARD_S) as client,
        ):
            template = (await api.get(f"{VERIFIERS}/_template")).json()
            verifier = {"algoSettings": algorithm | {"secret": secret["verifier"]}}
            for where, document in [
                (VERIFIERS, template | {"id": "v", "enabled": True, "strict": True} | verifier),
                *[(ROUTES, route(n, upstream.url) | {"plugins": p}) for n, p in slots.items()],
                (EXPORTERS, exporter("e", config={"path": str(path)})),
                (
                    EXPORTERS,
                    {
                        **exporter("w", type="webhook", enabled=False),
                        "config": {
                            "url": "http://x/",
                            "headers": {"X-A": f"Bearer {secret['sink']}"},
                        },
                    },
                ),
                (
                    EXPORTERS,
                    {
                        **exporter("s", type="elastic", enabled=False),
                        "config": {"user": "u", "password": secret["sink"]},
                    },
                ),
            ]:
                made = await api.post(where, json=document, params=APPLIED)
                assert made.status_code == 201, made.text
            made = await api.post("/api/pki/cas", json={"subject": "CN=ca", "hosts": []})
            private = made.json()["privateKey"].splitlines()[2]
            refused += await bad_writes(api, secret["bad"])

            async def exported() -> bool:
                await client.get("/", headers={"Host": "warm.test"})
                return any(event["@type"] == "GatewayEvent" for event in events_in(path))

            await eventually(exported)
            sent = [
                {"Authorization": f"Bearer {token('a', secret['client'])}"},
                {"Authorization": f"Basic {basic('ann', secret['client'])}"},
                {"Authorization": f"Bearer {secret['client']}"},
                {"X-JWT-Token": token("a", secret["verifier"])},
                {"Cookie": f"sid={secret['client']}"},
            ]
            for host in slots:
                for headers in sent:
                    answer_ = await client.get(
                        "/a",
                        headers={"Host": f"{host}.test", "Accept": "application/json"} | headers,
                    )
                    if answer_.status_code >= 400:
                        refused.append(answer_.text + str(answer_.headers))
            heads = b"".join(upstream.heads)
            assert ACCESS_TOKEN.encode() in heads, "the token was sent"
            assert b"Odd " in heads, "the password was sent"

            async def is_over() -> bool:
                await client.get("/last", headers={"Host": "plain.test"})
                return "/last" in path.read_text()

            await eventually(is_over)
            listed = (await api.get("/api/alert/events")).text
            audits = (await api.get("/api/audit/events")).text
            explained = await trio.to_thread.run_sync(
                command,
                *("explain", "GET", "http://basic.test/a", "--json", "--admin", gateway.admin),
                *("--client-id", gateway.auth[0], "--client-secret", gateway.auth[1]),
            )
        own = json.dumps(gateway.log)
    assert "cannot read" in own, "the plugin's exception is in the log"
    assert "try again" in own, "and all of it that is no credential"
    assert '"clientSecret":"***"' in audits
    places = {
        "events": path.read_text(),
        "access log": log.read_text(),
        "alerts": listed,
        "audit": audits,
        "log": own,
        "answers": "".join(refused),
        "explain": explained,
    }
    look_for([*secret.values(), ACCESS_TOKEN, private, gateway.auth[1]], places)
    assert all("eyJ" not in text for text in places.values())


SECRETS = (*("basic", "oauth", "hmac", "exchange", "user", "verifier", "sink", "bad", "client"),)


async def bad_writes(api: httpx.AsyncClient, secret: str) -> list[str]:
    """Write what is refused, with a secret in it, and return the answers."""
    pem = f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----"
    hs = {"type": "HSAlgoSettings", "size": 256, "secret": secret}
    writes: list[tuple[str, Any]] = [
        (KEYS, {"clientId": "k", "clientName": "k", "clientSecret": [secret]}),
        (KEYS, {"clientId": "k", "clientName": "k", "clientSecret": secret, "dailyQuota": "x"}),
        (
            KEYS,
            {"clientId": "k", "rotation": {"nextSecret": [secret]}, "clientSecret": {"a": secret}},
        ),
        (VERIFIERS, {"id": "x", "name": "x", "algoSettings": {**hs, "size": 7}}),
        (VERIFIERS, {"id": "x", "name": "x", "algoSettings": {**hs, "secret": [secret]}}),
        (VERIFIERS, {"id": "x", "name": "x", "algoSettings": {"type": secret}}),
        (
            VERIFIERS,
            {
                "id": "x",
                "name": "x",
                "algoSettings": {
                    "type": "RSAlgoSettings",
                    "size": 256,
                    "privateKey": pem,
                    "publicKey": pem,
                },
            },
        ),
        (
            EXPORTERS,
            {
                "id": "x",
                "name": "x",
                "type": "tcp",
                "config": {"port": 0, "tls": {"password": secret}},
            },
        ),
        (
            EXPORTERS,
            {
                "id": "x",
                "name": "x",
                "type": "file",
                "enabled": True,
                "config": {"password": secret},
            },
        ),
        (
            "/apis/pki.otoroshi.io/v1/certificates",
            {"id": "x", "name": "x", "chain": pem, "privateKey": pem, "password": secret},
        ),
        (
            ROUTES,
            route("bad", "http://127.0.0.1:1")
            | {
                "plugins": [
                    plugin("BasicAuthCaller", password=[secret], headerName="bad name"),
                    plugin("SimpleBasicAuth", users={"ann": [secret]}),
                    plugin(
                        "OAuth2Caller", url=f"ftp://u:{secret}@host/", clientSecret={"a": secret}
                    ),
                    plugin("OtoroshiChallenge", algo_to_backend={**hs, "size": 7}),
                    plugin("HMACValidator", secret=[secret]),
                    plugin("HMACCaller", secret=secret, algo="x"),
                ]
            },
        ),
    ]
    answers: list[str] = []
    for where, document in writes:
        answer = await api.post(where, json=document)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            answers.append(f"{where}: {answer.text}")
    assert len(answers) >= 6, answers
    for body in (f'{{"clientSecret": "{secret}", ', f"clientSecret: {secret}\n  bad: ["):
        for kind in ("application/json", "application/yaml"):
            answer = await api.post(KEYS, content=body, headers={"Content-Type": kind})
            assert answer.status_code == 400
            answers.append(f"{kind}: {answer.text}")
    wrong_key = await api.get(ROUTES, auth=("admin-api-apikey-id", secret))
    assert wrong_key.status_code in {400, 401}
    return [*answers, wrong_key.text]


def command(*arguments: str) -> str:
    """Run `oto-trio` and return everything that it writes."""
    done = subprocess.run(
        [sys.executable, "-m", "oto_trio", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.stdout + done.stderr


BAD_FILE = """\
settings:
  redaction: {{headers: [{secret}], hash_key: [{secret}]}}
  metrics_access_key: [{secret}]
  health_access_key: {{a: {secret}}}
  engine: {{token: {secret}}}
  root_ca_key: [{secret}]
routes:
  - id: a
    name: a
    frontend: {{domains: [a.test]}}
    backend: {{targets: [{{hostname: 127.0.0.1, port: {secret}}}]}}
    plugins:
      - plugin: cp:otoroshi.next.plugins.SimpleBasicAuth
        config: {{users: {{ann: [{secret}]}}}}
      - plugin: cp:otoroshi.next.plugins.HMACCaller
        config: {{secret: [{secret}], algo: 7}}
      - plugin: cp:otoroshi.next.plugins.BasicAuthCaller
        config: {{username: u, password: {secret}, headerName: bad name}}
apikeys:
  - {{clientId: k, clientName: k, clientSecret: [{secret}]}}
jwt_verifiers:
  - {{id: v, name: v, algoSettings: {{type: HSAlgoSettings, size: 7, secret: {secret}}}}}
data_exporters:
  - {{id: e, name: e, type: file, enabled: true, config: {{password: {secret}}}}}
"""


async def test_no_secret_of_a_bad_configuration_file_is_told(tmp_path: Path) -> None:
    secret = "planted-file-secret"
    bad, broken = tmp_path / "bad.yaml", tmp_path / "broken.yaml"
    bad.write_text(BAD_FILE.format(secret=secret))
    broken.write_text(f"apikeys:\n  - clientSecret: {secret}\n   bad: [{secret}\n")
    told: dict[str, str] = {}
    for file in (bad, broken):
        name = file.name
        told[f"check {name}"] = await trio.to_thread.run_sync(command, "check", str(file))
        told[f"check --json {name}"] = await trio.to_thread.run_sync(
            command, "check", "--json", str(file)
        )
        told[f"explain {name}"] = await trio.to_thread.run_sync(
            command, "explain", "GET", "http://a.test/", "--config", str(file)
        )
        try:
            async with gateway_process("--config", str(file), data=tmp_path / "data"):
                pytest.fail("it runs")
        except* GatewayEndedError as group:
            told[f"serve {name}"] = "".join(map(str, group.exceptions))
    for place, text in told.items():
        assert text, place
    look_for([secret], told)
