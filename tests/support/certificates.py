"""Certificates made by openssl while the tests run: authorities, servers, clients, good and bad ones.

`Authority` signs; `Identity` is a certificate with its key, as files. Keys are elliptic (fast to make)
unless a test wants another kind.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

#: A certificate for the host that the tests connect to.
LOCALHOST = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
SERVER_USAGE = "extendedKeyUsage=serverAuth"

_numbers = itertools.count(1)


def openssl(*words: str | Path, text: str = "") -> str:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl on PATH")
    done = subprocess.run(
        [program, *map(str, words)], input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"openssl {words}: {done.stderr}"
    return done.stdout


class Identity(NamedTuple):
    """PEM files; `chain` is what a server sends, `certificate` the first of it."""

    certificate: Path
    key: Path
    chain: Path

    def pem(self) -> tuple[str, str]:
        return self.certificate.read_text(), self.key.read_text()


def make_key(path: Path, kind: str = "EC", option: str = "ec_paramgen_curve:P-256") -> Path:
    openssl("genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", path)
    return path


class Authority:
    """A certificate authority, its own root or below another one."""

    def __init__(
        self, folder: Path, name: str = "Test Root", parent: Authority | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = name
        self.parent = parent
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        if parent is None:
            self.key = make_key(folder / "ca.key")
            self.certificate = folder / "ca.crt"
            words = [word for extension in extensions for word in ("-addext", extension)]
            openssl(
                *("req", "-x509", "-new", "-sha256", "-key", self.key, "-subj", f"/CN={name}"),
                *("-days", "30", *words, "-out", self.certificate),
            )
        else:
            made = parent.issue(name, extensions, file="ca", folder=folder)
            self.certificate, self.key = made.certificate, made.key

    def revocations(self) -> str:
        """A revocation list, in PEM, with nothing on it."""
        index, config, made = (
            self.folder / f"revocations.{end}" for end in ("index", "cnf", "crl")
        )
        index.write_text("")
        config.write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={index}\n")
        openssl(
            *("ca", "-gencrl", "-config", config, "-cert", self.certificate, "-keyfile", self.key),
            *("-md", "sha256", "-crldays", "30", "-out", made),
        )
        return made.read_text()

    def issue(
        self,
        name: str = "localhost",
        extensions: tuple[str, ...] = (LOCALHOST, SERVER_USAGE),
        *,
        days: tuple[str, str] | None = None,
        key: Path | None = None,
        digest: str = "sha256",
        file: str = "",
        folder: Path | None = None,
    ) -> Identity:
        """A certificate for `name`; `days` are its first and last moment (YYMMDDHHMMSSZ)."""
        folder = folder or self.folder
        file = file or f"{len(list(folder.iterdir()))}"
        key = key or make_key(folder / f"{file}.key")
        request, certificate, config = (folder / f"{file}.{end}" for end in ("csr", "crt", "cnf"))
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        index = folder / f"{file}.index"
        index.write_text("")
        sections = "\n".join(extensions)
        config.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={index}\nnew_certs_dir={folder}\nrand_serial=yes\n"
            "policy=any\nunique_subject=no\nemail_in_dn=no\n"
            f"[any]\ncommonName=supplied\n[extensions]\n{sections}\n"
        )
        when = ("-days", "30") if days is None else ("-startdate", days[0], "-enddate", days[1])
        openssl(
            *("ca", "-batch", "-notext", "-config", config, "-cert", self.certificate),
            *("-keyfile", self.key, "-md", digest, "-extensions", "extensions", *when),
            *("-in", request, "-out", certificate),
        )
        chain = folder / f"{file}.chain"
        parents = "" if self.parent is None else self.certificate.read_text()
        chain.write_text(certificate.read_text() + parents)
        return Identity(certificate, key, chain)
