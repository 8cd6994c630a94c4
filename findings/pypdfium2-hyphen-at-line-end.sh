#!/usr/bin/env bash
# pypdfium2 5.15.2 gives no hyphen for a hyphen at the end of a line, but U+FFFE or U+0002, as one asks.
#
# A PDF whose first line ends in "light-" and whose second begins with "house" has a text without a hyphen and without
# a line end there. PdfTextPage.get_text_range() has the noncharacter U+FFFE instead of both, get_text_bounded() the
# control character U+0002, for the same page. A hyphen that belongs to the word ("well-" "known") is no different, so
# neither the word nor its hyphen can be got back; searched for "light-house" or "lighthouse", the page has neither.
# It is what PDFium's FPDFText_GetText and FPDFText_GetBoundedText give.
#
# Output seen:
#   get_text_range   'The light\ufffehouse has a well\ufffeknown keeper'
#   get_text_bounded 'The light\x02house has a well\x02known keeper'
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/check.py" <<'PY'
import io

import pypdfium2
from reportlab.pdfgen import canvas

written = io.BytesIO()
page = canvas.Canvas(written)
for number, line in enumerate(["The light-", "house has a well-", "known keeper"]):
    page.drawString(72, 700 - 14 * number, line)
page.save()
text = pypdfium2.PdfDocument(written.getvalue())[0].get_textpage()
print("get_text_range  ", ascii(text.get_text_range()))
print("get_text_bounded", ascii(text.get_text_bounded()))
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'pypdfium2==5.15.2' 'reportlab==5.1.0'
"$folder/venv/bin/python" "$folder/check.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
get_text_range   'The light\ufffehouse has a well\ufffeknown keeper'
get_text_bounded 'The light\x02house has a well\x02known keeper'
SEEN
