"""What is refused about the parameters of a function, in words that name the remedy."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..errors import RegistrationError
from .extras import Extra
from .forms import is_model
from .plan import Plan
from .signatures import name_of
from .sources import is_marked_payload
from .validators import validates

__all__ = ["Complaints", "type_name"]

_RESERVED = frozenset({"WebSocket", "Request"})
"""Types of other frameworks that are taken for ours, unless they are models of a payload."""


class Complaints:
    """Says what is wrong in the words of messages, or of HTTP requests."""

    def __init__(self, *, is_http: bool) -> None:
        self.is_http = is_http

    def check_unchecked(self, plan: Plan, parameter: inspect.Parameter) -> None:
        """Refuse a `Validate` that would never run."""
        if validates(parameter.annotation):
            raise RegistrationError(
                plan.where,
                f"parameter {parameter.name!r} has a Validate, which runs on a {self.payload} "
                "only, and it is filled from elsewhere",
                "check it in a function that Depends calls, and raise Reject there",
            )

    def check_not_sure(
        self, plan: Plan, parameter: inspect.Parameter, extras: Mapping[str, Extra]
    ) -> None:
        """Refuse to fill from a message what may be meant to be the user."""
        annotation = parameter.annotation
        if is_marked_payload(annotation):
            return
        for name, extra in extras.items():
            if extra.is_sure and extra.is_at_risk(annotation):
                raise RegistrationError(
                    plan.where,
                    f"parameter {parameter.name!r} is annotated {type_name(annotation)}, which "
                    f"may be the {name}, but the client would fill it",
                    f"call it {name!r}, say what verify returns (-> User | None), or mark what "
                    "the message carries: Annotated[..., Payload()]",
                )

    def check_reserved(self, plan: Plan, parameter: inspect.Parameter) -> None:
        """Refuse another framework's class, taken for ours."""
        annotation = parameter.annotation
        name = getattr(annotation, "__name__", "")
        if name not in _RESERVED or is_model(annotation):
            return
        remedy = "take request: Request, imported from starlette.requests"
        if not self.is_http:
            is_socket = name == "WebSocket"
            remedy = "import WebSocket from wirework" if is_socket else "take ws: WebSocket"
        raise RegistrationError(
            plan.where,
            f"parameter {parameter.name!r} is annotated {type_name(annotation)}",
            remedy,
        )

    def check_lasting(self, plan: Plan) -> None:
        """Refuse what lasts as long as the connection and needs what lasts for one message."""
        for nested in plan.dependencies:
            if nested.scope == "message":
                raise RegistrationError(
                    plan.where,
                    f"it lasts as long as the connection, but depends on "
                    f"{name_of(nested.plan.function)}, which lasts one message",
                    'give that scope="connection" too, or this scope="message"',
                )
        if plan.needs_call or plan.reads_message:
            raise RegistrationError(
                plan.where,
                "it lasts as long as the connection, but reads the message",
                'give it scope="message"',
            )

    def unfillable(self, plan: Plan, parameter: inspect.Parameter) -> RegistrationError:
        """Return what says that nothing can fill a parameter."""
        return RegistrationError(
            plan.where,
            f"parameter {parameter.name!r} ({type_name(parameter.annotation)}) "
            f"has nothing to be filled from: there is no {self.payload} here",
            f"{self.way_to_payload}, or say where it comes from "
            "(a path parameter, Annotated[..., Query() | Header() | Cookie() | Depends(...)])",
        )

    @property
    def payload(self) -> str:
        """What may fill parameters that nothing else does."""
        return "body" if self.is_http else "message payload"

    @property
    def way_to_payload(self) -> str:
        """How a function that gets none may come by it."""
        return "take it in a post" if self.is_http else "take ws: WebSocket and receive it"


def type_name(annotation: Any) -> str:
    """Return an annotation as programmers write it."""
    return getattr(annotation, "__qualname__", None) or str(annotation)
