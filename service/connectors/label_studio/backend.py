"""Label Studio's machine learning backend as an app: health, setup, predict, webhook."""

import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

from service.client import SegmentationClient, SegmentationError, SupportSet
from service.connectors import problems
from service.connectors.bounds import Bounds
from service.connectors.label_studio.labelling import Interface, read_interface
from service.connectors.label_studio.learning import Learning
from service.connectors.label_studio.ledger import Ledger
from service.connectors.label_studio.regions import describe
from service.connectors.label_studio.studio import Studio
from service.connectors.label_studio.supports import Supports
from service.connectors.problems import ConnectorError, RefusedError
from service.connectors.sets import find_objects, named_sets

# Tasks without their photographs; of annotations that are imported together, all their brushes.
MAX_REQUEST_BYTES = 64 * 1024 * 1024
# One is fetched and decoded while the network works on another.
TASKS_AT_A_TIME = 4
_log = logging.getLogger(__name__)


class Setup(BaseModel):
    """What Label Studio asks before each round of predictions; its token is not used."""

    schema_: str = Field(alias="schema")


class LabellingTask(BaseModel):
    """A task: its data names the photograph."""

    id: int | None = None
    data: dict[str, Any]


class PredictTasks(BaseModel):
    """Tasks to predict, of one project."""

    tasks: list[LabellingTask]
    label_config: str


class Numbered(BaseModel):
    """Anything of Label Studio's that has an id."""

    id: int


class Event(BaseModel):
    """What happened; of an annotation only the number is believed, and the rest is asked for."""

    action: str
    annotation: Numbered | list[Numbered] = []
    annotations: list[Numbered] = []
    tasks: list[Numbered] = []

    @property
    def deleted_tasks(self) -> list[int]:
        """Tasks that went, of whose annotations no event tells."""
        return [each.id for each in self.tasks] if self.action == "TASKS_DELETED" else []

    @property
    def changed(self) -> list[int]:
        """Annotations that were made, changed or deleted."""
        one_or_many = self.annotation if isinstance(self.annotation, list) else [self.annotation]
        return [each.id for each in (*one_or_many, *self.annotations)]


class Predictions:
    """Predictions with the stored sets that have a project's labels as their names."""

    def __init__(self, client: SegmentationClient, studio: Studio) -> None:
        self._client = client
        self._studio = studio

    def version(self, interface: Interface) -> str:
        """Another one whenever the network or a set changes: then Label Studio predicts anew."""
        return self._version(named_sets(self._client, interface.labels))

    def predict(
        self, tasks: list[LabellingTask], interface: Interface
    ) -> Sequence[dict[str, Any] | list[Any]]:
        """A prediction for each task, or its error where others have none.

        Without a set there is none, not an empty one: that would keep Label Studio from asking
        again. Raises ConnectorError or SegmentationError where a single task fails, or all would.
        """
        sets = named_sets(self._client, interface.labels)
        if not sets:
            return [[] for _ in tasks]
        version = self._version(sets)
        predict = partial(self._predict, interface, sets)
        if len(tasks) == 1:
            return [{**predict(tasks[0]), "model_version": version}]
        with ThreadPoolExecutor(TASKS_AT_A_TIME) as threads:
            predictions = list(threads.map(partial(_or_error, predict), tasks))
        return [{**each, "model_version": version} for each in predictions]

    def _predict(
        self, interface: Interface, sets: dict[str, SupportSet], task: LabellingTask
    ) -> dict[str, Any]:
        name = interface.field(sets)
        reference = task.data.get(name)
        if not isinstance(reference, str):
            raise RefusedError(f"the task has no photograph in its data's {name!r}")
        photograph = self._studio.photograph(reference)
        return describe(find_objects(self._client, photograph, sets), interface)

    def _version(self, sets: dict[str, SupportSet]) -> str:
        digest = hashlib.sha256(self._client.info()["checkpoint_sha256"].encode())
        for label, stored in sorted(sets.items()):
            pairs = [f"{pair.id} {pair.created}" for pair in stored.pairs]
            digest.update(repr((label, stored.id, stored.label, pairs)).encode())
        return f"sgone-{digest.hexdigest()[:12]}"


def _or_error(
    predict: Callable[[LabellingTask], dict[str, Any]], task: LabellingTask
) -> dict[str, Any]:
    try:
        return predict(task)
    except (ConnectorError, SegmentationError) as error:
        _log.warning("task %s is not predicted: %s", task.id, error)
        return {"error": problems.describe(error)}


def create_backend(client: SegmentationClient, studio: Studio, ledger: Ledger) -> FastAPI:
    """The app; while it runs it follows the annotations that it hears of."""
    learning = Learning(ledger, Supports(client, studio, ledger).follow)
    predictions = Predictions(client, studio)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with learning:
            yield

    app = FastAPI(title="SG-One Service for Label Studio", lifespan=lifespan, openapi_url=None)
    problems.install(app)
    app.add_middleware(Bounds, max_bytes=MAX_REQUEST_BYTES)

    @app.get("/")
    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "SG-One Service"}

    @app.post("/setup")
    def setup(request: Setup) -> dict[str, str]:
        return {"model_version": predictions.version(read_interface(request.schema_))}

    @app.post("/predict")
    def predict(request: PredictTasks) -> dict[str, Any]:
        interface = read_interface(request.label_config)
        return {"results": predictions.predict(request.tasks, interface)}

    @app.post("/webhook", status_code=201)
    def webhook(event: Event) -> dict[str, str]:
        learning.changed(event.changed, event.deleted_tasks)
        return {"status": "ok"}

    return app
