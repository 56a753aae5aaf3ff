"""Recipes as the last version that wrote schema 1 wrote them, each with the hash that its verdicts carried."""

RICH = (
    '{"aspect": "stretch", "by_position": true, "explain": true, "form": "atrous", "graph_sha256": '
    '"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd", "health": {"aspect_high": 2.0, '
    '"aspect_low": 1.0, "brightness_high": 235.0, "brightness_low": 20.0, "saturated_high": 0.2}, '
    '"interpolation": "area", "largest_activation": 12.5, "output_stride": 4, "parity_sha256": '
    '"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "precision": "int8", '
    '"provenance": {"commit": "unknown", "created": "2026-01-01T00:00:00+00:00", "images": {"statistics":'
    ' 20, "threshold": 300, "training": 240}, "images_sha256": '
    '"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "versions": {"torch": "2.5"}}, '
    '"quantization": {"au_pro_loss": null, "decisions": 300, "decisions_differing": 1, '
    '"defective_images": 0, "frames": 16, "image_auroc_loss": null, "images_sha256": '
    '"0000000000000000000000000000000000000000000000000000000000000000", "map_correlation": 0.9951, '
    '"margin": 0.01, "range_images": 32, "ranges": "max", "source_sha256": '
    '"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "speed": 1.5, "speed_on": "ONNX '
    'Runtime, 2 CPU threads"}, "region_of_interest": [2, 3, 40, 50], "relative": true, "scales": '
    '[{"error_mean": 1.25, "error_std": 0.1, "patch_size": 33, "teacher_sha256": '
    '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "variance_mean": 0.7, '
    '"variance_std": 0.3333333333333333}, {"error_mean": 2.0, "error_std": 0.5, "patch_size": 65, '
    '"teacher_sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", '
    '"variance_mean": 0.25, "variance_std": 0.0625}], "schema": 1, "score_pixels": 7, "score_quantiles": '
    '{"0.5": 0.2, "1.0": 4.0}, "size_hw": [48, 56], "smoothing": 2.5, "students": 3, "threshold": '
    '{"budget": 0.01, "confidence": 0.95, "method": "order-statistic", "sample_size": 300, "supported": '
    'true, "supported_budget": 0.0099, "value": 5.0}}'
)
RICH_SHA256 = "2f08315ef97575650799c643201cfc5606d8269621817aacfaea097af198e8b8"

PLAIN = (
    '{"aspect": "stretch", "explain": true, "form": "atrous", "graph_sha256": '
    '"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd", "health": {"aspect_high": 2.0, '
    '"aspect_low": 1.0, "brightness_high": 235.0, "brightness_low": 20.0, "saturated_high": 0.2}, '
    '"interpolation": "area", "largest_activation": 12.5, "output_stride": 4, "parity_sha256": '
    '"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "precision": "fp32", '
    '"provenance": {"commit": "unknown", "created": "2026-01-01T00:00:00+00:00", "images": {"statistics":'
    ' 20, "threshold": 300, "training": 240}, "images_sha256": '
    '"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "versions": {"torch": "2.5"}}, '
    '"region_of_interest": null, "scales": [{"error_mean": 1.0, "error_std": 0.5, "patch_size": 17, '
    '"teacher_sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", '
    '"variance_mean": null, "variance_std": null}], "schema": 1, "score_pixels": 7, "score_quantiles": '
    '{"0.5": 0.2, "1.0": 4.0}, "size_hw": [48, 56], "students": 1, "threshold": {"budget": 0.01, '
    '"confidence": 0.95, "method": "order-statistic", "sample_size": 300, "supported": true, '
    '"supported_budget": 0.0099, "value": 5.0}}'
)
PLAIN_SHA256 = "ffc85142c8005d64494f09fc15e0a1d5eb201c113973600be5fb8082d99758a5"

DEMO_SHA256 = "f30f6eba05c8d6dcfad8ca646b6473e99e6f835231b41544225e435eafda9abf"  # of runtime/data/demo.onnx
DEMO_AT_3_25_SHA256 = (
    "2ea6115be1576761d370f245aaf36f6dadf0c88bb7f2c0027443601364c6ca63"  # of the same with a threshold of 3.25
)
