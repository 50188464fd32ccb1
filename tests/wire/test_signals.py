"""What a failure means, row by row of the table: kind, whose it is, whether to wait, and whether it may have been paid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import AttemptError, Sent
from pipeline.wire.decode import read_answer
from pipeline.wire.signals import CODES, KINDS, STATUSES, failure

NOW = 1763600000.0


def refused(status: int, body: object, **headers: str) -> AttemptError:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    by_name = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(AttemptError) as caught:
        read_answer(status, by_name, content, now=NOW)
    return caught.value


def error(code: object = None, kind: object = None, message: object = "m") -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        (
            "openai.err.400",
            400,
            ("bad_request", "row", False, "unsupported_parameter", "Unsupported parameter: 'max_tokens'."),
        ),
        (
            "openai.err.429-rate",
            429,
            ("rate_limit", "row", True, "rate_limit_exceeded", "Rate limit reached for requests."),
        ),
        (
            "openai.err.429-quota",
            429,
            ("quota", "run", False, "insufficient_quota", "You exceeded your current quota."),
        ),
        ("qingbo.err.402", 402, ("payment", "run", False, "402", "Insufficient account balance.")),
        ("apimart.err.envelope", 429, ("rate_limit", "row", True, "429", "too many requests")),
        ("apimart.err.envelope", 200, ("rate_limit", "row", True, "429", "too many requests")),
    ],
)
def test_a_golden_error_has_its_meaning(
    golden: Callable[[str], Any], name: str, status: int, expected: tuple[object, ...]
) -> None:
    """The error bodies of the vendors' pages are classified and their messages kept."""
    found = refused(status, golden(name))

    assert (found.kind, found.scope, found.transient, found.code, found.message) == expected
    assert found.http_status == status
    assert found.sent is Sent.NEVER


def test_every_golden_error_is_tested(request: pytest.FixtureRequest) -> None:
    """No golden error lies unused."""
    files = {path.stem for path in (request.path.parent / "golden").glob("*.err.*.json")}

    assert files == {
        "openai.err.400",
        "openai.err.429-rate",
        "openai.err.429-quota",
        "qingbo.err.402",
        "apimart.err.envelope",
    }


@pytest.mark.parametrize(
    ("status", "kind", "scope", "transient", "sent"),
    [
        (302, "redirect", "row", False, Sent.NEVER),
        (400, "bad_request", "row", False, Sent.NEVER),
        (401, "auth", "run", False, Sent.NEVER),
        (402, "payment", "run", False, Sent.NEVER),
        (403, "forbidden", "run", False, Sent.NEVER),
        (404, "not_found", "row", False, Sent.NEVER),
        (405, "bad_request", "row", False, Sent.NEVER),
        (407, "proxy", "run", False, Sent.NEVER),
        (408, "timeout", "row", True, Sent.MAYBE),
        (409, "conflict", "row", True, Sent.NEVER),
        (413, "too_large", "row", False, Sent.NEVER),
        (415, "bad_request", "row", False, Sent.NEVER),
        (422, "bad_request", "row", False, Sent.NEVER),
        (425, "conflict", "row", True, Sent.NEVER),
        (429, "rate_limit", "row", True, Sent.NEVER),
        (500, "server", "row", True, Sent.MAYBE),
        (502, "server", "row", True, Sent.MAYBE),
        (503, "overloaded", "row", True, Sent.NEVER),
        (504, "server", "row", True, Sent.MAYBE),
        *((status, "server", "row", True, Sent.MAYBE) for status in range(520, 525)),
        (529, "overloaded", "row", True, Sent.NEVER),
        (599, "server", "row", True, Sent.MAYBE),
    ],
)
def test_a_status_without_a_known_code_has_its_meaning(
    status: int, kind: str, scope: str, transient: bool, sent: Sent
) -> None:
    """The status decides where the code is unknown, the body is a proxy's page, or there is none."""
    for body in (error("not_invented_yet", "invalid_request_error"), b"<html><h1>Oops</h1></html>", b""):
        found = refused(status, body)
        # A firewall's page is not the API's word: it may be about this row's text alone.
        meant = ("blocked", "row") if status == 403 and isinstance(body, bytes) else (kind, scope)
        assert (found.kind, found.scope, found.transient, found.sent) == (*meant, transient, sent)
        assert found.http_status == status


@pytest.mark.parametrize(
    ("status", "code", "kind", "scope", "transient"),
    [
        (429, "rate_limit_exceeded", "rate_limit", "row", True),
        (429, "slow_down", "rate_limit", "row", True),
        (429, "insufficient_quota", "quota", "run", False),
        (429, "credit_balance_exhausted", "quota", "run", False),
        (429, "organization_spend_limit_exceeded", "quota", "run", False),
        (429, "project_spend_limit_exceeded", "quota", "run", False),
        (429, "organization_usage_limit_exceeded", "quota", "run", False),
        (503, "server_is_overloaded", "overloaded", "row", True),
        (400, "invalid_image", "image", "row", False),
        (400, "failed_to_download_image", "image_download", "row", True),
        (400, "image_content_policy_violation", "content_policy", "row", False),
        (400, "data_residency_mismatch", "bad_request", "row", False),
        (400, "bio_policy", "content_policy", "row", False),
        (400, "misalignment_policy_violation", "content_policy", "row", False),
        (400, "context_length_exceeded", "context_length", "row", False),
        (404, "model_not_found", "not_found", "row", False),
        (401, "invalid_api_key", "auth", "run", False),
    ],
)
def test_a_known_code_decides_over_the_status(status: int, code: str, kind: str, scope: str, transient: bool) -> None:
    """A 429 that means money stops the run, a 400 that means a failed download is tried again."""
    found = refused(status, error(code))

    assert (found.kind, found.scope, found.transient, found.code) == (kind, scope, transient, code)


