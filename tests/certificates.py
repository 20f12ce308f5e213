"""Who vouches for a broker in the tests? An authority that lives as long as the run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Begun yesterday, for machines whose clocks differ.
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
LASTS = timedelta(days=30)


class Authority:
    """Signs certificates; its own is in `file`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("An authority of the tests")
        found = _certificate(self._name, self._name, self._key.public_key())
        found = found.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        file.write_bytes(found.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def certificate(self, file: Path, host: str) -> Path:
        """A new key, and a certificate that says it belongs to this host (a name or an address), one behind the other in
        this file."""
        key = ec.generate_private_key(ec.SECP256R1())
        found = _certificate(_name(host), self._name, key.public_key())
        found = found.add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        public = found.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        file.write_bytes(private + public)
        return file


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(of: x509.Name, by: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(of)
        .issuer_name(by)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(YESTERDAY)
        .not_valid_after(YESTERDAY + LASTS)
    )
