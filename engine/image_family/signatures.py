"""Signatures and attestations in cosign's format, made without cosign.

A signature is ECDSA over a small JSON that names the manifest's digest (Simple Signing); an attestation is a DSSE
envelope around an in-toto statement. Both are layers of a manifest of their own beside the image:
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md. There is no transparency log: `cosign verify`
needs `--key` and `--insecure-ignore-tlog`.
"""

import base64
import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.errors import UserFacingError
from engine.image_family.oci_layout import CONFIG, IMAGE_KIND, Layout
from engine.image_family.signing_key import SigningKey

SIGNATURES = "dev.cosignproject.cosign/sigs"
ATTESTATIONS = "dev.cosignproject.cosign/atts"
TAG_ENDINGS = {SIGNATURES: "sig", ATTESTATIONS: "att"}
"""Where cosign looks in a registry: the tag `sha256-<digest>.<ending>` of the image's own repository."""

_SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_STATEMENT = "application/vnd.in-toto+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"


def sign(layout: Layout, repository: str, statements: list[dict[str, Any]], key: SigningKey) -> None:
    """Add the image's signature and its signed statements to the layout, in place of older ones."""
    image = layout.manifest(IMAGE_KIND)
    if image is None:
        raise UserFacingError(f"{layout.folder} holds no image to sign.", "Remove the folder, and build again.")
    payload = _compact(
        {
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": image["digest"]},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )
    signature = base64.b64encode(key.sign(payload)).decode()
    _add(layout, SIGNATURES, [(payload, _SIMPLE_SIGNING, {_SIGNATURE: signature})])
    envelopes = [
        (_envelope(each, key), _ENVELOPE, {_SIGNATURE: "", "predicateType": str(each["predicateType"])})
        for each in statements
    ]
    _add(layout, ATTESTATIONS, envelopes)


def verify(layout: Layout, public_pem: str) -> list[dict[str, Any]]:
    """Check every signature in the layout against the image in it; return the signed statements.

    Raises UserFacingError for the first that is missing, not made by the key, or about another image.
    """
    with readable(str(layout.folder)):
        return _verified(layout, public_pem)


@contextmanager
def readable(what: str) -> Generator[None]:
    """Raise UserFacingError for signatures and attestations that are not of their format."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise UserFacingError(
            f"{what}: a signature or an attestation is damaged ({type(error).__name__}: {error}).",
            "Use none of it. Sign and push the image again: `make images PUSH=1 KEY=path`.",
        ) from None


def _verified(layout: Layout, public_pem: str) -> list[dict[str, Any]]:
    public = serialization.load_pem_public_key(public_pem.encode())
    image = layout.manifest(IMAGE_KIND)
    if image is None or not isinstance(public, ec.EllipticCurvePublicKey):
        raise UserFacingError(f"{layout.folder} holds no image, or the key is no ECDSA key.", "Build and sign it anew.")
    for payload, annotations in _layers(layout, SIGNATURES):
        _check(public, base64.b64decode(annotations[_SIGNATURE]), payload, "the image's signature")
        signed = json.loads(payload)["critical"]["image"]["docker-manifest-digest"]
        if signed != image["digest"]:
            raise UserFacingError(f"The signature is about {signed}, and the image is {image['digest']}.", "Sign anew.")
    statements: list[dict[str, Any]] = []
    for content, annotations in _layers(layout, ATTESTATIONS):
        envelope = json.loads(content)
        body = base64.b64decode(envelope["payload"])
        signature = base64.b64decode(envelope["signatures"][0]["sig"])
        what = f"the attestation {annotations['predicateType']}"
        _check(public, signature, _encoded(envelope["payloadType"], body), what)
        statement: dict[str, Any] = json.loads(body)
        if [each["digest"]["sha256"] for each in statement["subject"]] != [image["digest"].removeprefix("sha256:")]:
            raise UserFacingError(f"{what} is about another image than {image['digest']}.", "Sign anew.")
        statements.append(statement)
    return statements


def _check(public: ec.EllipticCurvePublicKey, signature: bytes, message: bytes, what: str) -> None:
    try:
        public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise UserFacingError(
            f"{what[0].upper()}{what[1:]} was not made by this key, or what it signs was changed.",
            "Check which key signed; a changed image must not be used.",
        ) from None


def _layers(layout: Layout, kind: str) -> list[tuple[bytes, dict[str, str]]]:
    found = layout.manifest(kind)
    if found is None:
        raise UserFacingError(f"{layout.folder} has no {TAG_ENDINGS[kind]}: it is not signed.", "Sign it: KEY=path.")
    manifest = json.loads(layout.blob(found["digest"]).read_bytes())
    if not manifest["layers"]:
        raise UserFacingError(f"{layout.folder} has a {TAG_ENDINGS[kind]} without any signature.", "Sign it: KEY=path.")
    return [(layout.blob(each["digest"]).read_bytes(), each["annotations"]) for each in manifest["layers"]]


def _add(layout: Layout, kind: str, contents: list[tuple[bytes, str, dict[str, str]]]) -> None:
    layers = [
        {"mediaType": media_type, **layout.put(content), "annotations": annotations}
        for content, media_type, annotations in contents
    ]
    # Registries want a configuration, and for what is no file system one that names its layers and nothing else.
    config = {
        "architecture": "",
        "os": "",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in layers]},
    }
    layout.add_manifest(kind, {"mediaType": CONFIG, **layout.put(_compact(config))}, layers)


def _envelope(statement: dict[str, Any], key: SigningKey) -> bytes:
    body = _compact(statement)
    signature = base64.b64encode(key.sign(_encoded(_STATEMENT, body))).decode()
    return _compact(
        {
            "payloadType": _STATEMENT,
            "payload": base64.b64encode(body).decode(),
            "signatures": [{"keyid": "", "sig": signature}],
        }
    )


def _encoded(payload_type: str, body: bytes) -> bytes:
    # DSSE's pre-authentication encoding: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(body), body)


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
