"""A port of this machine that nobody listens on."""

import socket


def find_free_port() -> int:
    """Its number; it may be taken by another process until it is used."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
    return port
