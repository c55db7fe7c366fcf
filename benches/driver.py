"""Calls main of a shared object: what records a Python program gets to see a host in C."""

import ctypes
import sys

words = [word.encode() for word in sys.argv[1:]]
library = ctypes.CDLL(sys.argv[1])
sys.exit(library.main(len(words), (ctypes.c_char_p * (len(words) + 1))(*words, None)))
