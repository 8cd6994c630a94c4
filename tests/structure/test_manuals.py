"""Units of manuals: POD, alone and within a program, roff, and menus of Info."""

from __future__ import annotations

from found_units import levels_of_headings, of_kind, path_of, units

PERL = """package Ferry;

use strict;

=head1 NAME

Ferry - a ferry that
leaves. It is red.

=head2 leave

Leaves the port.

    my $ferry = Ferry->new(seats => 3);
    $ferry->leave;

=over 4

=item * slow

=item fast, and
loud. Very.

=back

=cut

sub leave {
    my $self = shift;
    return $self->{port};
}

1;
"""

ROFF = """.\\" A comment.
.TH FERRY 1 2024-05-03
.SH NAME
ferry \\- leaves a port
.SH "SEE ALSO"
.BR boat (1).
It is red.
.SS Old ports
They are closed.
.SH
FILES
Few.
"""


def test_pod_within_a_program() -> None:
    assert units(PERL) == [
        ("code", "package Ferry;"),
        ("code", "use strict;"),
        ("heading", "=head1 NAME"),
        ("prose", "Ferry - a ferry that\nleaves."),
        ("prose", "It is red."),
        ("heading", "=head2 leave"),
        ("prose", "Leaves the port."),
        ("code", "my $ferry = Ferry->new(seats => 3);"),
        ("code", "$ferry->leave;"),
        ("data", "=over 4"),
        ("list", "=item * slow"),
        ("list", "=item fast, and\nloud."),
        ("list", "Very."),
        ("data", "=back"),
        ("data", "=cut"),
        ("opener", "sub leave {"),
        ("code", "my $self = shift;"),
        ("code", "return $self->{port};\n}"),
        ("code", "1;"),
    ]
    assert levels_of_headings(PERL) == [("=head1 NAME", 1), ("=head2 leave", 2)]
    assert path_of(PERL, "Leaves the port") == ("NAME", "leave")


def test_headings_of_roff() -> None:
    assert levels_of_headings(ROFF) == [
        (".SH NAME", 1),
        ('.SH "SEE ALSO"', 1),
        (".SS Old ports", 2),
        (".SH\nFILES", 1),
    ]
    assert path_of(ROFF, "They are closed") == ("SEE ALSO", "Old ports")
    assert path_of(ROFF, "Few.") == ("FILES",)
    assert path_of(ROFF.replace(".SH", ".Sh").replace(".SS", ".Ss"), "They are") == ("SEE ALSO", "Old ports")


def test_one_mark_makes_no_manual() -> None:
    text = "The mark =head1 begins a heading.\n\n=head1 NAME\n\nIt ends at a blank line.\n"
    assert of_kind("heading", text) == []
    assert of_kind("heading", "It is a mark of roff:\n\n.SH Name\n\nIt is red.\n") == []


INFO = """The lamp
********

This manual tells how the lamp is kept.

* Menu:

* Oil::                  What it burns.
* Wicks: Of cotton.      How a wick is cut, and
                           what it is made of.

 — The Detailed List —

Oil

* next DAY:                              Day of the week.     (line  15)
* next DAY <1>:                          Options of the oil.  (line  12)
* next in lists:                         General oil.         (line  22)

1 Oil
*****

The keeper stores it.
"""


def test_entries_of_menus_of_info_are_records() -> None:
    assert of_kind("data", INFO) == [
        "* Menu:",
        "* Oil::                  What it burns.",
        "* Wicks: Of cotton.      How a wick is cut, and\n                           what it is made of.",
        *[line for line in INFO.splitlines() if line.startswith("* next")],
    ]
    assert [heading for heading, _ in levels_of_headings(INFO)] == [
        "The lamp\n********",
        "Oil",
        "1 Oil\n*****",
    ]
