"""``python -m export.golden``: golden arrays of a detector, for checking an implementation written elsewhere."""

import argparse
import io
from pathlib import Path

from runtime import cli


def main() -> None:
    parser = argparse.ArgumentParser(prog=cli.program("export.golden"), description=__doc__)
    parser.add_argument("detector", type=cli.file, help="detector.onnx")
    parser.add_argument("image", type=cli.some_path, help="image to inspect, of any size")
    parser.add_argument(
        "--out", type=cli.some_path, help="file to write (default: <detector stem>.golden.npz beside it)"
    )
    arguments = parser.parse_args()
    out = arguments.out or arguments.detector.with_suffix(".golden.npz")
    write_golden(arguments.detector, arguments.image, out)
    print(f"{out} written")


def write_golden(detector: Path, image: Path, out: Path) -> None:
    """Write `frame`, `prepared`, `anomaly_map` and `anomaly_score` of one image as NPZ.

    And `deviation_map` and `evidence_scores` where the detector has them, and `placed` where it aligns frames. The
    arrays are those of runtime/DETECTOR.md: uint8 [h, w, 3], uint8 [H, W, 3], float32 [H, W], [], [H, W], [1 + J], and
    float64 [2, 3].
    """
    import numpy as np

    from runtime.atomic import write_atomically
    from runtime.detector import Detector
    from runtime.images import read_image
    from runtime.preparation import prepare

    frame = read_image(image)
    with Detector.open(detector) as opened:
        prepared = prepare(frame, opened.recipe.size_hw, opened.recipe.alignment)
        output = opened.engine.result(opened.engine.submit(prepared.frame[None]))
    file = io.BytesIO()
    arrays = {"anomaly_map": output.anomaly_map[0], "anomaly_score": output.anomaly_score[0]}
    for name in ("deviation_map", "evidence_scores"):
        values = getattr(output, name)
        if values is not None:
            arrays[name] = values[0]
    if prepared.placed is not None:
        arrays |= {"placed": prepared.placed.to_picture(opened.recipe.size_hw, opened.recipe.size_hw)}
    np.savez_compressed(file, frame=frame, prepared=prepared.frame, **arrays)
    write_atomically(out, file.getvalue())


if __name__ == "__main__":
    cli.run(main)
