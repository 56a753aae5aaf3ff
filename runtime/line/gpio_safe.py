"""Drive all outputs to their safe, inactive level: ``python -m runtime.line.gpio_safe CONFIG``, as ``ExecStopPost=``.

Drivers of chips leave a line as it was, or as it is at power-on, when its holder is gone; this leaves it inactive.
"""

import argparse
import time

from runtime import cli
from runtime.errors import InputError
from runtime.line.gpio_config import GpioConfig, read_config
from runtime.line.gpio_lines import OutputLines, driver_of

PATIENCE_S = 5.0  # for a process that was killed to give its lines up
PAUSE_S = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("runtime.line.gpio_safe"), description="Drive all outputs to their safe level, and end."
    )
    parser.add_argument("config", type=cli.some_path, metavar="CONFIG", help="that of --gpio")
    config = read_config(parser.parse_args().config)
    _opened(config).close()
    print(f"{', '.join(config.outputs)} of {config.chip.chip} are inactive")


def _opened(config: GpioConfig) -> OutputLines:
    driver, until_s = driver_of(config), time.monotonic() + PATIENCE_S
    while True:
        try:
            return driver.open_outputs(config)
        except InputError:
            if time.monotonic() > until_s:
                raise
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    cli.run(main)
