"""A Label Studio of the tests' own: as much of its API as the backend asks for, over real HTTP."""

from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from service.client import Mask
from service.formats.label_studio import brush_results

LEGACY, PERSONAL = "0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.c2lnbmF0dXJl"
BRUSH = """
<View><Image name="image" value="$photo"/>
<BrushLabels name="brush" toName="image"><Label value="mug"/><Label value="Dog"/></BrushLabels>
</View>
"""
POLYGON = BRUSH.replace("BrushLabels", "PolygonLabels")


def drawn(mask: Mask, label: str = "mug") -> dict[str, Any]:
    """A region that people have painted."""
    (region,) = brush_results(mask, label, from_name="brush")
    return region


def runs_of(mask: Mask) -> list[int]:
    """The brush of a mask that is not empty."""
    return list(drawn(mask)["value"]["rle"])


@dataclass
class FakeStudio:
    """What it holds, and the paths that it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    annotations: dict[int, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    label_config: str = BRUSH
    refusal: int = 0
    broken: set[str] = field(default_factory=set)
    access: str = "first"
    asked: list[str] = field(default_factory=list)

    def add_task(self, number: int, content: bytes) -> dict[str, Any]:
        """A task as the backend is sent it, its photograph uploaded."""
        path = f"/data/upload/1/photo {number}.png"
        self.files[path] = content
        self.tasks[number] = {"id": number, "project": 1, "data": {"photo": path}}
        return self.tasks[number]

    def annotate(self, number: int, task: int, result: list[dict[str, Any]]) -> None:
        """Submit or update an annotation."""
        self.annotations[number] = {
            "id": number,
            "task": task,
            "result": result,
            "was_cancelled": False,
        }

    def app(self) -> FastAPI:
        """The server."""
        app = FastAPI()

        @app.post("/api/token/refresh/")
        async def refresh(request: Request) -> Response:
            if await request.json() != {"refresh": PERSONAL}:
                return Response(status_code=401)
            return JSONResponse({"access": self.access})

        @app.get("/{path:path}")
        def get(path: str, request: Request) -> Response:
            return self._answer(f"/{path}", request)

        return app

    def _answer(self, path: str, request: Request) -> Response:
        self.asked.append(path)
        if path in self.broken:
            return Response(status_code=500)
        if self.refusal:
            return Response(status_code=self.refusal)
        allowed = (f"Token {LEGACY}", f"Bearer {self.access}")
        if request.headers.get("authorization") not in allowed:
            return Response(status_code=401)
        if path in self.files:
            return Response(self.files[path])
        if path.startswith("/tasks/"):
            return RedirectResponse("http://127.0.0.1:9/elsewhere")
        records: dict[str, dict[Any, Any]] = {
            "annotations": self.annotations,
            "tasks": self.tasks,
            "projects": {1: {"id": 1, "label_config": self.label_config}},
            "current-user": {"whoami": {"id": 1}},
        }
        _, kind, name = path.strip("/").split("/")
        record = records[kind].get(int(name) if name.isdecimal() else name)
        return JSONResponse(record, 200 if record else 404)


@dataclass
class Backend:
    """The backend over HTTP, as Label Studio calls it."""

    http: httpx.Client
    fake: FakeStudio

    def setup(self) -> str:
        request = {"project": "1.17", "schema": self.fake.label_config, "hostname": "http://x",
                   "access_token": "unused", "extra_params": None}  # fmt: skip
        return str(
            self.http.post("/setup", json=request).raise_for_status().json()["model_version"]
        )

    def predict(self, *tasks: dict[str, Any]) -> httpx.Response:
        request = {"tasks": tasks, "project": "1.17", "label_config": self.fake.label_config,
                   "params": {"login": None, "password": None, "context": None}}  # fmt: skip
        return self.http.post("/predict", json=request, timeout=60)

    def predicted(self, *tasks: dict[str, Any]) -> list[dict[str, Any]]:
        return list(self.predict(*tasks).raise_for_status().json()["results"])

    def hear(self, action: str, **event: Any) -> None:
        project = {"id": 1, "label_config": self.fake.label_config}
        reply = self.http.post("/webhook", json={"action": action, "project": project, **event})
        assert reply.status_code == 201, reply.text
