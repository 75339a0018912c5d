"""What the options of ``tls_set`` come to. Certificates are files: reading them may block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .pem import load_authorities, load_cert_chain

if TYPE_CHECKING:
    import ssl

    from .._native import RustlsConfig
    from .tls_options import Options


def load(options: Options) -> ssl.SSLContext | RustlsConfig:
    """:raises ValueError, OSError: as for ``tls_set``."""
    if options.backend == "rustls":
        from . import rustls

        return rustls.configure(options)
    if options.backend != "ssl":
        raise ValueError(f'backend must be "ssl" or "rustls", not {options.backend!r}')
    return _context(options)


def _context(options: Options) -> ssl.SSLContext:
    import ssl

    version = options.tls_version
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if version is None else version)
    if version is None and context.minimum_version < ssl.TLSVersion.TLSv1_2:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.ciphers is not None:
        context.set_ciphers(options.ciphers)
    if options.certfile is not None:
        load_cert_chain(context, options.certfile, options.keyfile, options.keyfile_password)
    verifies = options.cert_reqs != ssl.CERT_NONE
    context.check_hostname = False  # which would not let the mode be CERT_NONE
    context.verify_mode = ssl.CERT_REQUIRED if options.cert_reqs is None else options.cert_reqs
    context.check_hostname = verifies
    if options.ca_certs is None:
        context.load_default_certs()
    else:
        load_authorities(context, options.ca_certs)
    if options.alpn_protocols is not None:
        context.set_alpn_protocols(options.alpn_protocols)
    return context
