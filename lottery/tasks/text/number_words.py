"""Write numbers below 10 million in words, in English and in German, and cut such words up."""

import re

MOST = 10_000_000

ENGLISH = (
    "", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
ENGLISH_TENS = (
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
GERMAN = (
    "", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf",
    "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn",
)  # fmt: skip
GERMAN_TENS = (
    "", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
)  # fmt: skip
JOINTS = ("hundred", "thousand", "million", "eins", "eine", "und", "hundert", "tausend")
MILLIONS = (" Millionen ", " Million ", " Millionen", " Million")  # a piece with its blanks

PIECES = sorted(
    {*ENGLISH, *ENGLISH_TENS, *GERMAN, *GERMAN_TENS, *JOINTS, *MILLIONS} - {""},
    key=lambda piece: (-len(piece), piece),
)
PATTERN = re.compile("|".join(map(re.escape, PIECES)))


def pieces(line: str) -> list[str]:
    """Return the parts of a number in words; those of a German one end to end are the number."""
    return PATTERN.findall(line)


def english(number: int) -> str:
    """Return a number from 1 to MOST - 1 in English: two million one hundred thousand one."""
    millions, rest = divmod(number, 1_000_000)
    thousands, ones = divmod(rest, 1000)
    parts = ((millions, " million"), (thousands, " thousand"), (ones, ""))
    return " ".join(english_hundreds(part) + unit for part, unit in parts if part)


def english_hundreds(number: int) -> str:
    """Return a number from 1 to 999 in English."""
    hundreds, rest = divmod(number, 100)
    words = [f"{ENGLISH[hundreds]} hundred"] if hundreds else []
    if rest >= 20:
        tens, ones = divmod(rest, 10)
        words.append(ENGLISH_TENS[tens] + f"-{ENGLISH[ones]}" * bool(ones))
    elif rest:
        words.append(ENGLISH[rest])
    return " ".join(words)


def german(number: int) -> str:
    """Return a number from 1 to MOST - 1 in German: zwei Millionen einhunderttausendeins."""
    millions, rest = divmod(number, 1_000_000)
    thousands, ones = divmod(rest, 1000)
    words = german_hundreds(thousands) + "tausend" if thousands else ""
    words += german_hundreds(ones) + "s" * (ones % 100 == 1)
    if not millions:
        return words
    head = "eine Million" if millions == 1 else f"{GERMAN[millions]} Millionen"
    return f"{head} {words}".strip()


def german_hundreds(number: int) -> str:
    """Return a number from 0 to 999 in German, as it stands before another word."""
    hundreds, rest = divmod(number, 100)
    words = f"{GERMAN[hundreds]}hundert" if hundreds else ""
    if rest < 20:
        return words + GERMAN[rest]
    tens, ones = divmod(rest, 10)
    return words + f"{GERMAN[ones]}und" * bool(ones) + GERMAN_TENS[tens]
