"""The broker's certificate and the TLS handshake, in words: for ``oxmqtt doctor``."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
import time
from typing import Any, NamedTuple

#: OpenSSL's codes of a failed verification (x509_vfy.h).
_NOT_YET, _EXPIRED, _SELF_SIGNED = 9, 10, 18
_UNTRUSTED = (19, 20, 21)
_WRONG_NAME = (62, 64)
#: What OpenSSL says where the other side speaks something else.
_NO_TLS = (
    *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"),
    # The length that OpenSSL finds in a CONNACK of MQTT 5.0.
    "PACKET_LENGTH_TOO_LONG",
)
_OLD_TLS = ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION")
_WANTS_CERTIFICATE = (
    *("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE",
)
_REFUSES_CERTIFICATE = (
    *("TLSV1_ALERT_UNKNOWN_CA", "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
    *("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"),
)
#: Seconds for an alert to come: in TLS 1.3 the client is through before the broker has looked at its certificate.
_ALERT_SECONDS = 0.3
_DAY = 86_400


class Certificate(NamedTuple):
    """What a person wants to know of it."""

    subject: str
    issuer: str
    names: list[str]
    expires: str
    days_left: int


def _common_name(pairs: Any) -> str:
    found = {key: value for pair in pairs for key, value in pair}
    return str(found.get("commonName") or found.get("organizationName") or "without a name")


def describe(decoded: dict[str, Any]) -> Certificate:
    """From the form of ``SSLSocket.getpeercert()``."""
    expires = ssl.cert_time_to_seconds(decoded["notAfter"])
    names = [name for _kind, name in decoded.get("subjectAltName", ())]
    return Certificate(
        _common_name(decoded.get("subject", ())),
        _common_name(decoded.get("issuer", ())),
        names,
        time.strftime("%Y-%m-%d", time.gmtime(expires)),
        int((expires - time.time()) // _DAY),
    )


def look(dialled: socket.socket, name: str) -> Certificate | None:
    """The certificate of a broker, trusted or not; None where it shows none that Python can read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with context.wrap_socket(dialled, server_hostname=name) as wrapped:
            encoded = wrapped.getpeercert(binary_form=True)
    except OSError:
        return None
    # Python decodes only what it has verified, but for this.
    decode = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    if encoded is None or decode is None:
        return None
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        with open(descriptor, "w") as file:
            file.write(ssl.DER_cert_to_PEM_cert(encoded))
        return describe(decode(path))
    except (OSError, ValueError, KeyError):
        return None
    finally:
        os.unlink(path)


def alert_after(wrapped: ssl.SSLSocket) -> None:
    """Raises what the broker says about the client's certificate, if it says it at once."""
    wrapped.settimeout(_ALERT_SECONDS)
    try:
        if wrapped.recv(1) == b"":
            raise ssl.SSLEOFError(8, "the broker closed the connection after the handshake")
    except socket.timeout:
        return  # a broker waits for CONNECT


def explain(error: OSError, seen: Certificate | None, host: str, has_own: bool) -> tuple[str, str]:
    """What is wrong, and what to do; ``has_own``: the client shows a certificate."""
    code = getattr(error, "verify_code", None)
    reason = getattr(error, "reason", None) or ""
    if code is not None:
        return _untrusted(code, getattr(error, "verify_message", "") or str(error), seen, host)
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "the handshake gets no answer", "The port may not speak TLS: try mqtt:// or ws://."
    if reason in _NO_TLS:
        return (
            "the port does not speak TLS",
            "Use mqtt:// or ws://, or the port for TLS, usually 8883.",
        )
    if reason in _OLD_TLS:
        return (
            "the broker speaks only versions before TLS 1.2",
            "Update the broker or its settings.",
        )
    if reason in _REFUSES_CERTIFICATE:
        what = "the broker does not accept the client's certificate"
        return what, "It must be signed by an authority that the broker trusts, and be valid today."
    if reason in _WANTS_CERTIFICATE and not has_own:
        return "the broker asks for a client's certificate", "Add certfile and keyfile to the URL."
    if isinstance(error, ssl.SSLEOFError) or isinstance(error, ConnectionError):
        remedy = "The port may not speak TLS (try mqtt://), or it wants a client's certificate (certfile)."
        return "the broker closes the connection in the handshake", remedy
    return f"the handshake failed: {error.strerror or error}", "Look into the broker's log."


def _untrusted(code: int, message: str, seen: Certificate | None, host: str) -> tuple[str, str]:
    issuer = f" of {seen.issuer}" if seen else ""
    if code == _EXPIRED:
        when = f" on {seen.expires}, {-seen.days_left} days ago" if seen else ""
        return f"the certificate has expired{when}", "Renew the broker's certificate."
    if code == _NOT_YET:
        return "the certificate is not yet valid", "Is the clock of this machine right?"
    if code == _SELF_SIGNED:
        return "the certificate is signed by itself", "Give it as ca_certs in the URL to trust it."
    if code in _UNTRUSTED:
        remedy = (
            "Give the certificate of its authority as ca_certs in the URL; or the broker leaves out an "
            "intermediate certificate."
        )
        return f"the authority{issuer} that signed the certificate is not trusted here", remedy
    if code in _WRONG_NAME:
        names = ", ".join(seen.names or [seen.subject]) if seen else "another name"
        remedy = (
            "Connect to one of its names, or say by server_hostname in the URL which to expect."
        )
        return f"the certificate is for {names}, not for {host}", remedy
    return f"the certificate cannot be verified: {message}", "Look at the broker's certificate."
