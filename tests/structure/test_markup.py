"""Units of texts in AsciiDoc, org and LaTeX, and of texts that only look like them."""

from __future__ import annotations

import pytest
from found_units import header_of, levels_of_headings, of_kind, path_of, units
from linear_work import lines_run

from s3_retriever.structure import find_units

ASCIIDOC = """= Handbuch der Pumpe
Anna Lane <anna@example.org>
:lang: de
:toc:

Die Pumpe fördert Wasser. Sie ist rot.

== Wartung

. Ablassschraube öffnen
.. mit dem Schlüssel,
der groß ist
. Öl ablassen

* Schlauch
** rot
** blau. Und lang.

[NOTE]
====
Sie ist heiß. Immer.
====

[[oil]]
=== Ölwechsel

.Die Pumpe leeren
[source,python]
----
def drain(pump):
    # == no heading
    return pump - 1

----

== Störungen ==

Ende. Danke.
"""


def test_asciidoc() -> None:
    assert units(ASCIIDOC) == [
        ("heading", "= Handbuch der Pumpe"),
        ("prose", "Anna Lane <anna@example.org>"),
        ("data", ":lang: de"),
        ("data", ":toc:"),
        ("prose", "Die Pumpe fördert Wasser."),
        ("prose", "Sie ist rot."),
        ("heading", "== Wartung"),
        ("list", ". Ablassschraube öffnen"),
        ("list", ".. mit dem Schlüssel,\nder groß ist"),
        ("list", ". Öl ablassen"),
        ("list", "* Schlauch"),
        ("list", "** rot"),
        ("list", "** blau."),
        ("list", "Und lang."),
        ("data", "[NOTE]"),
        ("furniture", "===="),
        ("prose", "Sie ist heiß."),
        ("prose", "Immer."),
        ("furniture", "===="),
        ("data", "[[oil]]"),
        ("heading", "=== Ölwechsel"),
        ("opener", ".Die Pumpe leeren\n[source,python]\n----\ndef drain(pump):"),
        ("code", "# == no heading\n    return pump - 1\n\n----"),
        ("heading", "== Störungen =="),
        ("prose", "Ende."),
        ("prose", "Danke."),
    ]
    assert path_of(ASCIIDOC, "return") == ("Handbuch der Pumpe", "Wartung", "Ölwechsel")
    assert path_of(ASCIIDOC, "Danke") == ("Handbuch der Pumpe", "Störungen")


FARES = "== Fares\n\nThey are below.\n\n{}\n\n== Ports\n\nThere are two.\n"


def test_rows_of_asciidoc_are_lines_below_the_first() -> None:
    rows = ["| Oslo | 30 | 15", "| Voss | 20 | 10", "| Bergen | 25\n| 12"]
    text = FARES.format("|===\n| Port | Adult | Child\n\n" + "\n".join(rows) + "\n|===")
    assert of_kind("header", text) == ["|===\n| Port | Adult | Child"]
    assert of_kind("table", text) == [*rows[:2], f"{rows[2]}\n|==="]
    assert header_of(text, "20") == "|===\n| Port | Adult | Child"


@pytest.mark.parametrize("columns", ['cols="1,3"', "cols=2*", 'cols="1a,2*<.^e"'])
def test_rows_of_asciidoc_may_have_a_line_for_each_cell(columns: str) -> None:
    n = 3 if "^" in columns else 2
    rows = ["\n".join(f"|{name} {i}" for i in range(n)) for name in ("Port", "Oslo", "Voss\n\nby sea")]
    head = f'.Fares of all ports\n[{columns},options="header"]\n|===\n'
    text = FARES.format(head + "\n\n".join(rows) + "\n|===")
    assert of_kind("header", text) == [head + rows[0]]
    assert of_kind("table", text) == [rows[1], f"{rows[2]}\n|==="]


def test_a_table_of_asciidoc_without_a_header_has_none() -> None:
    text = FARES.format("|===\n| Oslo | 30\n| Voss | 20\n|===")
    assert of_kind("header", text) == []
    assert of_kind("table", text) == ["|===\n| Oslo | 30", "| Voss | 20\n|==="]
    spanned = FARES.format("|===\n| Port | Fare\n\n2+| by sea\n| Oslo | 30 \\| 31\n|===")
    assert of_kind("table", spanned) == ["2+| by sea", "| Oslo | 30 \\| 31\n|==="]


ORG = """#+TITLE: Notas del puerto
#+AUTHOR: Anna Lane

* Barcos
:PROPERTIES:
:ID: 1234
:END:
El barco rojo sale a las nueve. El azul no.

** TODO Pintar el casco :taller:
DEADLINE: <2024-06-01 Sat>
# no es un título
- aceite
- cuerda

*** Precios
| Puerto | Precio |
|--------+--------|
| Oslo   |     30 |

* Código
#+BEGIN_SRC python
def fill(lamp):
    return lamp + 1

#+END_SRC
#+begin_quote
El mar está en calma. Es de noche.
#+end_quote
"""


