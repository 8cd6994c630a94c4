"""Sentences of letters, laws, chats, plays and quoted mail, and abbreviations of many languages."""

from __future__ import annotations

import pytest
from found_units import units


@pytest.mark.parametrize(
    "sentences",
    [
        [
            "Der Vertrag gem. § 5 Abs. 1 ist nichtig.",
            "Es kostet 5 Mio. Euro und bringt 2 Mrd. Dollar.",
            "Ja.",
        ],
        ["Die Firma Müller GmbH & Co. KG hat Sitz in Bonn.", "Fr. Schmidt kam.", "Geb. 1950 in Ulm."],
        ["Die Dosis ist max. 3 mg und mind. 1 mg.", "Vgl. BGH, Urt. v. 3.5.2024, Rn. 15.", "Nein."],
        ["Urodził się ok. 1900 r. w Polsce.", "Zob. rozdz. 3 tej książki.", "Koniec."],
        ["Az 5. § (2) szerint igen.", "Kb. 5 fő jött.", "Vége."],
        ["Esim. Helsinki on iso.", "Ks. s. 5.", "Ja."],
        ["Το άρθρο 5, παρ. 2 του νόμου ισχύει.", "Ναι."],
        ["श्री. वर्मा आए।", "पं. नेहरू ने रु. 500 दिए।"],
        ["திரு. குமார் வந்தார்.", "ஏன்?", "డా. రావు వచ్చారు."],
        ["See Smith v. Jones (9th Cir. 1999).", "Cf. Matt. 5:3 and 1 Cor. 13:4.", "Temp. 38.5 C."],
        ["ขึ้นเรือเวลา 10.30 น. ตามกำหนด"],
        ["ខ្ញុំឈ្មោះ ចាន់។ល។", "និងអ្នកដទៃ។"],
        ["It is a gem.", "It is ok.", "He is the min.", "You see it."],
        ["It is Co.", "Kiel is far.", "It has 5 kb.", "The end."],
    ],
)
def test_abbreviations_end_no_sentence(sentences: list[str]) -> None:
    assert units(" ".join(sentences)) == [("prose", one) for one in sentences]


@pytest.mark.parametrize(
    "lines",
    [
        ["[12:01] anna: did you see the lamp in the harbour", "[12:02] peter: it is broken"],
        [
            "12/05/2024, 21:14 - Anna: Where are you",
            "12/05/2024, 21:15 - Peter: here",
            "13/05/2024, 8:00 - ok",
        ],
        ["2024-05-03 21:14 anna: I will see to it tomorrow then", "2024-05-03 21:15 peter: come here"],
        ["3.5.2024, 21:14: Anna kommt morgen nicht mehr in den Hafen", "3.5.2024, 21:15: Gut"],
    ],
)
def test_messages_of_a_chat_are_units(lines: list[str]) -> None:
    assert [piece for _, piece in units("\n".join(lines))] == lines


@pytest.mark.parametrize("time", ["10:30 from the pier", "12/2 of all of it", "3.5 miles", "5:3 in the end"])
def test_a_wrapped_line_that_begins_with_a_time_goes_on(time: str) -> None:
    text = (
        f"The ferry of the harbour leaves for the islands on each day of the week at\n{time}, if it is calm."
    )
    assert units(text) == [("prose", text)]


def test_who_speaks_in_a_play_stays_with_the_first_sentence() -> None:
    text = "ANNA. Who goes there?\nPETER. Nay, answer me. Stand.\nANNA. Long live the king!"
    assert [piece for _, piece in units(text)] == [
        "ANNA. Who goes there?",
        "PETER. Nay, answer me.",
        "Stand.",
        "ANNA. Long live the king!",
    ]
    told = ["It was built by NASA.", "They lit it.", "He lives in the USA.", "She too."]
    assert [piece for _, piece in units(" ".join(told))] == told
    assert units("WARNING.\nKeep off.") == [("prose", "WARNING."), ("prose", "Keep off.")]


def test_quoted_mail_begins_units_where_it_is_deeper_and_behind_empty_lines() -> None:
    text = (
        "On Thu, 2 May 2024 at 18:01, Peter <peter@harbour.example> wrote:\n"
        "> Hi Anna,\n>\n> the lamp of the old harbour is broken and I do not know\n> what to do\n"
        "> > I told you so on the day when you came back"
    )
    assert [piece for _, piece in units(text)] == [
        "On Thu, 2 May 2024 at 18:01, Peter <peter@harbour.example> wrote:",
        "> Hi Anna,\n>",
        "> the lamp of the old harbour is broken and I do not know\n> what to do",
        "> > I told you so on the day when you came back",
    ]
