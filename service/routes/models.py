"""The models that are served."""

from fastapi import APIRouter

from service.http.openapi import problem_responses
from service.schemas import Models
from service.segment.models import describe_models
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
