"""The files of the one-node cluster: certificates, configuration, objects; and which cluster a kubeconfig means."""

import json
import ssl
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from engine.cluster import certificates, configuration, image_import
from engine.cluster.image_import import Kind, Target
from engine.cluster.layout import Layout
from engine.cluster.parts import Parts
from engine.cluster.programs import Programs
from engine.errors import UserFacingError
from engine.paths import CHECKOUT

_OWN = "https://10.244.255.254:16443"


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    """The layout of a cluster with certificates and configuration."""
    layout = Layout(tmp_path / "cluster", tmp_path / "logs")
    certificates.ensure_certificates(layout)
    configuration.write(layout)
    return layout


def _loaded(place: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((place.certificates / f"{name}.crt").read_bytes())


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_writing_again_changes_no_file(place: Layout) -> None:
    """Prevents a `make cluster` that restarts everything because a key was made anew."""
    before = _contents(place.folder)
    certificates.ensure_certificates(place)
    configuration.write(place)
    assert _contents(place.folder) == before


def test_a_damaged_certificate_is_made_anew_and_only_that(place: Layout) -> None:
    """Prevents a disk that filled up once from costing the whole cluster."""
    before = _contents(place.certificates)
    (place.certificates / "kubelet.crt").write_bytes(before[place.certificates / "kubelet.crt"][:100])
    certificates.ensure_certificates(place)
    changed = {path.name for path, content in _contents(place.certificates).items() if before[path] != content}
    assert changed == {"kubelet.crt", "kubelet.key"}


def test_a_new_authority_renews_what_it_signed(place: Layout) -> None:
    """Prevents certificates that nobody trusts any more."""
    (place.certificates / "etcd-ca.key").unlink()
    before = _contents(place.certificates)
    certificates.ensure_certificates(place)
    after = _contents(place.certificates)
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed == {"etcd-ca.crt", "etcd.crt", "etcd.key", "apiserver-etcd.crt", "apiserver-etcd.key"}


def test_every_key_is_readable_by_its_user_only(place: Layout) -> None:
    """Prevents other users of the machine from becoming the administrator."""
    keys = list(place.certificates.glob("*.key"))
    assert len(keys) == len(certificates.subjects(place)) + len(certificates.AUTHORITIES) + 1
    assert all(path.stat().st_mode & 0o077 == 0 for path in [*keys, place.kubeconfig])


def test_a_servers_certificate_is_nobodys_identity(place: Layout) -> None:
    """Prevents the API server's own certificate from speaking to it as a user."""
    for subject in certificates.subjects(place):
        usages = _loaded(place, subject.file).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        identity = ExtendedKeyUsageOID.CLIENT_AUTH in usages
        assert identity == (not subject.names or subject.authority == "etcd-ca"), subject.file


def test_only_the_administrator_is_a_master(place: Layout) -> None:
    """Prevents a part of the cluster that may do everything because that was simpler."""
    masters = [subject.user for subject in certificates.subjects(place) if "system:masters" in subject.groups]
    assert masters == ["agent-fleet:admin"]


def test_python_accepts_the_chain(place: Layout) -> None:
    """Prevents clients with strict checks (Python 3.13's are) from refusing the API server."""
    context = ssl.create_default_context(cafile=str(place.certificates / "ca.crt"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(place.certificates / "admin.crt", place.certificates / "admin.key")
    for name in certificates.AUTHORITIES:
        extensions = _loaded(place, name).extensions
        assert extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert extensions.get_extension_for_class(x509.BasicConstraints).critical


def test_no_part_listens_on_an_address_that_other_machines_reach(place: Layout, tmp_path: Path) -> None:
    """Prevents a control plane on the office's network."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in (
        *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
        *("coredns", "metrics-server", "volumes"),
    ):
        (programs / name).touch()
    for part in Parts(place, Programs(programs, programs, programs)).all():
        text = " ".join([*part.command, *(path.read_text() for path in part.inputs if path.suffix != ".key")])
        assert "0.0.0.0:" not in text, part.name
        assert "address=0.0.0.0" not in text, part.name
        assert all(path.exists() for path in part.inputs), part.name
        assert part.inputs, part.name


def test_the_kubelet_and_the_database_ask_who_calls(place: Layout) -> None:
    """Prevents a node on which any process of the machine runs commands in any pod."""
    kubelet = json.loads((place.configuration / "kubelet.json").read_text())
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet["authorization"] == {"mode": "Webhook"}
    assert kubelet["podPidsLimit"] > 0
    assert kubelet["seccompDefault"]


def test_the_objects_of_the_cluster_are_whole(place: Layout) -> None:
    """Prevents a placeholder that no field fills, found at the first start only."""
    values = vars(place) | {"authority": "QUJD"}
    for name in ("objects.yaml", "metrics.yaml"):
        text = (CHECKOUT / "engine" / "cluster" / name).read_text()
        for document in yaml.safe_load_all(Template(text).substitute(values)):
            assert document["kind"]
            assert document["metadata"]["name"]


@pytest.mark.parametrize("nameservers", [True, False])
def test_names_are_served_without_a_name_server_of_the_machine(place: Layout, nameservers: bool) -> None:
    """Prevents a cluster that does not come up on a machine without a network."""
    assert ("forward . " in configuration.name_service(place, nameservers)) == nameservers


def _kubeconfig(context: str, server: str) -> dict[str, Any]:
    return {
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
    }


@pytest.mark.parametrize(
    ("context", "server", "expected"),
    [
        ("agent-fleet-cluster", _OWN, Target(Kind.OWN, "agent-fleet-cluster")),
        ("kind-test", "https://127.0.0.1:40000", Target(Kind.KIND, "test")),
        ("k3d-test", "https://0.0.0.0:40000", Target(Kind.K3D, "test")),
        ("default", "https://127.0.0.1:6443", Target(Kind.K3S, "default")),
        ("docker-desktop", "https://kubernetes.docker.internal:6443", Target(Kind.DOCKER_DESKTOP, "docker-desktop")),
        ("minikube", "https://192.168.49.2:8443", Target(Kind.MINIKUBE, "minikube")),
    ],
)
def test_the_kind_of_a_cluster_shows_in_its_context(context: str, server: str, expected: Target) -> None:
    """Prevents images from being imported into another cluster than the one that is deployed to."""
    assert image_import.target(_kubeconfig(context, server), None, _OWN, True) == expected


def test_a_cluster_elsewhere_takes_no_import() -> None:
    """Prevents an import that reports success and reaches no node."""
    kubeconfig = _kubeconfig("prod", "https://eks.example.com")
    with pytest.raises(UserFacingError) as raised:
        image_import.target(kubeconfig, None, _OWN, True)
    assert "images.registry" in raised.value.remedy
    with pytest.raises(UserFacingError, match="no context 'other'"):
        image_import.target(kubeconfig, "other", _OWN, True)
