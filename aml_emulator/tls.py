"""A certificate authority for one emulator, and the bundle that makes Python clients trust it.

May import: trustme, certifi.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import certifi
import trustme


def new_authority() -> str:
    """A certificate authority with its private key, as PEM."""
    authority = trustme.CA(organization_name="aml-emulator")
    return (authority.cert_pem.bytes() + authority.private_key_pem.bytes()).decode()


def make_bundle(folder: Path, authority_pem: str) -> ssl.SSLContext:
    """Writes ca.pem and ca-bundle.pem (public CAs and ours); gives the server's context."""
    authority = trustme.CA.from_pem(authority_pem.encode(), authority_pem.encode())
    leaf = authority.issue_cert("127.0.0.1", "localhost", "::1")
    own = authority.cert_pem.bytes()
    (folder / "ca.pem").write_bytes(own)
    (folder / "ca-bundle.pem").write_bytes(Path(certifi.where()).read_bytes() + b"\n" + own)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    key_file = folder / "server.pem"
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(leaf.private_key_and_cert_chain_pem.bytes())
    context.load_cert_chain(key_file)
    key_file.unlink()
    return context
