"""What a network is made of: the paper's choices as defaults, its ablations beside them."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, PositiveInt, model_validator
from pydantic.dataclasses import dataclass

BackboneName = Literal[
    "vgg16",
    "mobilenet_v2",
    "mobilenet_v2_pyramid",
    "efficientnet_lite2_pyramid",
    "resnet50_pyramid",
    "dinov2_vits14_pyramid",
    "dinov2_vitb14_pyramid",
    "dinov2_vitl14_pyramid",
    "dinov3_vits16_pyramid",
    "dinov3_vitb16_pyramid",
    "dinov3_vitl16_pyramid",
]
Similarity = Literal["cosine", "l2"]
SupportMask = Literal["pooling", "image", "channels", "none"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SGOneConfig:
    """The architecture; it travels in the checkpoint. The defaults are the paper's.

    ``align_corners`` belongs to both resizes between feature cells and pixels. False is the
    authors' code; True puts cell i at pixel 8i, where strided layers centre it on images of
    8n + 1 pixels. ``exit_padding`` is 1 in weights converted from the authors' code.

    The rest are the paper's ablations (SG-One Tables 5 and 6, section 4.5). ``support_mask`` is how
    the network is told the object: a support's features are averaged under its mask (``pooling``),
    or everywhere, and then the mask multiplies the image (``image``, as in OSLSM), is shown with
    its complement as two more input channels (``channels``), or is not shown (``none``).
    ``guidance_relu`` is a ReLU behind the guidance convolution. Without ``segmentation_branch`` the
    similarity alone is classified; without ``concatenate`` that branch sees the stem's features
    only. With ``separate_networks`` supports have a backbone and a guidance convolution of their
    own.

    ``head = "matching"`` takes the place of the paper's head (``model.network.matching``): it
    compares many depths of a backbone at their own strides, keeps ``support_cells`` squared cells
    of a support, learns ``attention_heads`` metrics a tap, and sees ``query_channels`` of the
    query's features. ``branch_channels`` is the width of its convolutions.
    """

    backbone: BackboneName = "vgg16"
    guidance_channels: PositiveInt = 512
    branch_channels: PositiveInt = 128
    exit_padding: Literal[0, 1] = 0
    align_corners: bool = False
    support_mask: SupportMask = "pooling"
    similarity: Similarity = "cosine"
    guidance_relu: bool = False
    segmentation_branch: bool = True
    concatenate: bool = True
    separate_networks: bool = False
    head: Literal["guidance", "matching"] = "guidance"
    support_cells: Annotated[int, Field(ge=2)] = 25
    attention_heads: PositiveInt = 2
    query_channels: PositiveInt = 8
    compared_stride: Literal[8, 16] = 16
    presence: bool = False

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not self.segmentation_branch and not self.concatenate:
            raise ValueError(
                "concatenate = false takes features from the segmentation branch, and there is "
                "none; set segmentation_branch or concatenate to true"
            )
        if not self.segmentation_branch and self.exit_padding:
            raise ValueError(
                "exit_padding = 1 pads the segmentation branch's last layer, and there is none; "
                "set segmentation_branch to true or exit_padding to 0"
            )
        if self.backbone.startswith("dino") and (
            self.support_mask == "channels" or self.compared_stride > 8
        ):
            raise ValueError(
                f"{self.backbone} reads three channels and compares at its patches' stride; set "
                'compared_stride = 8, and leave support_mask = "channels" away'
            )
        if (self.head == "matching") != self.backbone.endswith("_pyramid"):
            raise ValueError(
                f'head = "{self.head}" does not fit backbone = "{self.backbone}"; "matching" '
                'compares a pyramid ("mobilenet_v2_pyramid"), "guidance" three maps of one stride'
            )
        return self
