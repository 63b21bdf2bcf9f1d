"""HMACCaller."""

import pytest

from oto_trio.plugin_api import Phase, steps
from oto_trio.plugins.access_control.hmac_validator import HMACValidator, HMACValidatorConfig
from oto_trio.plugins.authentication.hmac_caller import REFUSED, HMACCaller, HMACCallerConfig
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize("algo", ["HMAC-SHA1", "HMAC-SHA256", "hmac-sha384", "HMAC-SHA512"])
@pytest.mark.parametrize("header", [None, "X-Mac"])
async def test_what_it_signs_the_validator_takes(algo: str, header: str | None) -> None:
    exchange = FakeExchange()
    exchange.unix_time = 1_700_000_000.5
    caller = HMACCaller(HMACCallerConfig(secret="s3cret", algo=algo, authorization_header=header))
    assert await play(caller, exchange) is None
    assert exchange.request.headers.get("Date") == "1700000000500"
    credentials = exchange.request.headers.get(header or "Authorization") or ""
    assert credentials.startswith(f'hmac algorithm="{algo.lower()}", headers="Date", signature="')
    for secret, answered in (("s3cret", False), ("other", True)):
        validator = HMACValidator(HMACValidatorConfig(secret=secret, authorization_header=header))
        assert (await play(validator, exchange) is not None) is answered


@pytest.mark.parametrize("secret", [None, ""])
async def test_without_a_secret_it_answers_400(secret: str | None) -> None:
    exchange = FakeExchange()
    assert await play(HMACCaller(HMACCallerConfig(secret=secret)), exchange) == REFUSED
    assert exchange.request.headers.items() == []


@pytest.mark.parametrize(
    ("config", "problem"),
    [({"algo": "HMAC-MD5"}, "HMAC-SHA512"), ({"authorization_header": "Connection"}, "Connection")],
)
def test_what_it_cannot_do_is_refused_when_the_config_is_read(
    config: dict[str, str], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        HMACCallerConfig(**config)


def test_it_is_native() -> None:
    config = HMACCallerConfig(secret="s")
    lowered = HMACCaller(config).lower()
    assert lowered == (steps.Native("hmac_caller", Phase.TRANSFORM_REQUEST, config),)
