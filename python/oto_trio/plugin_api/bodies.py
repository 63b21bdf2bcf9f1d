"""Otoroshi's notation for a body in a config: plain text, or ``Base64(…)`` for any bytes."""

import base64
import binascii

__all__ = ["read_body"]


def read_body(text: str) -> bytes:
    """Return the bytes a config's ``body`` stands for: UTF-8 text, or what ``Base64(…)`` holds.

    Raises:
        ValueError: What is inside ``Base64(…)`` is no base64.
    """
    if not (text.startswith("Base64(") and text.endswith(")")):
        return text.encode()
    try:
        return base64.b64decode(text[7:-1], validate=True)
    except binascii.Error as error:
        raise ValueError(f"the body is no base64: {error}") from error
