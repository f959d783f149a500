"""An answer to a word: why, and what may be typed in place of it, the likeliest first.

(words, when) each, where {v} stands for the value that was typed.
"""

Answer = tuple[str, list[tuple[str, str]]]
