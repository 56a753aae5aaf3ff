"""A vendor's driver in a process of its own, so that whatever it does cannot take inspection down.

The child (`host`) opens a camera by a function's name, ``module:function``, and writes its pictures into shared memory
that has no name and dies with its users. The parent (`process`, `hosted`) waits for no longer than it said: a driver
that hangs is killed, and opened again as any camera that was lost. What travels between the two is in `wire`.
"""
