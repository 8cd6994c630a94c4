#!/usr/bin/env bash
# python-docx 1.2.0: a paragraph's text lacks what was inserted with tracked changes, and content controls.
#
# A Word document in which somebody has inserted words with "Track changes" shows them, and so does one with a
# content control, such as a name that a template fills in. Paragraph.text and Paragraph.runs of python-docx leave out
# both without a word, as only runs and hyperlinks that are children of the paragraph count. mammoth 1.13.0 reads both.
#
# Output seen:
#   python-docx 'The keeper stores the oil.'
#   mammoth     '<p>The old keeper stores the oil of the lamp.</p>'
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/check.py" <<'PY'
import io

import docx
import mammoth
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

RUN = '<w:r><w:t xml:space="preserve">{}</w:t></w:r>'
INSERTED = '<w:ins {} w:id="1" w:author="Ann" w:date="2026-01-01T00:00:00Z">' + RUN.format("old ") + "</w:ins>"
CONTROL = "<w:sdt {}><w:sdtContent>" + RUN.format(" of the lamp") + "</w:sdtContent></w:sdt>"

document = docx.Document()
paragraph = document.add_paragraph("The ")
paragraph._p.append(parse_xml(INSERTED.format(nsdecls("w"))))
paragraph.add_run("keeper stores the oil")
paragraph._p.append(parse_xml(CONTROL.format(nsdecls("w"))))
paragraph.add_run(".")
written = io.BytesIO()
document.save(written)

print("python-docx", ascii(docx.Document(written).paragraphs[0].text))
print("mammoth    ", ascii(mammoth.convert_to_html(written).value))
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'python-docx==1.2.0' 'mammoth==1.13.0'
"$folder/venv/bin/python" "$folder/check.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
python-docx 'The keeper stores the oil.'
mammoth     '<p>The old keeper stores the oil of the lamp.</p>'
SEEN
