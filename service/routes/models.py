"""The models that are served."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from service.http.admin import check_admin_key
from service.http.openapi import problem_responses
from service.schemas import Models, Reloaded
from service.segment.models import describe_models
from service.segment.models import reload_model as reload
from service.segment.runtime import Running

router = APIRouter(tags=["models"])


@router.get(
    "/models",
    operation_id="list_models",
    summary="List the models",
    responses=problem_responses(503),
)
async def list_models(runtime: Running) -> Models:
    """Their names for `?model=`, what their checkpoints say of them, and which are in memory."""
    return await describe_models(runtime)


@router.post(
    "/models/{name}/reload",
    operation_id="reload_model",
    summary="Read a model's file again",
    responses=problem_responses(401, 403, 404, 409, 422, 503),
)
async def reload_model(
    name: Annotated[str, Path(description="As `GET /models` lists it.")],
    request: Request,
    runtime: Running,
) -> Reloaded:
    """For the operator: `Authorization: Bearer` and the admin key.

    The file is read, verified, warmed and tried before it takes over; if it is not fit, what served
    goes on. Requests are answered meanwhile. Other workers of the service follow.
    """
    check_admin_key(request.headers, runtime.settings.admin_key)
    reloaded = await reload(runtime, name)
    request.app.state.on_reload()
    return reloaded
