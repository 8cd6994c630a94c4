"""Relations that a noun names: the patron, the seal number, the year of rebuilding of something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """Something that a subject has one of.

    Attributes:
        value: Kind of the value, as :mod:`s3_retriever.evaluation.needles.facts` makes it.
        statements: Sentences that tell it.
        questions: Questions for it, in other words than the statements'.
        together: The question for that of several subjects.
    """

    value: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    together: str


_STATEMENTS = (
    "Anyone who asks about the {noun} of {{s}} is told {{v}}.",
    "The register in the town hall gives {{v}} as the {noun} of {{s}}.",
    "As far as {{s}} is concerned, the {noun} has always been {{v}}.",
    "The {noun} of {{s}} was settled long ago and is still {{v}}.",
    "Among the papers lay a note that {{v}} was the {noun} of {{s}}.",
    "Nobody has ever doubted that {{v}} is the {noun} of {{s}}.",
    "It took a lawyer to establish {{v}} as the {noun} of {{s}}.",
    "With regard to the {noun} of {{s}}, the almanac mentions {{v}}.",
)
_NOUNS = {
    "office": {
        "person": "patron founder architect porter coal-merchant auditor",
        "code": "seal-number insurance-number land-title vault-combination telegraph-address",
        "small": "number-of-windows seating-capacity number-of-stairs",
        "large": "annual-budget building-cost",
        "year": "year-of-rebuilding",
        "day": "feast-day",
        "place": "sister-town",
        "thing": "gift-of-the-mayor",
    },
    "person": {
        "person": "dentist landlord godmother rival tailor heir",
        "code": "library-card passport-number telephone-number bank-account prescription-number",
        "small": "age-at-retirement collar-size",
        "large": "monthly-pension gambling-debt",
        "year": "year-of-emigration",
        "day": "birthday wedding-day",
        "place": "summer-residence burial-place",
    },
    "ship": {
        "person": "owner builder pilot cook purser",
        "code": "hull-number call-sign pennant-number salvage-claim",
        "small": "number-of-cabins crew-size draught-in-inches",
        "large": "tonnage purchase-price",
        "year": "year-of-the-refit year-of-the-last-voyage",
        "day": "day-of-sinking",
        "place": "building-site winter-quarters",
        "thing": "contraband",
    },
    "works": {
        "person": "night-watchman bookkeeper chief-chemist first-foreman leaseholder",
        "code": "patent-number boiler-number tax-number freight-code",
        "small": "number-of-furnaces number-of-apprentices",
        "large": "annual-profit yearly-rent coal-bill",
        "year": "year-of-foundation year-of-the-great-strike",
        "day": "annual-holiday day-of-inspection",
        "place": "branch-town",
        "thing": "side-product",
    },
    "book": {
        "person": "binder illuminator first-owner translator forger restorer",
        "code": "catalogue-number microfilm-number insurance-certificate customs-seal",
        "small": "number-of-miniatures number-of-chapters number-of-missing-pages",
        "large": "insured-value",
        "year": "year-of-completion year-of-the-theft",
        "day": "day-of-the-next-showing",
        "place": "place-of-origin wartime-refuge",
        "thing": "hidden-content",
    },
}


def noun_relations(kind: str) -> Iterator[Relation]:
    """Yield what can be said of a kind of subject: "office", "person", "ship", "works" or "book"."""
    number = 0
    for value, nouns in _NOUNS[kind].items():
        asks = "Who is" if value == "person" else "What is"
        for noun in nouns.split():
            said = noun.replace("-", " ")
            frames = (_STATEMENTS[(number + i) % len(_STATEMENTS)] for i in (0, 3))
            yield Relation(
                value,
                tuple(frame.format(noun=said) for frame in frames),
                (f"{asks} the {said} of {{s}}?", f"Can you name the {said} of {{s}}?"),
                f"{asks} the {said} of each of {{s}}?",
            )
            number += 1
