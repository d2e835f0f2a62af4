"""Where pages with `centrifuge` connect: one path for all of them, and tokens that say who."""

from __future__ import annotations

from itsdangerous import BadData, URLSafeTimedSerializer

from wirework import FirstMessage, Identity, Router
from wirework.dialects import Centrifugo

TOKENS = URLSafeTimedSerializer("for the examples only: keep yours out of the code", "connection")
TOKEN_AGE = 15 * 60


def new_token(name: str) -> str:
    """Return what lets a page connect as `name` for a quarter of an hour."""
    return str(TOKENS.dumps(name))


async def identity_of(token: str) -> Identity[str] | None:
    try:
        name, signed_at = TOKENS.loads(token, return_timestamp=True)
    except BadData:
        return None
    expires_at = signed_at.timestamp() + TOKEN_AGE
    return Identity(name, expires_at=expires_at, permissions=["talk"])


router = Router()
live = router.events(
    "/connection",
    dialect=Centrifugo(),
    auth=FirstMessage(verify=identity_of, optional=True),  # without a token: nobody in particular
)
