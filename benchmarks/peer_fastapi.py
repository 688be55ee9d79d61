"""Plain FastAPI under uvicorn: a blocking endpoint, which FastAPI runs on a thread of its pool."""

from typing import Annotated

from fastapi import FastAPI, File, Response

from handler import load_handler

Files = Annotated[list[bytes], File()]


def create_app() -> FastAPI:
    """For ``uvicorn --factory``; the network is warm when it returns."""
    app, handler = FastAPI(), load_handler()

    @app.get("/readyz")
    def ready() -> str:
        return "ready"

    @app.post("/segment")
    def segment(support_image: Files, support_mask: Files, query_image: Files) -> Response:
        form = {
            "support_image": support_image,
            "support_mask": support_mask,
            "query_image": query_image,
        }
        return Response(handler(form), media_type="image/png")

    return app