def test_org() -> None:
    assert units(ORG) == [
        ("heading", "#+TITLE: Notas del puerto"),
        ("data", "#+AUTHOR: Anna Lane"),
        ("heading", "* Barcos"),
        ("data", ":PROPERTIES:\n:ID: 1234\n:END:"),
        ("prose", "El barco rojo sale a las nueve."),
        ("prose", "El azul no."),
        ("heading", "** TODO Pintar el casco :taller:"),
        ("data", "DEADLINE: <2024-06-01 Sat>"),
        ("data", "# no es un título"),
        ("list", "- aceite"),
        ("list", "- cuerda"),
        ("heading", "*** Precios"),
        ("header", "| Puerto | Precio |\n|--------+--------|"),
        ("table", "| Oslo   |     30 |"),
        ("heading", "* Código"),
        ("opener", "#+BEGIN_SRC python\ndef fill(lamp):"),
        ("code", "return lamp + 1\n\n#+END_SRC"),
        ("data", "#+begin_quote"),
        ("prose", "El mar está en calma."),
        ("prose", "Es de noche."),
        ("data", "#+end_quote"),
    ]
    assert [level for _, level in levels_of_headings(ORG)] == [1, 2, 3, 4, 2]
    assert path_of(ORG, "30") == ("Notas del puerto", "Barcos", "TODO Pintar el casco :taller:", "Precios")


@pytest.mark.parametrize(
    "text",
    [
        "* Einkauf\nMilch und Brot.\n** Montag\nEs regnet. Wir bleiben.\n** Dienstag\nEs ist warm heute.\n",
        "* Einkauf\n\nMilch und Brot.\n\n** TODO Montag\n\nEs regnet.\n\n** DONE Dienstag\n\nEs ist warm.\n",
    ],
)
def test_org_by_its_headings_alone(text: str) -> None:
    assert [level for _, level in levels_of_headings(text)] == [1, 2, 2]


LATEX = r"""\documentclass[11pt]{article}
\usepackage[utf8]{inputenc}
\title{Les bateaux
  de Voss}
\author{Anna Lane}
\begin{document}
\maketitle

\section{Les \emph{prix} du port}\label{sec:prix}
Les prix montent~\cite{lane}. Ils sont élevés, voir
Table~\ref{tab:prix}.

\begin{table}[ht]
\centering
\caption{Prix par port.}
\begin{tabular}{lrr}
\toprule
Port & Adulte & Enfant \\
\midrule
Oslo & 30 & 15 \\
Voss, qui est petit,
  & 20 & 10 \\
\bottomrule
\end{tabular}
\end{table}

\subsection*{Objets}

\begin{itemize}
  \item une lampe. Elle est rouge.
  \item une corde, qui est
    longue
\end{itemize}

\begin{equation}
E = mc^2
\end{equation}

\begin{lstlisting}[language=Python]
def fill(lamp):
    return lamp
\end{lstlisting}
\end{document}
"""


def test_latex() -> None:
    assert units(LATEX) == [
        ("code", r"\documentclass[11pt]{article}"),
        ("code", r"\usepackage[utf8]{inputenc}"),
        ("heading", "\\title{Les bateaux\n  de Voss}"),
        ("code", r"\author{Anna Lane}"),
        ("code", r"\begin{document}"),
        ("data", r"\maketitle"),
        ("heading", r"\section{Les \emph{prix} du port}\label{sec:prix}"),
        ("prose", r"Les prix montent~\cite{lane}."),
        ("prose", "Ils sont élevés, voir\nTable~\\ref{tab:prix}."),
        ("data", r"\begin{table}[ht]"),
        ("data", r"\centering"),
        ("prose", r"\caption{Prix par port.}"),
        ("header", "\\begin{tabular}{lrr}\n\\toprule\nPort & Adulte & Enfant \\\\\n\\midrule"),
        ("table", "Oslo & 30 & 15 \\\\"),
        ("table", "Voss, qui est petit,\n  & 20 & 10 \\\\\n\\bottomrule\n\\end{tabular}"),
        ("data", r"\end{table}"),
        ("heading", r"\subsection*{Objets}"),
        ("data", r"\begin{itemize}"),
        ("list", r"\item une lampe."),
        ("list", "Elle est rouge."),
        ("list", "\\item une corde, qui est\n    longue"),
        ("data", r"\end{itemize}"),
        ("code", "\\begin{equation}\nE = mc^2\n\\end{equation}"),
        ("opener", "\\begin{lstlisting}[language=Python]\ndef fill(lamp):"),
        ("code", "return lamp\n\\end{lstlisting}"),
        ("data", r"\end{document}"),
    ]
    assert path_of(LATEX, "rouge") == ("Les bateaux de Voss", r"Les \emph{prix} du port", "Objets")
    assert header_of(LATEX, "20 &").splitlines()[2] == r"Port & Adulte & Enfant \\"


