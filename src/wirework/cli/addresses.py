"""Where `wirework run` listens: a port, or a Unix socket."""

from __future__ import annotations

import socket
from pathlib import Path

from .mistakes import RunError

__all__ = ["free_port", "make_room"]


def free_port(host: str) -> int:
    """Choose the port here, so that what is said of it is true, also with several workers."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as found:  # which listens to nobody
            found.bind(address[:2])
            return int(found.getsockname()[1])
    except OSError as error:
        raise RunError(f"cannot listen on {host!r}: {error}") from None


def make_room(path: Path) -> None:
    """See that a Unix socket can be made here; one that a dead process left is removed.

    Raises:
        RunError: there is no such folder, something else is there, or somebody listens.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise RunError("--uds: there are no Unix sockets on this system")
    if not path.parent.is_dir():
        raise RunError(f"--uds: there is no folder {str(path.parent)!r}")
    if path.is_socket():
        _remove_dead(path)
    elif path.exists():
        raise RunError(f"--uds: expected a new file or a socket, got {str(path)!r}")


def _remove_dead(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise RunError(f"--uds: cannot use {str(path)!r}: {error}") from None
    raise RunError(f"--uds: a process listens at {str(path)!r} already")
