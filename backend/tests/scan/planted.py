"""Secrets that never were: made at run time, because hosts refuse a push that holds one whole."""

import base64
import random
import string

_RANDOM = random.Random("planted")
_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def _some(count: int, alphabet: str = _LETTERS) -> str:
    return "".join(_RANDOM.choice(alphabet) for _ in range(count))


def _segment(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _private_key() -> str:
    body = "\n".join(_some(64, _LETTERS + "+/") for _ in range(25))
    return f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{body}\n-----END RSA {'PRIVATE'} KEY-----"


# By a part of the rule that must find it, the value. Each format is that of kingfisher's rule.
VALUES: dict[str, str] = {
    "github-pat": "gh" + "p_" + _some(36),
    "github-fine-grained-pat": "github" + "_pat_" + _some(82),
    "gitlab-pat": "gl" + "pat-" + _some(20),
    "slack-bot-token": "xo" + "xb-" + _some(12, "123456789") + "-" + _some(12, "123456789") + "-" + _some(24),
    "stripe-access-token": "sk" + "_live_" + _some(24),
    "npmjsaccesstoken": "np" + "m_" + _some(36),
    "pypi-upload-token": "pypi-" + "AgEIcHlwaS5vcmc" + _some(70),
    "sendgrid": "S" + "G." + _some(22) + "." + _some(43),
    "digitaloceanapikey": "do" + "p_v1_" + _some(64, _HEX),
    "gcp-api-key": "AI" + "za" + _some(35),
    "postmanapikey": "PM" + "AK-" + _some(24, _HEX) + "-" + _some(34, _HEX),
    "huggingface-access-token": "h" + "f_" + _some(34, string.ascii_letters),
    "anthropic-api-key": "sk-" + "ant-api03-" + _some(93) + "AA",
    "shopify-access-token": "shp" + "at_" + _some(32, _HEX),
    "grafana-service-account-token": "gl" + "sa_" + _some(32) + "_" + _some(8, _HEX),
    "databricks-api-token": "da" + "pi" + _some(32, _HEX),
    "dockerhub-personal-access-token": "dckr" + "_pat_" + _some(27),
    "linear-api-key": "lin" + "_api_" + _some(40),
    "rubygems-api-token": "ruby" + "gems_" + _some(48, _HEX),
    "pulumi-api-token": "pu" + "l-" + _some(40, _HEX),
    "jwt": _segment('{"alg":"HS256","typ":"JWT"}')
    + "."
    + _segment('{"sub":"4711","n":"Jo"}')
    + "."
    + _some(43),
    "private-key": _private_key(),
}

# A pair, reported by its first half; the second stands in kingfisher's report too.
AWS = ("AK" + "IA" + _some(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), _some(40, _LETTERS + "/+"))


def in_source(value: str) -> bytes:
    """A value as source code would hold it, on line 2."""
    return (
        f"# settings\nvalue = '''{value}'''\n".encode()
        if "\n" in value
        else f'# x\nvalue = "{value}"\n'.encode()
    )
