"""Every error Proctor raises on purpose.

::

    ProctorError
    ├── InputError            what the user gave: a path, an option, an image, a configuration
    │   ├── OptionError       one option of several, by its name
    │   └── ImageError        one image file or frame that cannot be read or used
    │       └── DamagedImage  one whose bytes were lost or changed
    ├── DetectorError         a detector file that is missing, damaged or of an unknown schema
    ├── EngineError           an inference engine that cannot start or failed on a batch
    │   └── ResultTimeout     a result that did not arrive in time
    ├── SourceError           a frame source that cannot be opened or broke down
    │   ├── SourceTimeout     no frame arrived in time; the source may still recover
    │   └── SetupError        waiting does not help: a setting the camera refuses, a driver that is not installed
    │       └── WrongAddress  something answers there that is no camera's stream
    ├── LineError             a connection with a line controller that cannot be made, or that broke
    │   └── WireError         bytes that are no message of the protocol
    │       └── WrongVersion  a message of another version of it
    ├── BrokeDown             what was at work and ended by an error that another start may cure
    ├── OutputLost            verdicts that nobody reads any more
    └── ParityError           an exported file that disagrees with the formulas it was made from

A message says what arrived, what was expected and what to do next. Command lines print it and exit with status 2,
3 on a `BrokeDown`, 141 on an `OutputLost`; errors of vendors' libraries become one of these at the boundary, chained.
"""


class ProctorError(Exception):
    """Base of every error raised on purpose."""


class InputError(ProctorError):
    """What the user gave cannot be used."""


class OptionError(InputError):
    """One option cannot be used; `name` says which, to whoever knows where it was written."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class ImageError(InputError):
    """One image cannot be read or used; the message names it."""


class DamagedImage(ImageError):
    """Bytes of one image were lost or changed. Made from what the decoder said, without the name of a file."""

    @property
    def reason(self) -> str:
        """What the decoder said."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"damaged picture: {self.reason}"


class DetectorError(ProctorError):
    """A detector file is missing, damaged, or of a schema this version does not know."""


class EngineError(ProctorError):
    """An inference engine cannot start or failed on a batch."""


class ResultTimeout(EngineError):
    """A result did not arrive within the time given."""


class SourceError(ProctorError):
    """A frame source cannot be opened or broke down."""


class SourceTimeout(SourceError):
    """No frame arrived in time; the source may still recover."""


class SetupError(SourceError):
    """A camera cannot be used as it is asked for, and waiting does not change it."""


class WrongAddress(SetupError):
    """What answers at a camera's address is no stream; waiting does not change it."""


class LineError(ProctorError):
    """A connection between runtime and line controller cannot be made, or broke."""


class WireError(LineError):
    """Bytes that are no message of the protocol; the connection ends."""


class WrongVersion(WireError):
    """A message of another version of the protocol."""


class BrokeDown(ProctorError):
    """What was at work, and ended by an error of a camera or an engine that another start may cure."""


class OutputLost(ProctorError):
    """Whoever read the verdicts has gone away."""


class ParityError(ProctorError):
    """An exported file disagrees with the formulas it was made from."""
