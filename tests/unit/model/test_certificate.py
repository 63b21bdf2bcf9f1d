"""The certificate in Otoroshi's JSON: keys, order, defaults, what is computed."""

from __future__ import annotations

from typing import Any

import pytest

from oto_trio.model.certificate import (
    Certificate,
    certificate_template,
    public_document,
    read_certificate,
    write_certificate,
)
from oto_trio.model.errors import EntityError

BARE = {"id": "c1", "domain": "a.b", "chain": "pem"}


def test_a_bare_certificate_is_written_with_every_default_in_otoroshis_order() -> None:
    written = write_certificate(read_certificate(BARE))
    assert written["from"] == pytest.approx(written["to"], abs=5000)
    assert written["from"] > 1_700_000_000_000
    assert [(k, v) for k, v in written.items() if k not in {"from", "to"}] == [
        ("_loc", {"tenant": "default", "teams": ["default"]}),
        ("id", "c1"),
        ("domain", "a.b"),
        ("name", "a.b"),
        ("description", "Certificate for a.b"),
        ("chain", "pem"),
        ("caRef", None),
        ("privateKey", ""),
        ("selfSigned", False),
        ("ca", False),
        ("valid", False),
        ("exposed", False),
        ("revoked", False),
        ("autoRenew", False),
        ("letsEncrypt", False),
        ("subject", "--"),
        ("client", False),
        ("keypair", False),
        ("sans", []),
        ("certType", "certificate"),
        ("password", None),
        ("metadata", {}),
        ("tags", []),
    ]
    assert list(written)[15:18] == ["subject", "from", "to"]


@pytest.mark.parametrize("key", ["id", "domain", "chain"])
def test_id_domain_and_chain_are_required(key: str) -> None:
    with pytest.raises(EntityError) as caught:
        read_certificate({k: v for k, v in BARE.items() if k != key})
    assert [p.path for p in caught.value.problems] == [f"$.{key}"]


def test_without_a_domain_name_and_description_are_none() -> None:
    read = read_certificate({**BARE, "domain": ""})
    assert (read.name, read.description) == ("none", "none")


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ({"client": True, "ca": True}, "client"),
        ({"ca": True, "letsEncrypt": True}, "ca"),
        ({"letsEncrypt": True, "keypair": True}, "letsEncrypt"),
        ({"keypair": True, "selfSigned": True}, "keypair"),
        ({"selfSigned": True}, "selfSigned"),
        ({}, "certificate"),
    ],
)
def test_the_type_is_computed_whatever_is_written(flags: dict[str, Any], kind: str) -> None:
    assert read_certificate({**BARE, **flags, "certType": "client"}).cert_type == kind


def test_a_blank_password_counts_as_none() -> None:
    assert read_certificate({**BARE, "password": "  "}).password is None
    assert read_certificate({**BARE, "password": "x"}).password == "x"


def test_what_is_written_reads_back_and_unknown_keys_stay() -> None:
    raw = {**BARE, "from": 1, "to": 2, "future": {"a": 1}}
    written = write_certificate(read_certificate(raw))
    assert written["future"] == {"a": 1}
    assert write_certificate(read_certificate(written)) == written


def test_its_names_are_there_once() -> None:
    certificate = Certificate(id="c", domain="a", chain="", sans=("a", "b", "", "--"))
    assert certificate.names == ("a", "b")
    assert Certificate(id="c", domain="--", chain="").names == ()


def test_it_is_current_between_its_ends() -> None:
    certificate = Certificate(id="c", domain="a", chain="", valid_from=10, valid_to=20)
    assert [certificate.is_current(t) for t in (9, 10, 20, 21)] == [False, True, True, False]


def test_what_is_public_has_no_secret() -> None:
    certificate = read_certificate({**BARE, "privateKey": "planted", "password": "planted"})
    public = public_document(certificate)
    assert "planted" not in str(public)
    assert set(write_certificate(certificate)) - set(public) == {"privateKey", "password"}


def test_the_template_has_a_new_id() -> None:
    first, second = certificate_template(), certificate_template(env="dev")
    assert first.id.startswith("cert_")
    assert second.id.startswith("cert_dev_")
    assert (first.name, first.chain, first.private_key) == ("a new certificate", "", "")
