"""Who is refused by the headers of a request: other sites, wrong tokens, forms."""

import asyncio
import json

import pytest

from hf_anchornet.serve.access import LOOPBACK, Access, read_token

TOKEN = "0123456789abcdef"


def refuse(access, path="/spans", method="POST", **headers):
    """Status and detail of the refusal, or `None`."""
    given = {"host": "localhost:8000", "content_type": "application/json"} | headers
    named = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in given.items()
        if value is not None
    ]
    scope = {"type": "http", "method": method, "path": path, "headers": named}
    answer = access.refuse(scope)
    return answer and (answer.status_code, json.loads(answer.body)["detail"])


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST"]
)
def test_the_names_of_loopback_are_accepted(host):
    assert refuse(Access(), host=host) is None


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "", "[", None])
def test_another_name_of_the_host_is_refused_so_that_none_can_be_rebound(host):
    status, detail = refuse(Access(), host=host)
    assert status == 421
    assert "`Host` must be one of `allowed_hosts`" in detail


def test_names_may_be_added_and_all_may_be_allowed():
    assert refuse(Access(["a.example"]), host="A.example:80") is None
    assert refuse(Access(["a.example"]), host="localhost")[0] == 421
    assert refuse(Access(["*"]), host="any.example", origin="https://other.example") is None


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_a_server_on_all_addresses_is_asked_by_any_address_but_not_by_any_name(bound):
    access = Access([*LOOPBACK, bound])
    assert refuse(access, host="10.1.2.3:8000") is None
    assert refuse(access, host="[fe80::1]:8000") is None
    assert refuse(access, host="evil.example")[0] == 421


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example"]
)
def test_a_page_of_another_site_is_refused(origin):
    status, detail = refuse(Access(), origin=origin)
    assert (status, "`Origin` must be one of" in detail) == (403, True)
    assert refuse(Access(), origin="http://localhost:3000") is None


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; a=b",
    ],
)
@pytest.mark.parametrize("path", ["/spans", "/patches"])
def test_content_types_that_a_page_may_send_without_asking_are_refused(path, kind):
    status, detail = refuse(Access(), path=path, content_type=kind)
    assert status == 415
    assert "send it with `Content-Type: " in detail


def test_content_types_of_the_routes_are_accepted():
    assert refuse(Access(), content_type="Application/JSON; charset=utf-8") is None
    for kind in ("image/png", "application/octet-stream"):
        assert refuse(Access(), path="/patches", content_type=kind) is None
    assert refuse(Access(), path="/ready", method="GET", content_type=None) is None


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", f"Basic {TOKEN}", "Bearer 0123456789abcdeF", TOKEN]
)
def test_without_the_token_only_probes_are_answered(authorization):
    access = Access(token=TOKEN)
    assert refuse(access, authorization=authorization)[0] == 401
    assert refuse(access, path="/openapi.json", method="GET", authorization=None)[0] == 401
    for path in ("/health", "/ready"):
        assert refuse(access, path=path, method="GET", authorization=authorization) is None


def test_with_the_token_a_request_is_answered():
    for authorization in (f"Bearer {TOKEN}", f"bearer  {TOKEN} "):
        assert refuse(Access(token=TOKEN), authorization=authorization) is None


def test_a_token_is_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(
        "hf_anchornet.serve.access.hmac.compare_digest",
        lambda one, other: compared.append((len(one), len(other))) or one == other,
    )
    access = Access(token=TOKEN)
    for token in ("", "x", TOKEN, TOKEN * 100):
        refuse(access, authorization=f"Bearer {token}")
    assert compared == [(32, 32)] * 4


def test_a_refusal_closes_the_connection_before_the_body_is_read():
    async def never():
        raise AssertionError("the body is read")

    from hf_anchornet.serve.limits import Limits, ServingOptions

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/spans", "headers": []}
    asyncio.run(Limits(never, ServingOptions(), Access())(scope, never, send))
    assert sent[0]["status"] == 421
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_token_is_read_without_outer_blanks(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(str(file)) == TOKEN


@pytest.mark.parametrize("content", ["", "short", f"{TOKEN} {TOKEN}", "\u00e9" * 20])
def test_a_file_without_a_good_token_is_refused(tmp_path, content):
    file = tmp_path / "token"
    file.write_text(content, "utf-8")
    with pytest.raises(ValueError, match="`token_file` must hold a token of at least 16 ASCII"):
        read_token(str(file))