def test_a_short_text_of_latex() -> None:
    text = r"""\section{Fares}
They rise. All of them.

\begin{tabular}{|l|r|}
\hline
Port & Fare \\ \hline
Oslo & 30 \\ \hline
Voss & 20 \\ \hline
\end{tabular}
"""
    assert of_kind("header", text) == ["\\begin{tabular}{|l|r|}\n\\hline\nPort & Fare \\\\ \\hline"]
    assert of_kind("table", text) == ["Oslo & 30 \\\\ \\hline", "Voss & 20 \\\\ \\hline\n\\end{tabular}"]
    plain = text.replace("\\hline\n", "\n").replace("\\ \\hline", "\\")
    assert of_kind("header", plain) == []
    assert len(of_kind("table", plain)) == 3


MARKDOWN = """# Notes

* One
* Two
** not an item of Markdown

----

Text of it. More.

```asciidoc
= Title
== Section
|===
#+BEGIN_SRC
\\section{One}
\\item two
```

## More

**Bold** words. * no item
"""


def test_markdown_about_other_markups_stays_as_it_is() -> None:
    assert levels_of_headings(MARKDOWN) == [("# Notes", 1), ("## More", 2)]
    assert ("furniture", "----") in units(MARKDOWN)
    assert [piece for piece in of_kind("list", MARKDOWN) if piece[:2] == "* "] == ["* One", "* Two"]


@pytest.mark.parametrize(
    "lines",
    [
        ["* Milk", "** fresh", "** in bottles", "* Bread"],
        [
            "* Milk, which must be as fresh as it can be and",
            "In bottles.",
            "** fresh milk of today",
            "* Bread",
        ],
        ["** Note ** This is so.", "** Take care ** It is hot."],
        ["= A1 + B2", "= not a title"],
        ["=== begin of license ===", "All rights are kept.", "=== end of license ==="],
        ["=== RUN   TestFerry", "--- PASS: TestFerry", "=== RUN   TestLamp", "--- PASS: TestLamp"],
        [":name: Lane", ":port: Voss"],
        ["# a comment", "#+ label, echo=FALSE"],
        ["# Prices", "\\begin{table}", "\\caption{Fares}", "\\end{table}"],
        ["\\begin{align}", "x = 1", "\\end{align}"],
    ],
)
def test_lines_that_other_texts_have_too_are_no_signs(lines: list[str]) -> None:
    for gap in ("\n", "\n\n"):
        text = "Words of it. They are few.\n\n" + gap.join(lines) + "\n\nThe end. It is late.\n"
        marked = {"#", "="} if lines[0][:2] == "# " else set()
        assert {piece[0] for piece, _ in levels_of_headings(text)} <= marked
        assert {kind for kind, _ in units(text)} & {"data", "table", "header"} == set()


def test_a_program_that_writes_markup_is_code() -> None:
    lines = ["def write(out):", "    out = [", '        r"""', "\\section{Fares}", "\\begin{tabular}{l}"]
    text = "\n".join([*lines, '""",', "    ]", "    for line in out:", "        print(line, end='')"] * 3)
    assert {kind for kind, _ in units(text)} <= {"code", "opener"}


@pytest.mark.parametrize(
    "text",
    [
        "== A\n\n----\nx\n\n== B\n\nIt rains. We stay.\n",
        "#+title: A\n#+begin_src\nx\n* B\nIt rains. We stay.\n",
    ],
)
def test_a_block_that_is_not_closed_swallows_nothing(text: str) -> None:
    assert units(text)[-2:] == [("prose", "It rains."), ("prose", "We stay.")]
    assert "B" in levels_of_headings(text)[-1][0]


@pytest.mark.parametrize(
    "text",
    [
        "== A\n\n== B\n\n{}----\nx\n----\n".replace("{}", "[a]\n" * 300),
        "== A\n\n== B\n\n" + "".join("-" * n + "\n\n" for n in range(4, 304)),
        "#+title: A\n" + "#+begin_src\n" * 300 + ":a:\n" * 300 + ":END:\n",
        "\\section{A}\n\\begin{tabular}\n"
        + "\\begin{tabular}\n\\section{\n" * 300
        + "\\end{tabular}\n" * 300,
    ],
)
def test_work_for_marks_is_linear_in_them(text: str) -> None:
    find_units(text)
    once, twice = (lines_run(lambda many=many: find_units(text * many)) for many in (2, 4))
    assert twice < 3 * once
