"""A graph as OpenVINO runs it: at any size, and faster at the sizes that it is given most."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.executors.favourites import Favourites
from model.executors.silent_openvino import openvino, properties

_log = logging.getLogger(__name__)

Arrays = tuple[NDArray[Any], ...]
Shapes = tuple[tuple[int, ...], ...]


class Compiler:
    """One OpenVINO core for all graphs of a network.

    Compiled graphs are kept in ``cache`` where it can be written: they load in a fifth of the time.
    """

    def __init__(self, options: dict[str, Any], cache: Path) -> None:
        self.core, self.options, self.cache = openvino.Core(), options, cache

    def request(self, graph: openvino.Model) -> openvino.InferRequest:
        """The graph, ready to run."""
        kept = {**self.options, properties.cache_dir: str(self.cache)}
        try:
            compiled = self.core.compile_model(graph, "CPU", kept)
        except RuntimeError:
            compiled = self.core.compile_model(graph, "CPU", self.options)
        return compiled.create_infer_request()


class Graph:
    """A graph of free height and width, compiled when it is first run.

    Its runs belong to one thread at a time.
    """

    def __init__(self, model: openvino.Model, compiler: Compiler, fixed: "FixedShapes") -> None:
        self.model, self.compiler, self._fixed = model, compiler, fixed

    def run(self, *inputs: NDArray[Any]) -> Arrays:
        """The outputs are copies: the next run writes over the request's own."""
        arrays = [np.ascontiguousarray(array) for array in inputs]
        request = self._fixed.request(self, tuple(array.shape for array in arrays)) or self._free
        return tuple(request.infer(arrays, share_inputs=True).to_tuple())

    @cached_property
    def _free(self) -> openvino.InferRequest:
        return self.compiler.request(self.model)


class FixedShapes:
    """Graphs compiled for the ``limit`` shapes of inputs that are given most.

    For fixed shapes OpenVINO plans kernels and memory once, for free ones with every run. A thread
    of its own compiles, one graph at a time, and the free ones serve meanwhile.
    """

    def __init__(self, compiler: Compiler, limit: int) -> None:
        self.compiler = compiler
        self.graphs = Favourites[tuple[Graph, Shapes], openvino.InferRequest](limit)
        self._thread = ThreadPoolExecutor(1, "compile")
        self._under_way: Future[None] | None = None

    def request(self, graph: Graph, shapes: Shapes) -> openvino.InferRequest | None:
        """The graph for these shapes, or None while there is none or it is being compiled."""
        key = graph, shapes
        ready = self.graphs.get(key)
        if ready is None and self._is_idle() and self.graphs.deserves(key):
            self._under_way = self._thread.submit(self._compile, graph, shapes)
        return ready

    def wait(self) -> None:
        """Wait until the graph that is being compiled is ready."""
        if self._under_way is not None:
            self._under_way.result()

    def close(self) -> None:
        """Forget all graphs, once none is being compiled."""
        self._thread.shutdown()
        self.graphs = Favourites(0)

    def _is_idle(self) -> bool:
        return self._under_way is None or self._under_way.done()

    def _compile(self, graph: Graph, shapes: Shapes) -> None:
        model = graph.model.clone()
        model.reshape(dict(zip(model.inputs, map(openvino.PartialShape, shapes), strict=True)))
        try:
            request = self.compiler.request(model)
        except RuntimeError as error:  # of memory, say
            self.graphs.stop()
            _log.warning("no more graphs of fixed shapes: %s", error)
            return
        self.graphs.keep((graph, shapes), request)
