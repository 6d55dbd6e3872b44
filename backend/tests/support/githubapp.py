"""GitHub's API on loopback, as far as a GitHub App asks it, with answers of the shape that GitHub's pages show."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.support.httpservers import Scripted, Seen, reply

APP, INSTALLATION = 12345, 67890
Answer = tuple[int, dict[str, str], dict[str, Any]]


def new_key() -> str:
    """A private key as GitHub makes them: RSA, PKCS #1, PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    how = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, how, serialization.NoEncryption()).decode()


def said(status: int, message: str, **headers: str) -> Answer:
    """An answer in GitHub's words."""
    page = "https://docs.github.com/rest/apps/apps#create-an-installation-access-token-for-an-app"
    body = {"message": message, "documentation_url": page, "status": str(status)}
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


BAD_JWT = said(401, "A JSON web token could not be decoded")
SUSPENDED = said(403, "This installation has been suspended")
REMOVED = said(404, "Not Found")
UNPERMITTED = said(422, "The permissions requested are not granted to this installation.")
LIMITED = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."


class GitHubApi(Scripted):
    """Checks each request as GitHub does, and makes the tokens `tokens`, in order and the last for ever.

    `answers` are given instead, one each, while there are any.
    """

    def __init__(self, key: str, *tokens: str, seconds: float = 3600) -> None:
        self.key, self.tokens, self.seconds = key, tokens, seconds
        self.answers: list[Answer] = []
        self.on_token: Callable[[str], None] = lambda _: None
        self._made = 0
        super().__init__(self._answer_to)

    @property
    def api(self) -> str:
        """The API's URL."""
        return self.url("").rstrip("/")

    def _answer_to(self, request: Seen) -> Iterable[bytes]:
        status, headers, body = self.answers.pop(0) if self.answers else self._judge(request)
        yield reply(
            status, {"Content-Type": "application/json; charset=utf-8"} | headers, json.dumps(body).encode()
        )

    def _judge(self, request: Seen) -> Answer:
        asked = (request.method, request.target)
        if asked != ("POST", f"/app/installations/{INSTALLATION}/access_tokens"):
            return REMOVED
        if not self._signed(request.headers.get("authorization", "")):
            return BAD_JWT
        assert request.headers["accept"] == "application/vnd.github+json"
        assert request.headers["x-github-api-version"] == "2022-11-28"
        permissions = json.loads(request.body)["permissions"]
        token = self.tokens[min(self._made, len(self.tokens) - 1)]
        self._made += 1
        self.on_token(token)
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.seconds))
        granted = permissions | {"metadata": "read"}
        made = {
            "token": token,
            "expires_at": ends,
            "permissions": granted,
            "repository_selection": "selected",
        }
        return 201, {}, made

    def _signed(self, authorization: str) -> bool:
        """Whether the JWT is the App's, by its public key, and holds for ten minutes at most."""
        import jwt
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        kind, _, token = authorization.partition(" ")
        public = load_pem_private_key(self.key.encode(), None).public_key()
        try:
            claims = jwt.decode(
                token,
                public,  # type: ignore[arg-type]
                algorithms=["RS256"],
                issuer=str(APP),
                options={"require": ["exp", "iat", "iss"]},
            )
        except jwt.PyJWTError:
            return False
        return (
            kind == "Bearer" and claims["exp"] - claims["iat"] <= 600 and set(claims) == {"exp", "iat", "iss"}
        )
