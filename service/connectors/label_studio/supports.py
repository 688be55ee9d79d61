"""From annotations to stored supports: what people accept or correct is shown to the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.client import Mask, ProblemError, SegmentationClient, SupportSet
from service.connectors.label_studio.labelling import read_interface
from service.connectors.label_studio.ledger import Change, Given, Ledger
from service.connectors.label_studio.regions import read_masks
from service.connectors.label_studio.studio import Studio
from service.connectors.sets import named_sets

_GONE = ("support_set_not_found", "pair_not_found")


@dataclass(frozen=True)
class DrawnTask:
    """What people have drawn on a task's photograph, by label."""

    task: int = 0
    photograph: str = ""
    masks: Mapping[str, Mask] = field(default_factory=dict)


class Supports:
    """Keeps stored sets as the annotations of a Label Studio say.

    An annotation gives one pair to the set of each label that it draws.
    """

    def __init__(self, client: SegmentationClient, studio: Studio, ledger: Ledger) -> None:
        self._client = client
        self._studio = studio
        self._ledger = ledger

    def follow(self, change: Change) -> None:
        """Add, replace and remove an annotation's pairs, as it is now, or those of a task's.

        Raises ConnectorError and SegmentationError; what was done until then is noted.
        """
        if change.kind == "annotation":
            self._follow(change.subject)
        else:
            for annotation in self._ledger.annotations_of(change.subject):
                self._follow(annotation)

    def _follow(self, annotation: int) -> None:
        before = self._ledger.given(annotation)
        drawn = self._drawn(annotation)
        for label in before.keys() - drawn.masks.keys():
            self._remove(before[label])
            self._ledger.take_back(annotation, label)
        for label, mask in drawn.masks.items():
            if not self._replaced(before.get(label), mask):
                stored = self._added(label, drawn.photograph, mask)
                given = Given(annotation, label, drawn.task, stored.id, stored.pairs[-1].id)
                self._ledger.give(given)

    def _drawn(self, number: int) -> DrawnTask:
        """What an annotation holds; no mask where it is gone or skipped."""
        annotation = self._studio.annotation(number)
        if annotation is None or annotation["was_cancelled"]:
            return DrawnTask()
        task = self._studio.task(annotation["task"])
        project = self._studio.project(task["project"]) if task else None
        if task is None or project is None:
            return DrawnTask()
        interface = read_interface(project["label_config"])
        masks = read_masks(annotation["result"], interface)
        if not masks:
            return DrawnTask()
        return DrawnTask(task["id"], str(task["data"].get(interface.field(masks))), masks)

    def _replaced(self, given: Given | None, mask: Mask) -> bool:
        """False where there was no pair, or it was deleted in the service meanwhile."""
        if given is None:
            return False
        try:
            self._client.replace_pair(given.support_set, given.pair, mask=mask)
        except ProblemError as problem:
            if problem.code not in _GONE:
                raise
            return False
        return True

    def _added(self, label: str, reference: str, mask: Mask) -> SupportSet:
        """To the label's set, or to a new one of its name."""
        pairs = [(self._studio.photograph(reference), mask)]
        stored = named_sets(self._client, [label]).get(label)
        if stored is None:
            return self._client.create_support_set(label, pairs)
        return self._client.add_pairs(stored.id, pairs)

    def _remove(self, given: Given) -> None:
        """Delete the pair; the last one takes its set with it."""
        try:
            self._client.delete_pair(given.support_set, given.pair)
        except ProblemError as problem:
            if problem.code == "last_pair":
                self._client.delete_support_set(given.support_set)
            elif problem.code not in _GONE:
                raise
