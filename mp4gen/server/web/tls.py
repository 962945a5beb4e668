"""Loads and checks the server's certificate; opens no connection."""

import contextlib
import ssl
from pathlib import Path
from typing import Any

import attrs

from mp4gen.errors import ConfigurationError
from mp4gen.server.config import ServerConfig

# The verify codes of OpenSSL that concern the clock.
_PROBLEMS = {9: "is not valid yet", 10: "has expired"}
# The second is the reason if the key is of another kind, for instance RSA and an elliptic curve.
_MISMATCHES = {"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
_TOO_WEAK = {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}
_MAX_HANDSHAKE_STEPS = 8


@attrs.frozen
class Certificate:
    """A certificate that browsers and clients can use now.

    Attributes:
        context: The TLS settings of the server.
        names: The names and addresses that it is valid for.
        expires: When it expires, as it says itself.
    """

    context: ssl.SSLContext
    names: tuple[str, ...]
    expires: str


def load_certificate(config: ServerConfig) -> Certificate | None:
    """Return the certificate of the server, or None if it speaks plain HTTP.

    Raises:
        ConfigurationError: The certificate or its key cannot be used; the text says why.
    """
    if config.tls_cert is None or config.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for option, path in (("--tls-cert", config.tls_cert), ("--tls-key", config.tls_key)):
        _check_readable(option, path)
    try:
        context.load_cert_chain(config.tls_cert, config.tls_key, password=_refuse_password)
    except ssl.SSLError as error:
        raise ConfigurationError(_problem(config.tls_cert, config.tls_key, error)) from None
    return _verify(context, config.tls_cert)


def _check_readable(option: str, path: Path) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise ConfigurationError(
            f"Cannot read {path} for {option}: {error.strerror}. Use a PEM file."
        ) from None


def _refuse_password() -> str:
    # Without this, OpenSSL would ask for it on the terminal.
    raise ConfigurationError(
        "Invalid --tls-key: it is encrypted with a password. Use a key without one; "
        "`openssl pkey` removes it."
    )


def _problem(certificate: Path, key: Path, error: ssl.SSLError) -> str:
    if error.reason in _MISMATCHES:
        return (
            f"The key {key} does not belong to the certificate {certificate}. "
            "Use the two files that were made together."
        )
    try:
        ssl.create_default_context().load_verify_locations(certificate)
    except ssl.SSLError:
        return f"Invalid --tls-cert: {certificate}. Use a PEM file with the certificate."
    if error.reason in _TOO_WEAK:
        return f"The certificate {certificate} is too weak. Make one with 2048 bits or more."
    return f"Invalid --tls-key: {key}. Use a PEM file with the private key."


def _verify(context: ssl.SSLContext, path: Path) -> Certificate:
    """Shake hands with the server's settings in memory, as a client that trusts the certificate."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(path)
    upstream, downstream = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(downstream, upstream)
    server = context.wrap_bio(upstream, downstream, server_side=True)
    try:
        for _ in range(_MAX_HANDSHAKE_STEPS):
            for side in (client, server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        problem = _PROBLEMS.get(error.verify_code, f"is not valid ({error.verify_message})")
        raise ConfigurationError(
            f"The certificate {path} {problem}. Make a new one, or correct the clock."
        ) from None
    details: dict[str, Any] = client.getpeercert() or {}
    names = tuple(str(name[1]) for name in details.get("subjectAltName", ()))
    return Certificate(context, names, str(details.get("notAfter", "")))
