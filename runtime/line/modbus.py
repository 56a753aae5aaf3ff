"""Where the registers lie in Modbus, on whichever side the server is.

One address space for function codes 3 and 4 alike. Numbers of 32 bits have their high word first; text is UTF-8, two
bytes a word, the first one high, ended by zeros.
"""

from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, words_of

TO_RUNTIME_AT, FROM_RUNTIME_AT = 0, 100
TO_RUNTIME_WORDS = len(words_of(TO_RUNTIME, {}))
FROM_RUNTIME_WORDS = len(words_of(FROM_RUNTIME, {}))
DEVICE_ID = 1
