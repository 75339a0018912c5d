"""Certificates and keys that come as PEM text instead of files (RFC 7468)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

_BEGIN = "-----BEGIN "


def text_of(source: str | bytes | os.PathLike[str] | None) -> str | None:
    """The PEM text, or None if it is a path."""
    if isinstance(source, bytes) and _BEGIN.encode() in source:
        return source.decode("ascii", "replace")
    return source if isinstance(source, str) and _BEGIN in source else None


def load_authorities(context: ssl.SSLContext, authorities: Any) -> None:
    text = text_of(authorities)
    if text is not None:
        context.load_verify_locations(cadata=text)
    elif os.path.isdir(authorities):
        context.load_verify_locations(capath=authorities)
    else:
        context.load_verify_locations(authorities)


def load_cert_chain(context: ssl.SSLContext, certfile: Any, keyfile: Any, password: Any) -> None:
    """``ssl`` reads a client's certificate and key from files only, so text gets one for a moment."""
    with ExitStack() as files:

        def path_of(source: Any) -> Any:
            text = text_of(source)
            return source if text is None else files.enter_context(_as_file(text))

        context.load_cert_chain(path_of(certfile), path_of(keyfile), password)


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A path to read the text from: in memory where the system can, else only the user's."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("oxmqtt")
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    import tempfile

    descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        yield path
    finally:
        os.unlink(path)
