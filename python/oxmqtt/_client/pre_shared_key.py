"""TLS with pre-shared keys in place of certificates (RFC 4279), on Python 3.13 and later."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

#: Identity and key.
PreSharedKey = tuple[str, bytes]

#: Forward secrecy first; none that needs a certificate besides.
_CIPHERS = "kECDHEPSK:kDHEPSK:kPSK:!eNULL:!3DES:!RC4"


class KeySource:
    """Asks the program for its key at every handshake, and keeps what it raised meanwhile."""

    def __init__(self, callback: Callable[..., PreSharedKey]) -> None:
        self._callback = callback
        self._takes_hint = takes_argument(callback)
        self.error: BaseException | None = None

    def __call__(self, hint: str | None) -> tuple[str | None, bytes]:
        """What ``ssl`` calls; it would print an exception and go on."""
        try:
            identity, key = self._callback(hint) if self._takes_hint else self._callback()
            if not isinstance(identity, str) or not isinstance(key, bytes):
                raise TypeError("identity must be str and key bytes")
        except BaseException as error:
            self.error = error
            return None, b""
        return identity, key

    def raise_error(self) -> None:
        """Raises what the program has raised, once."""
        error, self.error = self.error, None
        if error is not None:
            raise error


def takes_argument(callback: Callable[..., Any]) -> bool:
    import inspect

    try:
        inspect.signature(callback).bind()
    except TypeError:
        return True
    except ValueError:  # built in, and says nothing
        pass
    return False


def context_for(source: KeySource) -> ssl.SSLContext:
    """TLS 1.2 with suites that a server without the key cannot use.

    Under TLS 1.3 a server may answer the offer of a key with a certificate, which nobody would verify.

    :raises NotImplementedError: Python is older than 3.13.
    """
    if sys.version_info < (3, 13):
        raise NotImplementedError("pre-shared keys need Python 3.13 or later")
    import ssl

    if not ssl.HAS_PSK:
        raise NotImplementedError("the TLS library of this Python has no pre-shared keys")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_psk_client_callback(source)
    return context
