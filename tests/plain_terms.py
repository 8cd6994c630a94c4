"""Cuts a text into terms as docs/format.md says, and as slowly: what the package cuts is compared with it.

Of the package it uses the ranges of characters only, to which that page refers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import combining, decimal, decomposition, normalize

from s3_retriever.index import scripts

JOINT = "\n"
DATE = re.compile(
    r"(?:DDDD-DD?-DD?|DDDD/DD?/DD?|DD?-DD?-DDDD|DD?/DD?/DDDD)(?:(?=TD)|(?![-/]D)(?!\w))".replace("D", "[0-9]")
)
FAR = re.compile(r"[\U00010000-\U0010ffff](?:[-\u2010\u2011][ \t]{0,8}\r?\n[ \t]{0,64})?\Z")
HYPHEN = re.compile(r"[-\u2010\u2011]?[ \t]{0,8}\r?\n[ \t]{0,64}")
LETTERS = dict(zip("øđðłħŧıɨƶ", "oddlhtiiz", strict=True)) | {"æ": "ae", "œ": "oe", "þ": "th"}
LETTERS |= {"ى": "ي", "ی": "ي", "ة": "ه", "ک": "ك", **dict.fromkeys("ہھەۃ", "ه")}
LETTERS |= dict.fromkeys("\u02b9\u02ba\u02be\u02bf", "")
CHILLUS = {"ൺ": "ണ്", "ൻ": "ന്", "ർ": "ര്", "ൽ": "ല്", "ൾ": "ള്", "ൿ": "ക്"}
ROWS = {"ङ": "कखगघ", "ञ": "चछजझ", "ण": "टठडढ", "न": "तथदध", "म": "पफबभ"}
Placed = list[tuple[str, int]]  # characters, and where each stands in the text


def among(ranges: str) -> re.Pattern[str]:
    return re.compile(f"[{ranges}]")


UNSPACED, MARK, IGNORABLE = map(among, (scripts.UNSPACED, scripts.MARKS, scripts.IGNORABLE))
SYMBOL, ATTACHED, STACKING = map(among, (scripts.COMPATIBLE, scripts.ATTACHED, scripts.STACKING))
ARABIC = among("\u0620-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc")


def plain_terms(text: str) -> Placed:
    """Return each term and where it begins, in the order of the page."""
    found = []
    for run in runs(text):
        is_date = any(character in "-/" for character, _ in run)
        for piece in [run] if is_date else pieces(normalised(run)):
            for part, place in date_and_parts(piece) if is_date else forms(piece):
                term = searched(part)
                found.append((term, place))
                if weaker(term) != term:
                    found.append(("~" + weaker(term), place))
    return found


def in_run(character: str) -> bool:
    return (
        character == "_"
        or character.isalnum()
        or any(kind.match(character) for kind in (MARK, IGNORABLE, SYMBOL))
    )


def is_digit(character: str) -> bool:
    return decimal(character, None) is not None if character else False


def runs(text: str) -> Iterator[Placed]:
    """Rule 1; a hyphen at a line's end is a joint already."""
    at = 0
    while at < len(text):
        date = None if FAR.search(text[max(0, at - 99) : at]) else DATE.match(text, at)
        if date:
            run: Placed = [*zip(date[0], range(at, date.end()), strict=True)]
            at = date.end()
        else:
            run = []
        while at < len(text) and not date:
            before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
            hyphen = HYPHEN.match(text, at)
            if in_run(text[at]):
                run.append((text[at], at))
                at += 1
            elif (
                run
                and hyphen
                and (before == "\xad" or hyphen[0][0] in "-\u2010\u2011")
                and in_run(text[hyphen.end() : hyphen.end() + 1] or " ")
            ):
                run.append((JOINT, at))
                at = hyphen.end()
            elif (
                run
                and is_digit(before)
                and (
                    is_digit(after)
                    if text[at] in ".,'’\u066b\u066c"
                    else re.fullmatch("[\uff10-\uff19]{2}", before + after)
                    if text[at] in "\uff0c\uff0e"
                    else thousands(text[at:])
                )
            ):
                run.append((text[at], at))
                at += 1
            else:
                break
        if run:
            yield run
        else:
            at += 1
        if (run or text[at - 1] > "\uffff") and re.match(r"['’]s(?!\w)", text[at:], re.IGNORECASE):
            at += 2


