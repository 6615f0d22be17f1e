"""The keys and certificates of one control plane: made once, kept private, good for longer than anybody asks."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .files import made_whole, write_private
from .ports import LOOPBACK

YEARS = 20


@dataclass(frozen=True)
class Pki:
    """Where the files are, by what they are for."""

    directory: Path

    @property
    def ca(self) -> Path:
        """The authority that servers and clients of the API server trust."""
        return self.directory / "ca.crt"

    @property
    def etcd_ca(self) -> Path:
        """The authority that etcd and its one client trust."""
        return self.directory / "etcd-ca.crt"

    @property
    def service_account_public_key(self) -> Path:
        """What the API server checks service account tokens with."""
        return self.directory / "service-account.pub"

    def certificate(self, name: str) -> Path:
        """The certificate of ``apiserver``, ``admin``, ``etcd-server`` or ``etcd-client``."""
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The private key that belongs to `certificate`, or that of ``service-account``."""
        return self.directory / f"{name}.key"


def ensure(directory: Path) -> Pki:
    """The files in `directory`, made all together if they are missing."""
    if not directory.is_dir():
        with made_whole(directory) as draft:
            _make(Pki(draft))
    return Pki(directory)


def _make(pki: Pki) -> None:
    ca_key, ca = _authority("innkeeper")
    etcd_key, etcd_ca = _authority("innkeeper-etcd")
    _write_certificate(pki.ca, ca)
    _write_certificate(pki.etcd_ca, etcd_ca)
    for name, common_name, organisation, authority in (
        ("apiserver", "kube-apiserver", None, (ca_key, ca)),
        ("admin", "innkeeper-admin", "system:masters", (ca_key, ca)),
        ("etcd-server", "etcd", None, (etcd_key, etcd_ca)),
        ("etcd-client", "kube-apiserver", None, (etcd_key, etcd_ca)),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        _write_certificate(pki.certificate(name), _leaf(common_name, organisation, key, *authority))
        _write_key(pki.key(name), key)
    service_accounts = ec.generate_private_key(ec.SECP256R1())
    _write_key(pki.key("service-account"), service_accounts)
    public = service_accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(pki.service_account_public_key, public.decode())


def _authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name, None)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    built = (
        _builder(subject, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, built.sign(key, hashes.SHA256())


def _leaf(
    common_name: str,
    organisation: str | None,
    key: ec.EllipticCurvePrivateKey,
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
) -> x509.Certificate:
    names = [
        x509.DNSName("localhost"),
        x509.DNSName("kubernetes"),
        x509.DNSName("kubernetes.default.svc"),
        x509.IPAddress(ipaddress.ip_address(LOOPBACK)),
        x509.IPAddress(ipaddress.ip_address("10.96.0.1")),
    ]
    built = (
        _builder(_name(common_name, organisation), ca.subject, key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
    )
    return built.sign(ca_key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=365 * YEARS))
    )


def _name(common_name: str, organisation: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    write_private(path, certificate.public_bytes(serialization.Encoding.PEM).decode())


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, text.decode())
