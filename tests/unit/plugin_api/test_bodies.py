"""Bodies written in a config."""

import pytest

from oto_trio.plugin_api.bodies import read_body


def test_text_and_base64() -> None:
    assert read_body("é") == "é".encode()
    assert read_body("Base64(AAEC)") == b"\x00\x01\x02"
    assert read_body("Base64(AAEC") == b"Base64(AAEC"


def test_what_is_no_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="no base64"):
        read_body("Base64(***)")
