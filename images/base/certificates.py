"""Which certificates this machine trusts besides the public ones, for downloads while images are built."""

import os
from pathlib import Path

_CHOSEN_BY = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")

# Where an administrator adds certificates, and the bundle that they end up in: Debian and Alpine, Fedora, Arch.
_SYSTEMS = (
    (Path("/usr/local/share/ca-certificates"), Path("/etc/ssl/certs/ca-certificates.crt")),
    (Path("/etc/pki/ca-trust/source/anchors"), Path("/etc/pki/tls/certs/ca-bundle.crt")),
    (Path("/etc/ca-certificates/trust-source/anchors"), Path("/etc/ssl/certs/ca-certificates.crt")),
)


def own_bundle() -> Path | None:
    """The machine's bundle if it is not the usual one: public certificates are in the images anyway."""
    for variable in _CHOSEN_BY:
        path = Path(os.environ.get(variable, ""))
        if path.is_file():
            return path
    for added, bundle in _SYSTEMS:
        if bundle.is_file() and added.is_dir() and any(each.is_file() for each in added.rglob("*")):
            return bundle
    return None
