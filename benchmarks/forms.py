"""A multipart body to its files, for a peer that hands over bytes."""

from collections import defaultdict
from io import BytesIO

from python_multipart import parse_form
from python_multipart.multipart import File


def read_multipart(body: bytes) -> dict[str, list[bytes]]:
    """The files by field, in order; the boundary is the body's first line."""
    boundary = body[2 : body.index(b"\r\n")]
    headers = {
        "Content-Type": b"multipart/form-data; boundary=" + boundary,
        "Content-Length": str(len(body)).encode(),
    }
    files: defaultdict[str, list[bytes]] = defaultdict(list)

    def keep(file: File) -> None:
        file.file_object.seek(0)
        files[(file.field_name or b"").decode()].append(file.file_object.read())

    parse_form(headers, BytesIO(body), lambda field: None, keep)
    return files
