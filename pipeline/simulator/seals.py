"""Content only the provider can read: sealed on its way out, verified when it comes back."""

from __future__ import annotations

import base64
import hashlib

from pipeline.simulator.problems import RequestError

__all__ = ["seal", "unseal", "unverified"]

MARK = "gAAAAA"
CHECK = 12
"""Bytes of the digest that a changed seal does not have."""


def seal(payload: str) -> str:
    """An opaque text that holds the payload; the same one for the same payload, so that no memory is needed."""
    data = payload.encode("utf-8", "surrogatepass")
    return MARK + base64.urlsafe_b64encode(hashlib.sha256(data).digest()[:CHECK] + data).decode()


def unseal(sealed: str, item: str) -> str:
    """The payload; a seal this provider did not make is HTTP 400."""
    try:
        raw = base64.b64decode(sealed.removeprefix(MARK), altchars=b"-_", validate=True)
        data = raw[CHECK:]
        if sealed.startswith(MARK) and hashlib.sha256(data).digest()[:CHECK] == raw[:CHECK]:
            return data.decode("utf-8", "surrogatepass")
    except ValueError:
        pass  # answered as every other seal that is not ours
    raise unverified(item)


def unverified(item: str) -> RequestError:
    """The refusal of content that is not what was sealed for this item."""
    return RequestError(
        f"The encrypted content for item {item} could not be verified. "
        "Reason: Encrypted content could not be decrypted or parsed.",
        code="invalid_encrypted_content",
        param="input",
    )
