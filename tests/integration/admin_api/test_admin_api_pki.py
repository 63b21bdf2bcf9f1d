"""The PKI endpoints and certificates of the admin API, over a real socket; openssl judges."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from oto_trio.pki.keys import read_private_key
from oto_trio.pki.pem import read_certificates
from oto_trio.pki.pkcs12 import write_pkcs12

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from oto_trio.testing.admin_api import ServedAdminApi as Served

GENERIC = "/apis/pki.otoroshi.io/v1/certificates"
ECDSA = {"algo": "ecdsa", "size": 256}


async def make(served: Served, path: str, **query: Any) -> dict[str, Any]:
    made = await served.call("POST", f"/api/pki/{path}", {"key": ECDSA, **query})
    assert made.status_code == 200, made.text
    body: dict[str, Any] = made.json()
    return body


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert list(answer.json()) == ["error"]
    return answer.status_code, answer.json()["error"]


def openssl(folder: Path, *arguments: str) -> str:
    words: list[str] = []
    for number, argument in enumerate(arguments):
        if "-----BEGIN" in argument:
            file = folder / f"file{number}"
            file.write_text(argument)
            words.append(str(file))
        else:
            words.append(argument)
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_authorities_and_certificates(served: Served, tmp_path: Path) -> None:
    root = await make(served, "cas", subject="CN=Root, O=Test")
    assert (root["ca"], root["selfSigned"], root["certType"]) == (True, True, "ca")
    assert root["certId"] == root["id"]
    assert len(root["id"]) == 32
    assert msgspec.json.decode(root["metadata"]["csr"])["ca"] is True
    inter = await make(served, f"cas/{root['id']}/cas", name={"CN": "Inter", "O": "Test"})
    assert (inter["ca"], inter["selfSigned"], inter["caRef"]) == (True, False, root["id"])
    leaf = await make(served, f"cas/{inter['id']}/certs", hosts=["api.localhost"])
    assert (leaf["domain"], leaf["sans"], leaf["caRef"], leaf["valid"]) == (
        "api.localhost",
        ["api.localhost"],
        inter["id"],
        True,
    )
    assert leaf["name"] == "api.localhost"
    blocks = leaf["chain"].count("BEGIN CERTIFICATE")
    assert blocks == 3, "leaf, authority, and the authority's chain"
    said = openssl(
        tmp_path,
        *("verify", "-x509_strict", "-verify_hostname", "api.localhost"),
        *("-CAfile", root["chain"], "-untrusted", inter["chain"], leaf["chain"]),
    )
    assert said.endswith(": OK\n")
    stored = await served.call("GET", f"/api/certificates/{leaf['id']}")
    assert stored.json() == {k: v for k, v in leaf.items() if k != "certId"}
    serial = str(read_certificates(inter["chain"])[0].serial_number)
    by_serial = await make(served, f"cas/{serial}/certs", hosts=["b.localhost"])
    assert by_serial["caRef"] == inter["id"]
    alone = await make(served, "certs", hosts=["c.localhost"], client=True)
    assert (alone["certType"], alone["selfSigned"]) == ("client", True)


async def test_what_is_not_to_persist_is_only_answered(served: Served) -> None:
    made = await make(served, "certs?persist=false", hosts=["a.b"])
    found = await served.call("GET", f"/api/certificates/{made['certId']}")
    assert found.status_code == 404


@pytest.mark.parametrize(
    ("body", "kind"), [({"algo": "ecdsa", "size": 384}, "secp384r1"), ({"algo": "rsa"}, "2048")]
)
async def test_key_pairs(served: Served, tmp_path: Path, body: dict[str, Any], kind: str) -> None:
    made = (await served.call("POST", "/api/pki/keys", body)).json()
    assert (made["keypair"], made["certType"], made["selfSigned"]) == (True, "keypair", True)
    assert made["subject"].startswith("CN=keypair-")
    assert made["subject"].removeprefix("CN=keypair-").isdigit()
    years = (made["to"] - made["from"]) / (365 * 86_400_000)
    assert years == 10
    assert kind in openssl(tmp_path, "pkey", "-noout", "-text", "-in", made["privateKey"])
    await make(served, "certs", hosts=["a.b"])
    listed = await served.call("GET", "/api/certificates?keypair=true")
    assert [c["id"] for c in listed.json()] == [made["id"]]
    assert listed.headers["x-count"] == "1"
    assert len((await served.call("GET", "/api/certificates")).json()) == 2


async def test_requests_are_built_and_signed(served: Served, tmp_path: Path) -> None:
    root = await make(served, "cas", subject="CN=Root")
    asked = await make(served, "csrs", hosts=["a.b"], subject="CN=asked")
    assert list(asked) == ["csr", "publicKey", "privateKey"]
    signed = await served.call(
        "POST", f"/api/pki/cas/{root['id']}/certs/_sign?duration=86400000", content=asked["csr"]
    )
    assert list(signed.json()) == ["cert", "csr", "ca"]
    said = openssl(tmp_path, "verify", "-CAfile", signed.json()["ca"], signed.json()["cert"])
    assert said.endswith(": OK\n")
    assert len((await served.call("GET", "/api/certificates")).json()) == 1, "only the root is kept"


async def test_pkcs12_files_are_kept(served: Served) -> None:
    made = await make(served, "certs?persist=false", hosts=["a.b"])
    content = write_pkcs12("x", made["chain"], read_private_key(made["privateKey"]), "s3")
    wrong = await served.call("POST", "/api/pki/certs/_p12?password=no", content=content)
    assert refusal(wrong)[0] == 400
    done = await served.call("POST", "/api/pki/certs/_p12?password=s3", content=content)
    assert (done.status_code, done.json()) == (200, {"done": True})
    (kept,) = (await served.call("GET", "/api/certificates")).json()
    assert (kept["domain"], kept["name"], kept["valid"]) == ("a.b", "a.b", True)
    assert kept["privateKey"] == made["privateKey"]


async def test_validity_and_data(served: Served) -> None:
    made = await make(served, "certs?persist=false", hosts=["a.b"])
    other = await make(served, "certs?persist=false", hosts=["a.b"])
    for body, is_valid in (
        (made, True),
        ({**made, "privateKey": other["privateKey"]}, False),
        ({**made, "chain": "nothing"}, False),
        ({"chain": made["chain"], "privateKey": made["privateKey"]}, True),
    ):
        answer = await served.call("POST", "/api/pki/certs/_valid", body)
        assert (answer.status_code, answer.json()) == (200, {"valid": is_valid})
    pem = await served.call("POST", "/api/pki/certs/_valid", content=made["chain"])
    assert pem.json() == {"valid": True}
    assert (await served.call("POST", "/api/pki/certs/_valid", content="x")).json() == {
        "valid": False
    }
    data = (await served.call("POST", "/api/pki/certs/_data", content=made["chain"])).json()
    assert (data["domain"], data["subjectDN"], data["selfSigned"]) == ("a.b", "CN=a.b", True)


async def test_refusals(served: Served) -> None:
    leaf = await make(served, "certs", hosts=["a.b"])
    for path in ("cas/none/certs", "cas/none/cas", "cas/none/certs/_sign", "csrs?ca=none"):
        answer = await served.call("POST", f"/api/pki/{path}", {"hosts": ["a.b"]})
        assert refusal(answer) == (404, "ca not found !"), path
    not_ca = await served.call("POST", f"/api/pki/cas/{leaf['id']}/certs", {"hosts": ["a.b"]})
    assert refusal(not_ca)[0] == 400
    assert "is no authority" in refusal(not_ca)[1]
    for path, body, word in (
        ("keys", {"algo": "dsa"}, "use rsa or ecdsa"),
        ("keys", {"size": 1024}, "use 2048 to 4096"),
        ("keys", {"algo": "ecdsa", "size": 123}, "256, 384 or 521"),
        ("keys", [1], "expected an object"),
        ("certs", {}, "neither a subject nor a host"),
        ("certs", {"hosts": ["not a host"]}, "is no host name"),
        ("certs", {"hosts": ["a.b"], "duration": 5}, "valid for 5 ms"),
        ("certs", {"hosts": ["a.b"], "signatureAlg": "MD5WithRSA"}, "is not served"),
        ("certs", {"subject": "nonsense"}, "is no part of a name"),
        ("certs/_letencrypt", {"host": "a.b"}, "not ordered by ACME yet"),
    ):
        answer = await served.call("POST", f"/api/pki/{path}", body)
        assert refusal(answer)[0] == 400, path
        assert word in refusal(answer)[1]
    for path in ("certs/_data", "certs/_p12", f"cas/{leaf['id']}/certs/_sign"):
        assert refusal(await served.call("POST", f"/api/pki/{path}", content=b"\xff\x00"))[0] == 400
    broken = await served.call("POST", "/api/pki/certs", content="{")
    assert refusal(broken)[0] == 400
    bad = await served.call("POST", f"/api/pki/cas/{leaf['id']}/certs/_sign?duration=x", content="")
    assert refusal(bad)[0] == 400


async def test_certificates_are_brought_in_order_when_they_are_stored(served: Served) -> None:
    root = await make(served, "cas?persist=false", subject="CN=Root")
    leaf = await make(served, "certs?persist=false", hosts=["a.b"])
    bare = {"id": "c1", "domain": "wrong", "chain": leaf["chain"], "privateKey": leaf["privateKey"]}
    for path, verb in (("/api/certificates", "POST"), (f"{GENERIC}/c1", "PUT")):
        made = await served.call(verb, path, {**bare, "subject": "wrong", "sans": ["wrong"]})
        assert made.status_code in {200, 201}, made.text
        body = made.json()
        assert (body["domain"], body["sans"], body["subject"]) == ("a.b", ["a.b"], "CN=a.b")
    for change, path, word in (
        ({"chain": ""}, "$.chain", "there is no certificate"),
        ({"chain": leaf["chain"] + root["chain"]}, "$.chain", "CN=Root: issued none"),
        ({"privateKey": root["privateKey"]}, "$.privateKey", "belongs to no certificate"),
    ):
        for where in ("/api/certificates", GENERIC):
            refused = await served.call("POST", where, {**bare, "id": "c2", **change})
            assert refused.status_code == 400
            (problem,) = refused.json()["problems"]
            assert problem["path"] == path
            assert word in problem["message"]
            secret = root["privateKey"].splitlines()[1]
            assert secret not in refused.text
    as_is = await served.call("POST", "/api/certificates?enrich=false", {**bare, "id": "c3"})
    assert (as_is.status_code, as_is.json()["domain"]) == (201, "wrong")


async def test_bundles_and_renewal(served: Served) -> None:
    leaf = await make(served, "certs?persist=false", hosts=["a.b"])
    bundle = leaf["privateKey"] + leaf["chain"]
    made = await served.call("POST", "/api/certificates/_bundle", content=bundle)
    assert (made.status_code, made.json()["domain"]) == (201, "a.b")
    body = made.json()
    renewed = await served.call("POST", f"/api/certificates/{body['id']}/_renew")
    assert renewed.status_code == 200, renewed.text
    assert renewed.json()["id"] == body["id"]
    assert renewed.json()["chain"] != body["chain"]
    assert renewed.json()["privateKey"] == body["privateKey"]
    listed = (await served.call("GET", "/api/certificates")).json()
    (copy,) = [c for c in listed if c["id"] != body["id"]]
    assert copy["name"] == "[UNTIL EXPIRATION] a.b"
    assert copy["metadata"] == {"untilExpiration": "true", "nextCertificate": body["id"]}
    none = await served.call("POST", "/api/certificates/none/_renew")
    assert none.status_code == 404
    garbage = await served.call("POST", "/api/certificates/_bundle", content="x")
    assert garbage.status_code == 400
    assert garbage.json()["problems"][0]["path"] == "$.chain"


async def test_a_read_only_api_makes_nothing(served: Served) -> None:
    config = (await served.call("GET", "/api/globalconfig")).json()
    await served.call("PUT", "/api/globalconfig", {**config, "apiReadOnly": True})
    for path in ("keys", "cas", "certs", "certs/_p12"):
        answer = await served.call("POST", f"/api/pki/{path}", {"hosts": ["a.b"], "key": ECDSA})
        assert answer.status_code == 401, path
    bundle = await served.call("POST", "/api/certificates/_bundle", content="x")
    assert bundle.status_code == 401
    made = await served.call("POST", "/api/pki/certs?persist=false", {"hosts": ["a.b"]})
    assert made.status_code == 200


async def test_the_resource_is_in_the_catalogue(served: Served) -> None:
    listed = (await served.call("GET", "/apis/entities")).json()["resources"]
    (row,) = [r for r in listed if r["kind"] == "Certificate"]
    assert (row["plural_name"], row["singular_name"], row["group"]) == (
        "certificates",
        "certificate",
        "pki.otoroshi.io",
    )
    template = (await served.call("GET", f"{GENERIC}/_template")).json()
    assert (template["name"], template["chain"]) == ("a new certificate", "")


async def test_client_validators_are_in_the_legacy_dialect_only(served: Served) -> None:
    body = {"id": "v1", "name": "one", "url": "https://v.localhost", "host": "v.localhost"}
    made = await served.call("POST", "/api/client-validators", body)
    assert (made.status_code, made.json()["goodTtl"]) == (201, 600_000)
    again = await served.call("PUT", "/api/client-validators/v1", {**body, "noCache": True})
    assert (again.status_code, again.json()["noCache"]) == (200, True)
    assert len((await served.call("GET", "/api/client-validators")).json()) == 1
    assert (await served.call("GET", "/api/client-validators/_template")).status_code == 404
    generic = await served.call("GET", "/apis/pki.otoroshi.io/v1/client-validators")
    assert generic.status_code == 404
    listed = (await served.call("GET", "/apis/entities")).json()["resources"]
    assert "ClientValidator" not in {row["kind"] for row in listed}
    bad = await served.call("POST", "/api/client-validators", {"id": "v2", "name": "x"})
    assert [p["path"] for p in bad.json()["problems"]] == ["$.url", "$.host"]
    gone = await served.call("DELETE", "/api/client-validators/v1")
    assert gone.json() == {"deleted": True}
