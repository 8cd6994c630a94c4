#!/usr/bin/env bash
# python-calamine 0.9.1: a cell whose formula gave an error is read as an empty string, like a cell with nothing in it.
#
# A workbook keeps "#DIV/0!" and the like as the value of such a cell, and Excel shows it. CalamineSheet.to_python()
# and iter_rows() have "" for it, without a word, so a sum that failed cannot be told from a blank cell. openpyxl 3.1.5
# gives the value that is kept.
#
# Output seen:
#   calamine [['ratio', ''], ['blank', '']]
#   openpyxl [('ratio', '#DIV/0!'), ('blank', None)]
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

written = io.BytesIO()
with xlsxwriter.Workbook(written, {"in_memory": True}) as book:
    sheet = book.add_worksheet()
    sheet.write("A1", "ratio")
    sheet.write_formula("B1", "=1/0", None, "#DIV/0!")
    sheet.write("A2", "blank")
    sheet.write_blank("B2", None, book.add_format({"bold": True}))
print("calamine", python_calamine.load_workbook(io.BytesIO(written.getvalue())).get_sheet_by_index(0).to_python())
print("openpyxl", [*openpyxl.load_workbook(written, data_only=True).active.iter_rows(values_only=True)])
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'openpyxl==3.1.5' 'python-calamine==0.9.1' 'xlsxwriter==3.3.1'
"$folder/venv/bin/python" "$folder/check.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
calamine [['ratio', ''], ['blank', '']]
openpyxl [('ratio', '#DIV/0!'), ('blank', None)]
SEEN
