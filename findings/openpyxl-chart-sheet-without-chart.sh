#!/usr/bin/env bash
# openpyxl 3.1.5 cannot read a workbook that it wrote, where a chart sheet has no chart.
#
# Workbook.create_chartsheet() adds a chart sheet, and save() writes it. Until a chart is added, its part has no
# relationships; load_workbook then looks for drawings in a list instead of a RelationshipList. The error names neither
# the sheet nor the chart, and no other sheet can be read. python-calamine 0.9.1 reads the same file.
#
# Output seen:
#   openpyxl AttributeError 'list' object has no attribute 'find'
#   calamine [['oil', 3.0]]
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/check.py" <<'PY'
import io

import openpyxl
import python_calamine

book = openpyxl.Workbook()
book.active.append(["oil", 3])
book.create_chartsheet("Chart")
written = io.BytesIO()
book.save(written)
try:
    print("openpyxl", openpyxl.load_workbook(written).sheetnames)
except Exception as error:
    print("openpyxl", type(error).__name__, error)
print("calamine", python_calamine.load_workbook(io.BytesIO(written.getvalue())).get_sheet_by_index(0).to_python())
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'openpyxl==3.1.5' 'python-calamine==0.9.1'
"$folder/venv/bin/python" "$folder/check.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
openpyxl AttributeError 'list' object has no attribute 'find'
calamine [['oil', 3.0]]
SEEN
