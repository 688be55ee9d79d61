"""What is, or resembles, a class of PASCAL VOC in Caltech-101 and in ImageNet.

Each class is a test class of some fold, and nothing like it may be seen in training.
"""

from pathlib import Path

CALTECH_101 = {
    "aeroplane": ("airplanes", "helicopter"),
    "bird": ("emu", "flamingo", "flamingo_head", "ibis", "pigeon", "rooster"),
    "boat": ("ferry", "ketch", "schooner"),
    "bottle": ("cup",),
    "car": ("car_side",),
    "cat": ("Leopards", "cougar_body", "cougar_face", "garfield", "wild_cat"),
    "chair": ("chair", "wheelchair", "windsor_chair"),
    "dog": ("dalmatian", "snoopy"),
    "motorbike": ("Motorbikes",),
    "person": ("Faces", "Faces_easy"),
    "pottedplant": ("bonsai", "joshua_tree"),
    "tvmonitor": ("laptop",),
}
"""Names of categories."""

IMAGENET_ANIMALS = (
    ("n01514668", "n01622779"),  # cock to great grey owl
    ("n01795545", "n01860187"),  # black grouse to black swan
    ("n02002556", "n02058221"),  # white stork to albatross
    ("n02085620", "n02130308"),  # dogs, wolves, foxes and cats: Chihuahua to cheetah
    ("n02389026", "n02437616"),  # hoofed animals: sorrel to llama
)
"""First and last WordNet number of ILSVRC's birds, dogs, cats, horses, cows and sheep."""

IMAGENET_THINGS = {
    "aeroplane": "n02687172 n02690373 n04266014 n04552348 n04592741",
    "bicycle": "n02835271 n03792782 n04482393 n04509417",
    "boat": "n02859443 n02894605 n02951358 n02981792 n03095699 n03216828 n03344393 n03447447 "
    "n03662601 n03673027 n03947888 n04147183 n04273569 n04483307 n04606251 n04612504",
    "bottle": "n02823428 n02823750 n03937543 n03983396 n04557648 n04560804 n04579145 n04591713 "
    "n07892512",
    "bus": "n03769881 n04146614 n04487081",
    "car": "n02701002 n02814533 n02930766 n02965783 n02974003 n03100240 n03459775 n03594945 "
    "n03670208 n03770679 n03777568 n03930630 n03977966 n04037443 n04285008 n04461696",
    "chair": "n02791124 n02791270 n03032252 n03376595 n03661043 n03899768 n04099969 n04429376",
    "diningtable": "n03179701 n03201208 n04081281",
    "horse": "n03538406 n03868242",
    "motorbike": "n03785016 n03791053",
    "person": "n09835506 n10148035 n10565667",
    "pottedplant": "n03457902 n03991062 n04522168",
    "sofa": "n04344873",
    "train": "n02917067 n03272562 n03393912 n03895866 n04310018 n04335435",
    "tvmonitor": "n03180011 n03290653 n03485407 n03529860 n03642806 n03782006 n03832673 n04152593 "
    "n04404412 n06359193",
}
"""WordNet numbers of ILSVRC's other classes that show one of VOC's."""

_THINGS = frozenset(" ".join(IMAGENET_THINGS.values()).split())


def shows_voc(photograph: Path) -> bool:
    """Whether ImageNet's label says so, where the file's name begins with its WordNet number."""
    number = photograph.name.partition("_")[0]
    return number in _THINGS or any(first <= number <= last for first, last in IMAGENET_ANIMALS)
