"""All that is to be measured on a machine with a GPU, in one command of a few minutes."""