def thousands(text: str) -> bool:
    return text[0] in " \xa0\u2009\u202f" and bool(re.match(r"\d{3}(?!\w)", text[1:]))


def normalised(run: Placed) -> Placed:
    """Rule 2; what Unicode composes has the place of its first character."""
    groups: Placed = []
    for i, (character, place) in enumerate(run):
        around = [run[j][0] if 0 <= j < len(run) else "" for j in (i - 1, i + 1)]
        if character == "\u200c" and all(map(ARABIC.match, around)):
            groups.append((JOINT, place))
        elif IGNORABLE.match(character):
            continue
        elif groups and groups[-1][0] != JOINT and character != JOINT and together(groups[-1][0], character):
            groups[-1] = groups[-1][0] + character, groups[-1][1]
        else:
            groups.append((character, place))
    found: Placed = []
    for i, (group, place) in enumerate(groups):
        said = normalize("NFKC", group) if group != JOINT else group
        before = groups[i - 1][0] if i else ""
        if found and found[-1][0].isdecimal() and said[:1].isdecimal() and not one_number(before, group):
            found.append(("\u2044", place))
        found += [({"\u066b": ".", "\u066c": ","}.get(one) or str(decimal(one, one)), place) for one in said]
    for i, (character, _) in enumerate(found[:-1]):
        tone, place = found[i + 1]
        if re.fullmatch("\u0e4d[\u0e48-\u0e4b]|\u0ecd[\u0ec8-\u0ecb]", character + tone):
            found[i], found[i + 1] = (tone, found[i][1]), (character, place)
    return found


def one_number(before: str, after: str) -> bool:
    """Whether two characters that are digits in NFKC make one number."""
    ways = [
        "plain" if is_digit(group[0]) else decomposition(group[0]).partition(" ")[0]
        for group in (before, after)
    ]
    return ways[0] == ways[1] and ways[0] in ("plain", "<super>", "<sub>")


def together(before: str, character: str) -> bool:
    joined = normalize("NFKC", before + character)
    return combining(normalize("NFKD", character)[0]) > 0 or joined != normalize("NFKC", before) + normalize(
        "NFKC", character
    )


def pieces(run: Placed) -> Iterator[Placed]:
    """Rule 3."""
    piece: Placed = []
    for i, (character, place) in enumerate(run):
        before, after = ("", *(one for one, _ in run), "")[i : i + 3 : 2]
        kind = kind_of(character, before, after)
        if piece and kind != kind_of(piece[-1][0], "", ""):
            joins = kind == "between" or piece[-1][0] in ".,'’ " + JOINT
            if kind == "none" or not joins:
                yield piece
                piece = []
        if kind != "none":
            piece.append((character, place))
    if piece:
        yield piece


def kind_of(character: str, before: str, after: str) -> str:
    if UNSPACED.match(character):
        return "unspaced"
    if character not in "\u02bb\u02bc" and (re.match(r"\w", character) or MARK.match(character)):
        return "word"
    if character in ".,'’ " and re.fullmatch("[0-9]{2}", before + after):
        return "between"
    if character == JOINT and all(
        one and kind_of(one, "", "") == "word" and not re.match(r"[\d_]", one) for one in (before, after)
    ):
        return "between"
    return "none"


def forms(piece: Placed) -> Iterator[tuple[str, int]]:
    """Rules 4 to 7."""
    said = "".join(character for character, _ in piece)
    if UNSPACED.match(said):
        yield from pairs(piece)
    elif not re.search("[.,'’ ]", said):
        yield from word_and_parts(piece)
    elif " " in said and value(said) is None:
        for number in split(piece, " "):
            yield from number_and_words(number)
    else:
        yield from number_and_words(piece)


def split(piece: Placed, separators: str) -> list[Placed]:
    found: list[Placed] = [[]]
    for character, place in piece:
        if character in separators:
            found.append([])
        else:
            found[-1].append((character, place))
    return found


def pairs(piece: Placed) -> Iterator[tuple[str, int]]:
    whole: Placed = []
    stacked = False
    for character, place in piece:
        if whole and (stacked or ATTACHED.match(character)):
            whole[-1] = whole[-1][0] + character, whole[-1][1]
            stacked = bool(STACKING.match(character))
        else:
            whole.append((character, place))
            stacked = False
    for i, (character, place) in enumerate(whole):
        if i + 1 < len(whole):
            yield character + whole[i + 1][0], place
        yield character, place


