"""Cards of networks for face landmarks, from `data/landmarks.tsv`.

The facts are mmpose's (its configs, model index and READMEs) and, for the names with `official`, those of the
repository HRNet-Facial-Landmark-Detection, whose weights lie behind web pages: there is nothing to fetch for them.

Both upsample bilinearly where branches are fused: mmpose's configs for HRNetV2 say so in `extra`.
"""

from __future__ import annotations

from edgehr.card import InputSpec, ModelCard, OutputSpec, WeightsInfo
from edgehr.tasks.landmarks.spec import LandmarksSpec
from edgehr.tasks.pose.spec import Decoding
from edgehr.zoo.keypoint_sets import keypoint_set, normalizer
from edgehr.zoo.tables import read_table

_HEATMAPS = OutputSpec("heatmaps", "(N, K, H / 4, W / 4) float: how likely each landmark is at each place")


def landmarks_cards() -> tuple[ModelCard, ...]:
    """List every known network for face landmarks, sorted by name."""
    return tuple(_card(row) for row in read_table("landmarks.tsv"))


def _card(row: dict[str, str]) -> ModelCard:
    origin = "published" if row["url"] else "user"
    return ModelCard(
        name=row["name"],
        task="landmarks",
        architecture=row["architecture"],
        parameters={"width": int(row["variant"]), "upsampling": row["upsampling"]},
        dataset=row["dataset"],
        input=InputSpec(int(row["height"]), int(row["width"])),
        outputs=(_HEATMAPS,),
        spec=LandmarksSpec(
            keypoint_set(row["keypoints"]),
            Decoding(row["decoding"], int(row["blur_kernel"]), row["warp"], row["shift_flipped"] == "1"),
            normalizer=normalizer(row["keypoints"]),
        ),
        weights=WeightsInfo(origin, row["file"], row["url"], row["sha256"], row["license"], row["metric"]),
        category="face",
    )
