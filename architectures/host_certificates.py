"""The certificates that this machine trusts, for downloads while images are built."""

import os
from pathlib import Path

from settings.problems import SettingsError

_CHOSEN_BY = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")

# Where an administrator adds certificates, and the bundle that they end up in: Debian and Alpine, Fedora, Arch.
_SYSTEMS = (
    (Path("/usr/local/share/ca-certificates"), Path("/etc/ssl/certs/ca-certificates.crt")),
    (Path("/etc/pki/ca-trust/source/anchors"), Path("/etc/pki/tls/certs/ca-bundle.crt")),
    (Path("/etc/ca-certificates/trust-source/anchors"), Path("/etc/ssl/certs/ca-certificates.crt")),
)


def ca_bundle(setting: str) -> str | None:
    """The PEM text that `fleet.images.build.ca_bundle` means, or None for the images' own certificates.

    Raises SettingsError where a path was given that holds no certificates.
    """
    if setting == "none":
        return None
    if setting == "auto":
        found = _own_bundle()
        return None if found is None else found.read_text(encoding="utf-8")
    try:
        text = Path(setting).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "not text" if isinstance(error, UnicodeDecodeError) else (error.strerror or "unreadable").lower()
        raise _refused(setting, reason) from error
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise _refused(setting, "no certificate in it")
    return text


def _own_bundle() -> Path | None:
    """The machine's bundle if it is not the usual one: public certificates are in the images anyway."""
    for variable in _CHOSEN_BY:
        path = Path(os.environ.get(variable, ""))
        if path.is_file():
            return path
    for added, bundle in _SYSTEMS:
        if bundle.is_file() and added.is_dir() and any(each.is_file() for each in added.rglob("*")):
            return bundle
    return None


def _refused(setting: str, reason: str) -> SettingsError:
    return SettingsError(
        [
            f'fleet.images.build.ca_bundle: given "{setting}" ({reason}); allowed: auto, none or the path of a PEM '
            "file with certificates."
        ]
    )
