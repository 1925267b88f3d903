"""The cluster's certificates: own authorities, and one certificate for each who speaks to another.

Three authorities, so that who may speak to the API server can neither speak to etcd nor pass for the API server's
front proxy.
"""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.cluster.layout import Layout

_VALID = datetime.timedelta(days=3650)
_RENEWED_BEFORE = datetime.timedelta(days=60)
_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Subject:
    """One certificate: `user` and `groups` are what Kubernetes takes from it; `names` makes it a server's too."""

    file: str
    authority: str
    user: str
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


AUTHORITIES = ("ca", "etcd-ca", "front-proxy-ca")


def subjects(layout: Layout) -> tuple[Subject, ...]:
    """Every certificate of the cluster."""
    kubernetes = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    api = (*kubernetes, f"{kubernetes[-1]}.{layout.domain}", "localhost", "127.0.0.1")
    metrics = ("metrics-server.kube-system.svc", layout.node_address)
    return (
        Subject("apiserver", "ca", "kube-apiserver", names=(*api, layout.node_address, layout.kubernetes_address)),
        Subject("apiserver-kubelet", "ca", "agent-fleet:apiserver"),
        Subject("apiserver-etcd", "etcd-ca", "kube-apiserver"),
        Subject("etcd", "etcd-ca", "etcd", names=("localhost", "127.0.0.1")),
        Subject("front-proxy", "front-proxy-ca", "agent-fleet:front-proxy"),
        Subject("admin", "ca", "agent-fleet:admin", ("system:masters",)),
        Subject("controller-manager", "ca", "system:kube-controller-manager"),
        Subject("scheduler", "ca", "system:kube-scheduler"),
        Subject("proxy", "ca", "system:kube-proxy"),
        Subject("kubelet", "ca", f"system:node:{layout.node_name}", ("system:nodes",)),
        Subject("kubelet-serving", "ca", layout.node_name, names=(layout.node_name, layout.node_address)),
        Subject("metrics-server", "ca", "agent-fleet:metrics-server"),
        Subject("metrics-server-serving", "ca", "metrics-server", names=metrics),
        Subject("dns", "ca", "agent-fleet:dns"),
        Subject("volumes", "ca", "agent-fleet:volumes"),
    )


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.rename(path)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    _write(
        path,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )
    return key


def _name(user: str, groups: Sequence[str] = ()) -> x509.Name:
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
            x509.NameAttribute(NameOID.COMMON_NAME, user),
        ]
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(folder: Path, name: str) -> None:
    key = _key(folder / f"{name}.key")
    subject = _name(f"agent-fleet {name}")
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _issue(folder: Path, subject: Subject) -> None:
    signer = serialization.load_pem_private_key((folder / f"{subject.authority}.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 - written by _authority
    authority = x509.load_pem_x509_certificate((folder / f"{subject.authority}.crt").read_bytes())
    key = _key(folder / f"{subject.file}.key")
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    # etcd speaks to itself with its serving certificate; Kubernetes' serving certificates are nobody's identity.
    if subject.names:
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] + (usages if subject.authority == "etcd-ca" else [])
    builder = (
        _builder(_name(subject.user, subject.groups), authority.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
    )
    if subject.names:
        names = [_alternative(name) for name in subject.names]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    _write(
        folder / f"{subject.file}.crt",
        builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
    )


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in extension}


def _usable(folder: Path, name: str, subject: Subject | None = None) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
        if subject is not None:
            authority = x509.load_pem_x509_certificate((folder / f"{subject.authority}.crt").read_bytes())
            certificate.verify_directly_issued_by(authority)
    except Exception:
        return False  # absent, cut short, or of an authority that is no more: made anew
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return False
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    if subject is not None and (
        _names(certificate) != set(subject.names) or certificate.subject != _name(subject.user, subject.groups)
    ):
        return False
    return left > _RENEWED_BEFORE


def ensure_certificates(layout: Layout) -> None:
    """Make what is missing, damaged or near its end; ten years each, since nobody watches over such a cluster."""
    folder = layout.certificates
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for authority in AUTHORITIES:
        if not _usable(folder, authority):
            _authority(folder, authority)
    for subject in subjects(layout):
        if not _usable(folder, subject.file, subject):
            _issue(folder, subject)
    if not (folder / "service-accounts.key").exists():
        _key(folder / "service-accounts.key")
    key = serialization.load_pem_private_key((folder / "service-accounts.key").read_bytes(), None)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    if not (folder / "service-accounts.pub").exists() or (folder / "service-accounts.pub").read_bytes() != public:
        _write(folder / "service-accounts.pub", public)
