"""Pushes an OCI layout to a registry as it is, so that what was verified and signed is what is there.

`docker push` would compress the layers again, to another digest. Protocol:
https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md. Logins are Docker's own (`docker login`).
"""

import ipaddress
import json
import re
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode, urljoin, urlsplit

import docker.auth
import urllib3
from urllib3.exceptions import HTTPError

from engine.errors import UserFacingError
from engine.image_family.oci_layout import IMAGE_KIND, INDEX, MANIFEST, Layout
from engine.image_family.signatures import TAG_ENDINGS

_CONNECT_SECONDS, _READ_SECONDS = 10.0, 300.0
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Registry:
    """A registry at `host[:port]`, below which the images have the path `path`."""

    def __init__(self, address: str) -> None:
        """`address` is what REGISTRY says. Only to this machine's own addresses plain HTTP is spoken, as by Docker."""
        self.host, _, self.path = address.partition("/")
        self._scheme = "http" if _is_own(self.host) else "https"
        self._headers: dict[str, str] = {}
        self._pool = urllib3.PoolManager(
            retries=urllib3.Retry(2, connect=1, read=0, redirect=3, raise_on_status=False, allowed_methods=None),
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        )

    def check(self) -> None:
        """Raise UserFacingError unless the registry answers and lets this user in."""
        answer = self._ask("GET", "/v2/", scope="")
        if answer.status != 200:
            raise self._refused(f"answers {answer.status} at /v2/", answer)

    def digest(self, repository: str, reference: str) -> str | None:
        """The digest of what a tag or digest names there; None when there is nothing of it."""
        answer = self._ask("HEAD", f"/v2/{repository}/manifests/{reference}", {"Accept": MANIFEST}, scope=repository)
        return answer.headers.get("Docker-Content-Digest") if answer.status == 200 else None

    def content(self, repository: str, place: str) -> bytes | None:
        """What is there at `manifests/<tag or digest>` or `blobs/<digest>`; None when there is nothing of it."""
        accepted = {"Accept": f"{MANIFEST}, {INDEX}"}
        answer = self._ask("GET", f"/v2/{repository}/{place}", accepted, scope=repository)
        if answer.status not in (200, 404):
            raise self._refused(f"answers {answer.status} when asked for {repository}/{place}", answer)
        return answer.data if answer.status == 200 else None

    def push(self, repository: str, version: str, layout: Layout) -> str:
        """Push the image and its signatures; return its digest. What the registry has already is not sent again.

        The tag is set last: whoever pulls it finds the signatures there.
        """
        image = layout.manifest(IMAGE_KIND)
        if image is None:
            raise UserFacingError(f"{layout.folder} holds no image.", "Build it again.")
        tags = {kind: f"{image['digest'].replace(':', '-')}.{ending}" for kind, ending in TAG_ENDINGS.items()}
        for kind, tag in [*tags.items(), (IMAGE_KIND, version)]:
            descriptor = layout.manifest(kind)
            if descriptor is not None and self.digest(repository, tag) != descriptor["digest"]:
                content = layout.blob(descriptor["digest"]).read_bytes()
                manifest = json.loads(content)
                for blob in [manifest["config"], *manifest["layers"]]:
                    self._push_blob(repository, layout.blob(blob["digest"]), blob["digest"])
                self._push_manifest(repository, tag, content)
        found = self.digest(repository, version)
        if found != image["digest"]:
            raise UserFacingError(
                f"{self.host}/{repository}:{version} is {found} after the push of {image['digest']}.",
                "Somebody else pushes this tag, or the registry rewrites images: give another VERSION or REGISTRY.",
            )
        return str(found)

    def _push_blob(self, repository: str, file: Path, digest: str) -> None:
        if self._ask("HEAD", f"/v2/{repository}/blobs/{digest}", scope=repository).status == 200:
            return
        begun = self._ask("POST", f"/v2/{repository}/blobs/uploads/", scope=repository)
        if begun.status != 202:
            raise self._refused(f"takes no upload to {repository} ({begun.status})", begun)
        place = urljoin(f"{self._scheme}://{self.host}", begun.headers["Location"])
        place += ("&" if urlsplit(place).query else "?") + urlencode({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
        with file.open("rb") as body:
            done = self._request("PUT", place, headers, body)
        if done.status != 201:
            raise self._refused(f"did not take the blob {digest} of {repository} ({done.status})", done)

    def _push_manifest(self, repository: str, tag: str, content: bytes) -> None:
        path = f"/v2/{repository}/manifests/{tag}"
        answer = self._ask("PUT", path, {"Content-Type": MANIFEST}, content, scope=repository)
        if answer.status != 201:
            raise self._refused(f"did not take the manifest {repository}:{tag} ({answer.status})", answer)

    def _ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None, *, scope: str
    ) -> Any:
        url = f"{self._scheme}://{self.host}{path}"
        answer = self._request(method, url, headers or {}, body)
        # A registry hands on to storage at other hosts, and what those ask for is none of their business.
        if answer.status == 401 and self._is_its_own(urljoin(url, answer.geturl() or "")):
            self._log_in(answer.headers.get("WWW-Authenticate", ""), scope)
            answer = self._request(method, url, headers or {}, body)
        return answer

    def _request(self, method: str, url: str, headers: dict[str, str], body: Any) -> Any:
        # A place for an upload can be at another host, or at this one in plain text: neither must get the login.
        own = self._headers if self._is_its_own(url) else {}
        try:
            return self._pool.request(method, url, headers={**own, **headers}, body=body)
        except HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise UserFacingError(
                f"The registry {self.host} cannot be reached: {reason}",
                "Check REGISTRY and the network; nothing is pushed without it.",
            ) from None

    def _is_its_own(self, url: str) -> bool:
        return urlsplit(url)[:2] == (self._scheme, self.host)

    def _log_in(self, challenge: str, scope: str) -> None:
        kind, _, rest = challenge.partition(" ")
        login = self._login()
        self._headers = {}
        basic = urllib3.make_headers(basic_auth=f"{login[0]}:{login[1]}") if login else {}
        if kind.lower() == "basic" and basic:
            self._headers = basic
        elif kind.lower() == "bearer":
            asked = dict(_CHALLENGE.findall(rest))
            query = {"service": asked.get("service", "")}
            if scope or asked.get("scope"):
                query["scope"] = f"repository:{scope}:pull,push" if scope else asked["scope"]
            realm = asked.get("realm", "")
            if urlsplit(realm).scheme != "https" and not _is_own(urlsplit(realm).netloc):
                raise UserFacingError(
                    f"The registry {self.host} wants the login at {realm!r}, where everybody could read it.",
                    "Its operator has to give an address with https.",
                )
            answer = self._request("GET", f"{realm}?{urlencode(query)}", basic, None)
            if answer.status == 200:
                tokens = json.loads(answer.data)
                self._headers = {"Authorization": f"Bearer {tokens.get('token') or tokens.get('access_token')}"}

    def _login(self) -> tuple[str, str] | None:
        found = cast("dict[str, str] | None", docker.auth.resolve_authconfig(docker.auth.load_config(), self.host))
        # From its file docker's library gives other names than from a credential helper.
        login = {name.lower(): value for name, value in (found or {}).items()}
        return (login["username"], login["password"]) if login.get("username") else None

    def _refused(self, what: str, answer: Any) -> UserFacingError:
        try:
            detail = json.loads(answer.data)["errors"][0]["message"]
        except (ValueError, KeyError, IndexError, TypeError):
            detail = ""
        remedy = "Check REGISTRY, and that it is a registry."
        if answer.status in (401, 403):
            remedy = f"Log in with `docker login {self.host}` as a user who may push there."
        return UserFacingError(f"The registry {self.host} {what}{': ' if detail else ''}{detail}.", remedy)


def _is_own(host: str) -> bool:
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
