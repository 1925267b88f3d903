"""Key files as cosign makes and reads them: an ECDSA key on P-256, closed with a password.

The format is that of `cosign generate-key-pair`: a PEM block around JSON that names scrypt and its parameters, and
holds a NaCl secretbox with the key in PKCS #8 (go-securesystemslib, package encrypted).
"""

import base64
import getpass
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from engine.errors import UserFacingError

PASSWORD = "COSIGN_PASSWORD"  # noqa: S105 - the variable's name, which is cosign's own
_BLOCK = re.compile(r"-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----\s+(.+?)\s+-----END ENCRYPTED \1", re.S)
_COSTS = (2**15, 2**16, 2**17)  # those that cosign itself accepts; another is a made-up file that eats memory
_COST = 2**16  # what cosign gives a new key: about 100 ms


@dataclass(frozen=True)
class SigningKey:
    """A private key that is open, in memory only."""

    private: ec.EllipticCurvePrivateKey

    @property
    def public_pem(self) -> str:
        """The public key as `cosign.pub` has it."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key's DER."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return hashlib.sha256(self.private.public_key().public_bytes(serialization.Encoding.DER, form)).hexdigest()

    def sign(self, message: bytes) -> bytes:
        """ECDSA over SHA-256 of the message, DER."""
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))


def read_key(file: Path, environment: Mapping[str, str] | None = None) -> SigningKey:
    """Open a key file with the password in COSIGN_PASSWORD, or one that is typed in; raises UserFacingError."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UserFacingError(
            f"KEY is {str(file)!r}, which cannot be read: {reason}.",
            "Give the private key of `cosign generate-key-pair`, or make one with `make images-key KEY=path`.",
        ) from None
    found = _BLOCK.search(text)
    if found is None:
        raise UserFacingError(
            f"KEY is {str(file)!r}, which is no private key in cosign's format (ENCRYPTED SIGSTORE PRIVATE KEY).",
            "`cosign import-key-pair --key` turns a PEM key into one; `make images-key KEY=path` makes a new one.",
        )
    try:
        box = json.loads(base64.b64decode(found[2]))
        plain = _opened(box, _password(file, os.environ if environment is None else environment))
    except CryptoError:
        raise UserFacingError(
            f"The password does not open KEY={file}.", f"Set {PASSWORD} to the key's password."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserFacingError(
            f"KEY is {str(file)!r}, whose content is damaged or of a kind that cosign does not write: {error}.",
            "Restore the file.",
        ) from None
    key = serialization.load_der_private_key(plain, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UserFacingError(
            f"KEY is {str(file)!r}, which holds a key that is not ECDSA on P-256.",
            "Give the private key of `cosign generate-key-pair` without other options.",
        )
    return SigningKey(key)


def make_key(file: Path, environment: Mapping[str, str] | None = None) -> Path:
    """Write a new key to `file` (only this user may read it) and its public half beside it, `.pub`; return the latter.

    Raises UserFacingError when one of them is there: a key that is written over cannot be had again.
    """
    public = file.with_suffix(".pub")
    for each in (file, public):
        if each.exists():
            raise UserFacingError(f"{each} is there already, and is not written over.", "Give another KEY=path.")
    password = _password(file, os.environ if environment is None else environment, twice=True)
    key = SigningKey(ec.generate_private_key(ec.SECP256R1()))
    encoded = base64.encodebytes(json.dumps(_closed(key, password)).encode()).decode()
    kind = "ENCRYPTED SIGSTORE PRIVATE KEY"
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
        target.write(f"-----BEGIN {kind}-----\n{encoded}-----END {kind}-----\n")
    public.write_text(key.public_pem)
    return public


def _closed(key: SigningKey, password: bytes) -> dict[str, Any]:
    plain = key.private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(SecretBox.NONCE_SIZE)
    sealed = SecretBox(Scrypt(salt, 32, _COST, 8, 1).derive(password)).encrypt(plain, nonce).ciphertext
    return {
        "kdf": {"name": "scrypt", "params": {"N": _COST, "r": 8, "p": 1}, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(sealed).decode(),
    }


def _opened(box: dict[str, Any], password: bytes) -> bytes:
    parameters = box["kdf"]["params"]
    if box["kdf"]["name"] != "scrypt" or box["cipher"]["name"] != "nacl/secretbox":
        raise ValueError("its cipher is not scrypt with nacl/secretbox")
    if parameters["N"] not in _COSTS or (parameters["r"], parameters["p"]) != (8, 1):
        raise ValueError("scrypt's parameters are none that cosign uses")
    key = Scrypt(base64.b64decode(box["kdf"]["salt"]), 32, parameters["N"], 8, 1).derive(password)
    return SecretBox(key).decrypt(base64.b64decode(box["ciphertext"]), base64.b64decode(box["cipher"]["nonce"]))


def _password(file: Path, environment: Mapping[str, str], *, twice: bool = False) -> bytes:
    given = environment.get(PASSWORD)
    if given is not None:
        return given.encode()
    if not sys.stdin.isatty():
        raise UserFacingError(
            f"KEY={file} needs its password, and there is no terminal to ask at.",
            f"Set {PASSWORD} (empty for a key without a password).",
        )
    typed = getpass.getpass(f"Password of {file}: ")
    if twice and getpass.getpass("Once more: ") != typed:
        raise UserFacingError("The two passwords are not the same.", "Run the command again.")
    return typed.encode()
