"""What stands beside a type in `Annotated` and says where its value comes from."""

from __future__ import annotations

__all__ = ["Marker"]


class Marker:
    """Equal to another one that says the same, so that equal annotations are found to be equal."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))
