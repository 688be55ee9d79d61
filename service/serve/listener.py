"""The address: taken before the network is loaded, and given up without losing a request."""

import ctypes
import logging
import selectors
import socket
import struct
import sys

from service.errors import SettingsError
from service.settings import Settings

_log = logging.getLogger(__name__)
# asm-generic/socket.h; Python has no name for it.
_SO_ATTACH_FILTER = 26
# Classic BPF over a TCP header: load the byte of flags, drop the packet where SYN is set.
_DROP_SYN = (
    (0x30, 0, 0, 13),  # BPF_LD | BPF_B | BPF_ABS
    (0x45, 1, 0, 0x02),  # BPF_JMP | BPF_JSET | BPF_K: drop, or go on
    (0x06, 0, 0, 0xFFFFFFFF),  # BPF_RET: all of it
    (0x06, 0, 0, 0),  # BPF_RET: nothing of it
)


def bind(settings: Settings) -> socket.socket:
    """Take the address, without listening: connections are refused until a network is warm.

    Raises SettingsError where the address is in use or does not exist.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _no_address(settings, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _no_address(settings, error) from error
    return listener


def browser_url(listener: socket.socket) -> str:
    """Where a browser on this machine finds the listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def turn_newcomers_away(listener: socket.socket) -> None:
    """Ignore new handshakes from now on, but finish those that have begun.

    Closing a listener resets the connections that wait to be accepted, with their requests. Once
    newcomers are ignored none waits. This works on Linux only: elsewhere a connection that comes
    between the last accept and the close is still reset.
    """
    if sys.platform != "linux":
        return
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN)
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(buffer))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
    except OSError as error:
        _log.debug("new connections are taken until the address is given up: %s", error)


def has_unread_bytes(number: int) -> bool:
    """Whether there is something to read: data, or the end of the connection."""
    with selectors.DefaultSelector() as selector:
        selector.register(number, selectors.EVENT_READ)
        return bool(selector.select(0))


def _no_address(settings: Settings, error: OSError) -> SettingsError:
    return SettingsError(
        f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
        "choose another with --host and --port, or stop the program that has it"
    )
