"""How a camera is opened: the options that every command shares which opens one."""

import argparse

from runtime.arguments import given_options
from runtime.cameras.settings import parse_settings
from runtime.cli import positive
from runtime.pictures.pixel_limit import pixels_of

_NAMED = ("reconnect_limit", "seed", "defect_rate", "accept_size_change", "rtsp_transport")


def add_camera_options(parser: argparse.ArgumentParser) -> None:
    """The options of cameras, which `camera_options` reads. Which camera takes which, `runtime.cameras.ROWS` says."""
    parser.add_argument(
        "--reconnect-limit", type=positive, metavar="N", help="end after N failed attempts to reopen (default: never)"
    )
    parser.add_argument("--seed", type=int, help="of the demo line (default: 0)")
    parser.add_argument("--defect-rate", type=float, metavar="SHARE", help="of the demo line, 0 to 1 (default: 0.3)")
    wait_help = "wait for a camera that is absent at the start as for one that was lost (default: end with status 2)"
    parser.add_argument("--wait-for-camera", action="store_true", help=wait_help)
    change_help = "go on with a camera that changed its resolution or format (default: no decision on its pictures)"
    parser.add_argument("--accept-size-change", action="store_true", help=change_help)
    parser.add_argument("--rtsp-transport", choices=("tcp", "udp"), help="how RTSP sends its pictures (default: tcp)")
    parser.add_argument(
        "--camera-set",
        action="append",
        metavar="NAME=VALUE",
        help="a setting of the camera, by its driver's name for it, such as ExposureTime=2000; repeat it",
    )
    size_help = "refuse image files above this size before decoding them (default: PROCTOR_MAX_MEGAPIXELS, or 100)"
    parser.add_argument("--max-megapixels", metavar="N", help=size_help)


def camera_options(arguments: argparse.Namespace) -> dict[str, object]:
    """The options of a camera that were given, by name, as `open_camera` takes them."""
    named = {name: getattr(arguments, name) for name in _NAMED}
    options: dict[str, object] = {**named, "wait": arguments.wait_for_camera}
    if arguments.max_megapixels:
        options["max_pixels"] = pixels_of(arguments.max_megapixels, "--max-megapixels")
    if arguments.camera_set:
        options["settings"] = parse_settings(arguments.camera_set)
    return given_options(options)
