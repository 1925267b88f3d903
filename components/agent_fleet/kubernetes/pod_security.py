"""The Pod Security Standard that every namespace of a fleet holds its pods to."""

from collections.abc import Mapping

POD_SECURITY_VERSION = "v1.34"
"""Pinned, so that an upgrade of the cluster does not change what is refused. Older clusters take their own latest."""

_MODES = ("enforce", "audit", "warn")

POD_SECURITY: Mapping[str, str] = {
    **{f"pod-security.kubernetes.io/{mode}": "restricted" for mode in _MODES},
    **{f"pod-security.kubernetes.io/{mode}-version": POD_SECURITY_VERSION for mode in _MODES},
}
"""`warn` beside `enforce`, because a Deployment whose pods would be refused is itself accepted."""
