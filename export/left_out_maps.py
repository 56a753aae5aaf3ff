"""Maps of a detector's own good images by its file, with each image left out in turn; see `export.left_out`."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from export.left_out import FAR, INPUT, with_out_of_reach
from runtime.engines.onnxruntime_engine import open_session
from runtime.machine import available_cores
from train.data import PreparedImages, Split


def left_out_maps(
    graph: bytes,
    name: str,
    memory: str,
    members: Mapping[str, NDArray[np.bool_]],
    split: Split,
    images: PreparedImages,
) -> NDArray[np.float32]:
    """The output `name` [n, H, W] for `images`, each by the detector of all others; the rest as `left_out_scores`."""
    session = open_session(with_out_of_reach(graph, memory), "cpu", available_cores())
    found = []
    for index, path in enumerate(images.paths):
        reach = np.where(members[split.picture(path)], np.float32(FAR), np.float32(0))
        found.append(session.run([name], {"frames": images[index][None], INPUT: reach})[0][0])
    return np.stack(found)
