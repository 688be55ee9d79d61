"""The stored sets of a tool's labels, and the objects that they find in a photograph."""

from collections.abc import Iterable, Mapping

from service.client import FoundObject, Picture, SegmentationClient, Shaping, SupportSet
from service.connectors.problems import RefusedError
from service.folders.stored import StoredSets

# Of a part in pixels: people would have to delete smaller specks one by one.
MIN_AREA = 64


def stored_sets(client: SegmentationClient) -> dict[str, SupportSet]:
    """All of them, the oldest first, by name."""
    return {each.name: each for each in reversed(list(StoredSets(client)))}


def named_sets(client: SegmentationClient, labels: Iterable[str]) -> dict[str, SupportSet]:
    """Each label's stored set, which has its name; case does not matter where one alone fits.

    Labels without a set are left out.
    """
    exact = stored_sets(client)
    loose: dict[str, list[SupportSet]] = {}
    for each in exact.values():
        loose.setdefault(each.name.casefold(), []).append(each)
    found = {}
    for label in labels:
        alike = loose.get(label.casefold(), [])
        if label in exact:
            found[label] = exact[label]
        elif len(alike) == 1:
            found[label] = alike[0]
    return found


def find_objects(
    client: SegmentationClient,
    photograph: Picture,
    sets: Mapping[str, SupportSet],
    *,
    presence_threshold: float | None = None,
) -> dict[str, FoundObject]:
    """What each label's set finds, by label; with several, a pixel belongs to one label at most.

    ``presence_threshold`` of None is the network's own.

    Raises RefusedError for sets that the service would take for one, and SegmentationError.
    """
    options: Shaping = {"min_area": MIN_AREA}
    if presence_threshold is not None:
        options["presence_threshold"] = presence_threshold
    if len(sets) == 1:
        ((label, stored),) = sets.items()
        found = client.segment(photograph, support_set=stored.id, output="json", **options)
        return {label: found}
    label_of: dict[str, str] = {}
    for label, stored in sets.items():
        called = stored.label or stored.name
        if called in label_of:
            raise RefusedError(
                f"the sets of {label_of[called]!r} and {label!r} have both the label {called!r}; "
                "give each its own with `sgone supports rename`"
            )
        label_of[called] = label
    ids = [stored.id for stored in sets.values()]
    reply = client.segment_multiclass(photograph, support_sets=ids, **options)
    return {label_of[str(each.label)]: each for each in reply.classes}
