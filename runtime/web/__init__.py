"""The live page: what a stream or a line sees and decides, in a browser, by a process of its own."""