def number_and_words(piece: Placed) -> Iterator[tuple[str, int]]:
    said = "".join(character for character, _ in piece)
    separators = re.findall("[.,'’ ]", said)
    if not separators:
        yield from word_and_parts(piece)
        return
    measure = re.fullmatch(r"([0-9][0-9.,'’ ]*)([^\W\d_]+)", said)
    if measure:
        yield from number_and_words(piece[: measure.end(1)])
        yield from word_and_parts(piece[measure.end(1) :])
        return
    version = re.fullmatch(r"([^\W\d_]+)[0-9]+(\.[0-9]+)+", said)
    if version:
        yield said, piece[0][1]
        number = piece[version.end(1) :]
        for part, place in word_and_parts(split(piece, ".")[0]):
            if place < number[0][1]:
                yield part, place
        yield from number_and_words(number)
        return
    worth = value(said)
    whole = worth if worth is not None else said if set(separators) == {"."} else None
    if whole is not None:
        yield whole.replace(JOINT, ""), piece[0][1]
    in_thousands = worth is not None and (len(separators) > 1 or "." not in worth)
    if worth is not None and in_thousands and "." in worth:
        last = split(piece, ".,'’ ")[-1]
        yield worth.split(".")[0], piece[0][1]
        if " " not in separators:
            yield worth.split(".")[1], last[0][1]
    if not in_thousands or " " in separators:
        for word in split(piece, ".,'’ "):
            yield from word_and_parts(word)


def value(said: str) -> str | None:
    """Rule 7, its first point."""
    if not re.fullmatch(r"[0-9]+(?:[.,'’ ][0-9]+)*", said):
        return None
    for mark in ".,'’ ":
        own = re.escape(mark)
        grouped = rf"[1-9][0-9]{{0,2}}(?:{own}[0-9]{{3}})+"
        if mark == ",":
            grouped += r"|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"
        match = re.fullmatch(rf"({grouped})(?:([.,])([0-9]+))?", said)
        if match and match[2] != mark:
            return match[1].replace(mark, "") + (f".{match[3]}" if match[2] else "")
    match = re.fullmatch(r"([0-9]+)[.,]([0-9]+)", said)
    return f"{match[1]}.{match[2]}" if match else None


def date_and_parts(piece: Placed) -> Iterator[tuple[str, int]]:
    """The date of rule 1."""
    yield re.sub("[-/]", ".", "".join(character for character, _ in piece)), piece[0][1]
    for part in split(piece, "-/"):
        yield from word_and_parts(part)


def word_and_parts(piece: Placed) -> Iterator[tuple[str, int]]:
    """Rules 5 and 6."""
    said = "".join(character for character, _ in piece)
    yield said.replace(JOINT, ""), piece[0][1]
    if JOINT in said:
        for word in split(piece, JOINT):
            yield from word_and_parts(word)
        return
    shape = "".join(
        one if one in "_s" else "0" if one in "0123456789" else "A" if one.isupper() else "a" for one in said
    )
    begin = 0
    for chunk in shape.split("_"):
        found = [match.span() for match in re.finditer(r"AA+s(?![Aas])|A+(?![as])|A?[as]+|0+", chunk)]
        if len(found) > 4 and len(chunk) < 3 * len(found):
            found = [(0, len(chunk))]
        for first, last in found:
            own = said[begin + first : begin + last]
            if own != said and not (len(own) == 1 and not own.isdigit()):
                yield own, piece[begin + first][1]
        begin += len(chunk) + 1


def searched(word: str) -> str:
    """Rule 8."""
    lower = "".join(CHILLUS.get(one, one) for one in normalize("NFKC", word.casefold()))
    term = lower.replace("i\u0307", "i").replace("ı", "i")
    if len(term) > 3 and term.endswith("ies") and term[-4] not in "ae":
        return term[:-3] + "y"
    return term[:-1] if len(term) > 3 and term.endswith("s") and term[-2] not in "us" else term


def weaker(term: str) -> str:
    """Rule 9."""
    left = "".join(
        one
        for one in normalize("NFKD", term)
        if not (combining(one) in (1, 7, *range(10, 37)) or combining(one) >= 200)
    )
    plain = "".join(LETTERS.get(one, one) for one in normalize("NFKC", left)).replace("ँ", "ं")
    for nasal, row in ROWS.items():
        for letter in row:
            plain = plain.replace(f"{nasal}\u094d{letter}", f"ं{letter}")
    return plain or term
