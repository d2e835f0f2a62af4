"""A name for the session, and a page that asks for it: no password, this is a demo."""

from __future__ import annotations

from htpy import Element, b, button, form, input, span
from starlette.responses import RedirectResponse

from wirework import Router, Session


def add_login(router: Router) -> None:
    """Add where the forms below lead: /login and /logout."""
    router.post("/login")(log_in)
    router.post("/logout")(log_out)


async def log_in(session: Session, name: str) -> RedirectResponse:
    if name.strip():
        session["name"] = name.strip()[:20]
    return RedirectResponse("./", 303)


async def log_out(session: Session) -> RedirectResponse:
    session.clear()
    return RedirectResponse("./", 303)


def login_form() -> Element:
    return form("#login", action="login", method="post")[
        input(
            name="name",
            aria_label="Your name",
            placeholder="Your name",
            maxlength="20",
            autocomplete="nickname",
            required=True,
            autofocus=True,
        ),
        button["Log in"],
    ]


def logout_form(name: str) -> Element:
    return form(action="logout", method="post")[span[b[name]], button(".quiet")["Log out"]]
