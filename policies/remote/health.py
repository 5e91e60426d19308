"""Health checks over HTTP."""

import http.client
from urllib.parse import urlsplit


def ask_healthz(uri: str, timeout: float) -> str:
    """Ask ``/healthz`` of the server at a WebSocket address; say in a sentence what it answers.

    Args:
        uri: Such as ``ws://localhost:8000``.
        timeout: Seconds that it may take.
    """
    address = urlsplit(uri)
    kind = http.client.HTTPSConnection if address.scheme == "wss" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=timeout)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse().read(80).decode(errors="replace").strip()
        return f"Its /healthz answers '{answer}'."
    except (OSError, http.client.HTTPException) as error:
        reason = (
            isinstance(error, OSError) and error.strerror
        ) or f"{type(error).__name__}: {error}"
        return f"Its /healthz does not answer ({' '.join(reason.split())})."
    finally:
        connection.close()
