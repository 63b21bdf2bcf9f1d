"""HMACValidator."""

import base64
import hmac

import pytest

from oto_trio.plugin_api import Phase, Response, steps
from oto_trio.plugins.access_control.hmac_validator import HMACValidator, HMACValidatorConfig
from oto_trio.testing import FakeExchange, FakeRequest, play

REFUSED = Response(400)


def signature(text: str, algorithm: str = "sha256", secret: str = "s3cret") -> str:
    digest = hmac.digest(secret.encode(), text.encode(), algorithm)
    return base64.b64encode(digest).decode()


async def answer(credentials: str, secret: str | None = "s3cret") -> object:
    headers = [("Date", "today"), ("X-Order", "7"), ("Authorization", credentials)]
    plugin = HMACValidator(HMACValidatorConfig(secret=secret))
    return await play(plugin, FakeExchange(FakeRequest(headers=headers)))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
async def test_a_signature_of_every_algorithm_is_taken(algorithm: str) -> None:
    signed = signature("today 7", algorithm)
    named = f'hmac algorithm="HMAC-{algorithm.upper()}",headers="Date X-Order",signature="{signed}"'
    assert await answer(named) is None


@pytest.mark.parametrize(
    "credentials",
    [
        "",
        "Basic dTpw",
        'hmac headers="Date"',
        f'hmac headers="Date",signature="{signature("today", secret="other")}"',
        f'hmac headers="Date",signature="{signature("yesterday")}"',
        f'hmac headers="Date X-Order",signature="{signature("today")}"',
        f'hmac headers="Date X-None",signature="{signature("today")}"',
        f'hmac headers="",signature="{signature("")}"',
        f'hmac algorithm="HMAC-MD5",headers="Date",signature="{signature("today", "md5")}"',
        f'hmac algorithm="HMAC-SHA512",headers="Date",signature="{signature("today")}"',
    ],
)
async def test_anything_else_is_answered_with_an_empty_400(credentials: str) -> None:
    assert await answer(credentials) == REFUSED


async def test_a_request_without_credentials_is_refused() -> None:
    plugin = HMACValidator(HMACValidatorConfig(secret="s3cret"))
    assert await play(plugin, FakeExchange()) == REFUSED


@pytest.mark.parametrize("secret", [None, ""])
async def test_without_a_secret_nobody_gets_in(secret: str | None) -> None:
    signed = signature("today", secret="")
    assert await answer(f'hmac headers="Date",signature="{signed}"', secret) == REFUSED


def test_it_is_native() -> None:
    config = HMACValidatorConfig(secret="s", authorization_header="X-Mac")
    lowered = HMACValidator(config).lower()
    assert lowered == (steps.Native("hmac_validator", Phase.ACCESS, config),)
