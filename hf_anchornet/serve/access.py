"""Who may ask the server: names of its host, origins of web pages, a token, types of content."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from .libraries import JSONResponse, Scope

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of the host under which a program or browser on the same machine asks."""

ANY_ADDRESS = frozenset(["0.0.0.0", "::", ""])
"""Addresses to listen on that stand for all addresses of the machine."""

CONTENT_TYPES = {
    "/spans": ("application/json",),
    "/patches": ("image/", "application/octet-stream"),
}
"""Beginnings of the accepted types. For each of them a browser asks first whether it may (CORS
preflight), and it is told no; it sends the types of forms and plain text without asking."""

PROBES = ("/health", "/ready")
"""Routes that need no token."""

FEWEST_TOKEN_CHARACTERS = 16


class Access:
    """Checks of a request by its headers, before its body is read.

    Args:
        hosts: Accepted names of the host, without port; "*" accepts all. An address of
            `ANY_ADDRESS` accepts every IP address: another site can give its own name to this
            machine's address, but it cannot make a browser send an address as the name.
        token: Token that each request must carry as `Authorization: Bearer`, if there is one.
    """

    def __init__(self, hosts: Iterable[str] = LOOPBACK, token: str | None = None) -> None:
        self._hosts = frozenset(host.strip("[]").lower() for host in hosts)
        self._digest = None if token is None else sha256(token.encode()).digest()

    def refuse(self, scope: Scope) -> JSONResponse | None:
        """The refusal of a request, or `None` if it may be answered."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._accepts(f"//{host}"):
            return _refuse(
                421, f"`Host` must be one of `allowed_hosts`, got {host!r}; add it to them."
            )
        origin = headers.get(b"origin")
        if origin is not None and not self._accepts(origin.decode("latin-1")):
            return _refuse(
                403, "`Origin` must be one of `allowed_hosts`; ask from a page of these."
            )
        if scope.get("path") not in PROBES and not self._knows(headers.get(b"authorization", b"")):
            answer = _refuse(401, "`Authorization` must be `Bearer` and the token of the server.")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        return _refuse_type(scope, headers.get(b"content-type", b"").decode("latin-1"))

    def _accepts(self, url: str) -> bool:
        """Whether the host of a URL or origin is accepted."""
        if "*" in self._hosts:
            return True
        try:
            name = urlsplit(url).hostname or ""
        except ValueError:
            return False
        return name in self._hosts or (bool(ANY_ADDRESS & self._hosts) and _is_address(name))

    def _knows(self, authorization: bytes) -> bool:
        """Whether the token is right, in a time that does not depend on how much of it is."""
        if self._digest is None:
            return True
        kind, _, token = authorization.partition(b" ")
        return hmac.compare_digest(sha256(token.strip()).digest(), self._digest) and (
            kind.lower() == b"bearer"
        )


def read_token(file: str) -> str:
    """The token in a file, without outer blanks.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it holds no token, or one that can be guessed.
    """
    token = Path(file).read_text("utf-8").strip()
    if len(token) < FEWEST_TOKEN_CHARACTERS or not token.isascii() or len(token.split()) != 1:
        raise ValueError(
            f"`token_file` must hold a token of at least {FEWEST_TOKEN_CHARACTERS} ASCII "
            f"characters without blanks, got another content in {file}; make one with "
            "`openssl rand -hex 32`."
        )
    return token


def _refuse_type(scope: Scope, kind: str) -> JSONResponse | None:
    accepted = CONTENT_TYPES.get(scope.get("path", ""))
    if scope["method"] != "POST" or accepted is None or kind.lower().startswith(accepted):
        return None
    rule = " or ".join(f"{name}..." if name.endswith("/") else name for name in accepted)
    return _refuse(415, f"the content type must be {rule}; send it with `Content-Type: {rule}`.")


def _refuse(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, {"Connection": "close"})


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
