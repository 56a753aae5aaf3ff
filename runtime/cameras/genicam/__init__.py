"""Industrial cameras with a GenICam description, by their vendors' drivers.

A driver is a file here that knows how to open a camera and to fetch its buffers, a `Device`. What a buffer means, how
settings are made and how triggers are arranged is the same for all of them, in `capture`, `features` and
`pixel_formats`. Drivers run in a process of their own; see `runtime.cameras.driver`.
"""
