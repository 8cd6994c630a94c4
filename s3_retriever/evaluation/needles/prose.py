"""What can be said and asked of invented subjects.

A subject has a *role* out of few and a *name* of its own; either may be shared by a distractor. In statements
and questions, ``{s}`` is the subject, ``{S}`` the same at the beginning of a sentence, ``{v}`` the value.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3_retriever.evaluation.needles.nouns import Relation, noun_relations
from s3_retriever.evaluation.needles.words import FIRST_NAMES


@dataclass(frozen=True)
class Kind:
    """A kind of subject.

    Attributes:
        form: How a subject is called, with ``{role}`` and ``{name}``.
        roles: Its roles.
        names: "place", "surname" or "ship".
        relations: What can be said of it.
    """

    form: str
    roles: tuple[str, ...]
    names: str
    relations: tuple[Relation, ...]


_OFFICE = Kind(
    "the {role} of {name}",
    ("harbour office", "customs house", "post office", "toll house", "weather station", "grain exchange"),
    "place",
    (
        Relation(
            "code",
            (
                "After the autumn review {s} was issued the registry code {v}.",
                "The registry code stamped above the door of {s} now reads {v}.",
            ),
            ("Which registry code did {s} get?", "Under what code is {s} entered in the registry?"),
            "Which registry codes did {s} get?",
        ),
        Relation(
            "small",
            (
                "{S} employs {v} clerks in all, counting the two who come only at night.",
                "No fewer than {v} clerks draw their wages from {s}.",
            ),
            ("How many clerks work at {s}?", "How large is the staff of clerks at {s}?"),
            "How many clerks work at {s}?",
        ),
        Relation(
            "year",
            (
                "It was in {v} that {s} first raised its shutters to the public.",
                "{S} opened its doors in {v}, to the sound of a borrowed band.",
            ),
            ("In what year did {s} open?", "When was {s} opened to the public?"),
            "In what years did {s} open?",
        ),
        Relation(
            "person",
            (
                "The keys to {s} have been with {v} since the old superintendent retired.",
                "Every evening {v} locks {s} and takes the keys home in a biscuit tin.",
            ),
            ("Who keeps the keys to {s}?", "Which person has the keys of {s}?"),
            "Who keeps the keys to {s}?",
        ),
        Relation(
            "day",
            (
                "Each year {s} closes on {v} so that the floors can be tarred.",
                "On {v} nobody is let into {s}, for that is when the stock is counted.",
            ),
            ("On which day of the year does {s} stay closed?", "What is the date when {s} is shut?"),
            "On which days of the year do {s} stay closed?",
        ),
        *noun_relations("office"),
    ),
)
_PERSON = Kind(
    "{role} {name}",
    FIRST_NAMES,
    "surname",
    (
        Relation(
            "place",
            (
                "{S} grew up in {v}, above a shop that sold nothing but rope.",
                "As a child {s} lived in {v} with two aunts and a blind dog.",
            ),
            ("In which town did {s} grow up?", "Where did {s} live as a child?"),
            "In which towns did {s} grow up?",
        ),
        Relation(
            "thing",
            (
                "In the evenings {s} repairs old {v} and gives them to the neighbours.",
                "The attic of {s} is full of {v} that wait to be repaired.",
            ),
            ("What does {s} repair at home?", "Which objects does {s} collect and repair?"),
            "What do {s} repair at home?",
        ),
        Relation(
            "code",
            (
                "On the first morning {s} was handed the key to locker {v}.",
                "Locker {v}, the one with the dented door, belongs to {s}.",
            ),
            ("Which locker belongs to {s}?", "What is the number of the locker that {s} was given?"),
            "Which lockers belong to {s}?",
        ),
        Relation(
            "person",
            (
                "Nobody taught {s} more about surveying than {v}.",
                "It was {v} from whom {s} learned the craft of surveying.",
            ),
            ("Who was the teacher of {s} in surveying?", "From whom did {s} learn surveying?"),
            "From whom did {s} learn surveying?",
        ),
        Relation(
            "large",
            (
                "For the winning design {s} was paid {v} crowns in two instalments.",
                "The jury awarded {s} a sum of {v} crowns for the design of the fountain.",
            ),
            ("How many crowns did {s} receive for the design?", "How much was {s} paid for the design?"),
            "How many crowns did {s} receive for their designs?",
        ),
        *noun_relations("person"),
    ),
)
_SHIP = Kind(
    "the {role} {name}",
    ("steamer", "schooner", "ferry", "barge", "tug", "trawler"),
    "ship",
    (
        Relation(
            "thing",
            (
                "When she was searched, {s} carried a hold full of {v} under the coal.",
                "{S} left the quay with a cargo of {v} and came back without it.",
            ),
            ("What was the cargo of {s}?", "What did {s} carry in her hold?"),
            "What was the cargo of {s}?",
        ),
        Relation(
            "person",
            (
                "For eleven seasons {s} sailed under {v}, who never learned to swim.",
                "The crew of {s} took its orders from {v}, and from nobody else.",
            ),
            ("Who was the captain of {s}?", "Who commanded the crew of {s}?"),
            "Who were the captains of {s}?",
        ),
        Relation(
            "place",
            (
                "Between voyages {s} lies at {v}, moored beside the old ice house.",
                "The home port painted on the stern of {s} is {v}.",
            ),
            ("What is the home port of {s}?", "At which port does {s} lie between voyages?"),
            "What are the home ports of {s}?",
        ),
        Relation(
            "code",
            (
                "The engine of {s} bears the serial number {v} on a brass plate.",
                "A mechanic noted {v} as the serial number when he repaired the engine of {s}.",
            ),
            ("What is the serial number of the engine of {s}?", "Which number does the engine of {s} bear?"),
            "What are the serial numbers of the engines of {s}?",
        ),
        Relation(
            "day",
            (
                "{S} slid down the slipway on {v}, an hour after the tide had turned.",
                "A bottle was broken on the bow of {s} on {v}, at her launch.",
            ),
            ("On what day was {s} launched?", "What was the date of the launch of {s}?"),
            "On what days were {s} launched?",
        ),
        *noun_relations("ship"),
    ),
)
_WORKS = Kind(
    "the {name} {role}",
    ("glassworks", "brickworks", "tannery", "paper mill", "foundry", "ropewalk"),
    "surname",
    (
        Relation(
            "large",
            (
                "In a good week {s} turns out {v} pieces, half of them for export.",
                "The weekly output of {s} stands at {v} pieces since the new shed was built.",
            ),
            ("How many pieces does {s} make in a week?", "What is the weekly output of {s}?"),
            "How many pieces do {s} make in a week?",
        ),
        Relation(
            "person",
            (
                "At the auction {s} was bought by {v} for the price of its roof.",
                "{S} has belonged to {v} ever since the bankruptcy.",
            ),
            ("Who bought {s}?", "Who became the owner of {s}?"),
            "Who bought {s}?",
        ),
        Relation(
            "code",
            (
                "To switch off the night alarm at {s}, one has to enter {v} twice.",
                "The foreman of {s} has the alarm code {v} written inside his cap.",
            ),
            ("What is the alarm code of {s}?", "Which code turns off the alarm at {s}?"),
            "What are the alarm codes of {s}?",
        ),
        Relation(
            "year",
            (
                "{S} burned to the ground in {v} and was rebuilt within a summer.",
                "Nothing was left of {s} after the fire of {v} but the chimney.",
            ),
            ("In what year did {s} burn down?", "When was the fire at {s}?"),
            "In what years did {s} burn down?",
        ),
        Relation(
            "place",
            (
                "The sand and the water for {s} come by cart from {v}.",
                "Carts from {v} bring {s} whatever it needs in the way of supplies.",
            ),
            ("Where do the supplies of {s} come from?", "From which town do carts supply {s}?"),
            "From which towns are {s} supplied?",
        ),
        *noun_relations("works"),
    ),
)
_BOOK = Kind(
    "the {name} {role}",
    ("codex", "psalter", "atlas", "herbal", "chronicle", "songbook"),
    "place",
    (
        Relation(
            "code",
            (
                "In the vault, {s} is kept under the shelf mark {v}.",
                "Readers who ask for {s} have to give the shelf mark {v}.",
            ),
            ("What is the shelf mark of {s}?", "Under which shelf mark can {s} be found?"),
            "What are the shelf marks of {s}?",
        ),
        Relation(
            "person",
            (
                "{S} was copied by {v}, whose hand can be told by its crooked capitals.",
                "The scribe to whom we owe {s} was {v}.",
            ),
            ("Who was the scribe of {s}?", "Who copied {s} by hand?"),
            "Who were the scribes of {s}?",
        ),
        Relation(
            "small",
            (
                "Of its leaves {s} has kept {v}, the rest went to line a trunk.",
                "{S} consists of {v} leaves of calfskin sewn with green thread.",
            ),
            ("How many leaves does {s} have?", "What is the number of leaves in {s}?"),
            "How many leaves do {s} have?",
        ),
        Relation(
            "place",
            (
                "{S} was discovered behind a stove in {v} by a chimney sweep.",
                "A flood in the cellars of {v} brought {s} to light.",
            ),
            ("Where was {s} discovered?", "In which town was {s} found?"),
            "Where were {s} discovered?",
        ),
        Relation(
            "large",
            (
                "At the winter auction {s} fetched {v} guilders after a long silence.",
                "A collector who did not give his name paid {v} guilders for {s}.",
            ),
            ("At what price was {s} sold?", "How many guilders did {s} fetch at auction?"),
            "At what prices were {s} sold?",
        ),
        *noun_relations("book"),
    ),
)
KINDS = (_OFFICE, _PERSON, _SHIP, _WORKS, _BOOK)
