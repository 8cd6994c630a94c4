#!/usr/bin/env bash
# openpyxl 3.1.5: a carriage return in a cell is read as the seven characters "_x000D_", as is a cell that says so.
#
# Among the shared strings of a workbook "_x000D_" stands for a carriage return, which XML would lose (ST_Xstring of
# ECMA-376), and "_x005F_x000D_" for the text "_x000D_" itself. XlsxWriter, like Excel, writes the first for a cell with
# CR LF. openpyxl undoes nothing in the first, and takes "x005F_" out of the second: both have the same value, and cannot
# be told from each other any more. Its own openpyxl.utils.escape.unescape makes a carriage return of either.
# python-calamine 0.9.1 reads both as they were written.
#
# Output seen:
#   written  ['one\r\ntwo', 'one_x000D_\ntwo']
#   openpyxl ['one_x000D_\ntwo', 'one_x000D_\ntwo']
#   calamine ['one\r\ntwo', 'one_x000D_\ntwo']
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/check.py" <<'PY'
import io

import openpyxl
import python_calamine
import xlsxwriter

TEXTS = ["one\r\ntwo", "one_x000D_\ntwo"]
written = io.BytesIO()
with xlsxwriter.Workbook(written, {"in_memory": True}) as book:
    book.add_worksheet().write_row("A1", TEXTS)
print("written ", TEXTS)
(row,) = openpyxl.load_workbook(written).active.iter_rows(values_only=True)
print("openpyxl", [*row])
(row,) = python_calamine.load_workbook(io.BytesIO(written.getvalue())).get_sheet_by_index(0).to_python()
print("calamine", row)
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'openpyxl==3.1.5' 'python-calamine==0.9.1' 'xlsxwriter==3.3.1'
"$folder/venv/bin/python" "$folder/check.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
written  ['one\r\ntwo', 'one_x000D_\ntwo']
openpyxl ['one_x000D_\ntwo', 'one_x000D_\ntwo']
calamine ['one\r\ntwo', 'one_x000D_\ntwo']
SEEN