@pytest.mark.parametrize(
    ("kind_of_error", "kind"),
    [
        ("insufficient_quota", "quota"),
        ("authentication_error", "auth"),
        ("payment_required", "payment"),
        ("permission_error", "forbidden"),
        ("rate_limit_error", "rate_limit"),
        ("server_error", "server"),
        ("bad_gateway", "server"),
    ],
)
def test_a_known_type_serves_where_the_code_says_nothing(kind_of_error: str, kind: str) -> None:
    """Vendors put into ``type`` what others put into ``code``, and a number equal to the status into ``code``."""
    assert refused(429, error(None, kind_of_error)).kind == kind
    assert refused(429, error(429, kind_of_error)).kind == kind


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (error("c", message="words"), "words", "c"),
        ({"error": "words"}, "words", None),
        ({"error": {"msg": "words", "code": 7}}, "words", "7"),
        ({"code": 7, "message": "words"}, "words", "7"),
        ({"code": "7", "msg": "words", "data": None}, "words", "7"),
        ({"code": 7, "error": {"message": "words"}}, "words", "7"),
        ({"detail": "words"}, "words", None),
        ({"detail": [{"loc": ["body"], "msg": "words"}]}, "[{'loc': ['body'], 'msg': 'words'}]", None),
        ({"message": "words", "error": {"code": "c"}}, "words", "c"),
        ({"error": {"code": "c"}}, "{'code': 'c'}", "c"),
        ({"odd": 1}, "{'odd': 1}", None),
        (["odd"], "['odd']", None),
        (b"  plain\n  words ", "plain words", None),
        (b"\xff\xfe", "\ufffd\ufffd", None),
        ({}, "HTTP 400 without a message", None),
        (b"", "HTTP 400 without a message", None),
        (b"null", "HTTP 400 without a message", None),
        (error(True, message=None), "{'message': None, 'type': None, 'param': None, 'code': True}", None),
    ],
)
def test_the_message_and_the_code_are_found_wherever_they_stand(body: object, message: str, code: str | None) -> None:
    """Every documented form of an error body is read, and any other is shown as it stands."""
    found = refused(400, body)

    assert (found.message, found.code) == (message, code)


def test_a_message_is_short_plain_and_without_keys() -> None:
    """A provider that echoes the key, a picture or terminal codes does not get them into our messages."""
    key = "sk-proj-abcdEFGH1234"
    words = f"Incorrect API key provided: {key}. \x1b[31mBearer {key}\x1b[0m data:image/png;base64,{'iVBOR' * 1000} {'long ' * 500}"
    found = refused(401, error(message=words))

    assert key not in found.message
    assert "\x1b" not in found.message
    assert "iVBORiVBOR" not in found.message
    assert len(found.message) <= 500


@pytest.mark.parametrize(
    ("verdict", "status", "transient"),
    [("true", 400, True), ("false", 503, False), ("False", 429, False), ("odd", 503, True), ("", 400, False)],
)
def test_the_servers_own_verdict_on_trying_again_wins(verdict: str, status: int, transient: bool) -> None:
    """``x-should-retry`` overrides the table; anything but true and false says nothing."""
    assert refused(status, error(), x_should_retry=verdict).transient is transient


def test_a_refusal_carries_what_its_headers_say() -> None:
    """The wait and the request id come along, also where a success is none."""
    for status in (429, 200):
        found = refused(status, {"code": 429, "message": "m"}, retry_after="7", x_request_id="req_1")
        assert (found.retry_after_s, found.request_id, found.http_status) == (7.0, "req_1", status)


def test_a_body_may_be_parsed_or_text() -> None:
    """``failure`` takes either."""
    assert failure(500, {}, error("server_error"), NOW).message == "m"
    assert failure(500, {}, "words", NOW).message == "words"


def test_the_table_is_consistent() -> None:
    """Every code and status leads to a known kind, and what stops the run is never waited for."""
    assert set(CODES.values()) | {meaning.kind for meaning in STATUSES.values()} <= set(KINDS)
    assert not any(kind.transient for kind in KINDS.values() if kind.scope == "run")
    assert all(kind.hint for kind in KINDS.values() if kind.scope == "run")


@given(
    st.integers(100, 999),
    st.dictionaries(st.sampled_from(["retry-after", "date", "x-should-retry", "x-request-id"]), st.text()),
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "message", "detail", "type"]), inner)
        ),
        max_leaves=8,
    ),
)
def test_whatever_comes_there_is_a_failure(status: int, headers: dict[str, str], body: object) -> None:
    """No error body and no header makes the classification stumble."""
    found = failure(status, headers, body, NOW)

    assert found.kind in KINDS
    assert len(found.message) <= 500
    assert found.message.isprintable()
