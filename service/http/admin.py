"""Who may change what is served: who knows the operator's key."""

import hmac

from pydantic import SecretStr
from starlette.datastructures import Headers

from service.errors import AdminKeyUnsetError, WrongAdminKeyError


def check_admin_key(headers: Headers, key: SecretStr | None) -> None:
    """Take ``Authorization: Bearer KEY``; raises AdminKeyUnsetError or WrongAdminKeyError."""
    if key is None:
        raise AdminKeyUnsetError(
            "there is no admin key; set SGONE_ADMIN_KEY, or send the process SIGHUP"
        )
    scheme, _, given = headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(), key.get_secret_value().encode())
    if scheme.lower() != "bearer" or not right:
        raise WrongAdminKeyError(
            "the admin key is missing or wrong; send it as Authorization: Bearer KEY",
            headers={"WWW-Authenticate": "Bearer"},
        )
