"""Prompts that no cache has seen and whose length in tokens is known.

A prompt consists of a nonce, which differs from request to request, and a body, which the requests
of one point share. A body whose length the engine itself has counted therefore fits them all: each
word of a nonce, with the space before it, is one token in the byte-pair vocabularies of the common
model families, and the same number of tokens in nearly every other vocabulary.
"""

from fleet.prompts.body import Body, Fit, Text
from fleet.prompts.fitting import SAMPLE_WORDS, Scale, fit
from fleet.prompts.words import NONCE_WORDS, WORDS, nonce

__all__ = ["NONCE_WORDS", "SAMPLE_WORDS", "WORDS", "Body", "Fit", "Scale", "Text", "fit", "nonce"]
