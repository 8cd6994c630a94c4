"""Mails and mailboxes: their heads and texts, by Python's ``email``."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources.content import Content
from s3_retriever.sources.markup import read_html
from s3_retriever.sources.packed import damaged

_HEAD = ("From", "To", "Cc", "Date")
_BEGIN = re.compile(rb"(?:\A|\r?\n\r?\n)From [^\n]*\n")  # of a mail in a mailbox
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)  # as a mailbox has such lines of a mail


def read_mail(data: bytes, encoding: str) -> Content:
    """Return subject, head and text of a mail, and the names of what is attached; its title is the subject.

    Args:
        data: The mail.
        encoding: Of a text that does not say it, and is not UTF-8.

    Raises:
        UnreadableFileError: It is no mail, or damaged.
    """
    subject, head, body = _read(data, encoding)
    return Content(_stacked("\n".join([*([f"Subject: {subject}"] if subject else []), *head]), body), subject)


def read_mailbox(data: bytes, encoding: str) -> Content:
    """Return the mails of a mailbox, each below a heading with its subject.

    Args:
        data: The mailbox, in which each mail begins with a line ``From``.
        encoding: As for :func:`read_mail`.

    Raises:
        UnreadableFileError: It is no mailbox, or damaged.
    """
    before, *mails = _BEGIN.split(data)
    if before.strip() or not mails:
        msg = "it is no mailbox"
        raise UnreadableFileError(msg)
    read = (_read(_QUOTED.sub(rb"\1", mail), encoding) for mail in mails)
    return Content(
        "\n".join(
            _stacked(f"# {subject or '(no subject)'}", "\n".join(head), body) for subject, head, body in read
        )
    )


def _stacked(*parts: str) -> str:
    return "\n\n".join(filter(None, parts)) + "\n"


def _read(data: bytes, encoding: str) -> tuple[str, list[str], str]:
    """Return the subject of a mail, the other lines of its head, and its text with what is attached."""
    try:
        mail = message_from_bytes(data, policy=policy.default)
        assert isinstance(mail, EmailMessage)  # noqa: S101  as the policy makes them
        head = [f"{name}: {words}" for name in _HEAD if (words := _line(mail[name]))]
        body = mail.get_body(("plain", "html"))
        texts = [_text(part, encoding) for part in [body, *mail.iter_attachments()] if part is not None]
    except UnreadableFileError:
        raise
    except Exception as error:  # email lets pass what it meets in damaged heads
        raise damaged(error, "mail") from error
    if not mail.keys():
        msg = "it is no mail"
        raise UnreadableFileError(msg)
    return _line(mail["Subject"]), head, _stacked(*texts).rstrip("\n")


def _line(words: str | None) -> str:
    return " ".join((words or "").split())


def _text(part: MIMEPart, encoding: str) -> str:
    """Return the text of a part, of a page as Markdown; of what is attached, its name or else its kind."""
    is_page = part.get_content_type() == "text/html"
    if (
        part.get_filename()
        or part.is_attachment()
        or not (is_page or part.get_content_type() == "text/plain")
    ):
        return f"Attachment: {_line(part.get_filename() or part.get_content_type())}"
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)  # noqa: S101  as a part without parts has
    try:
        text = data.decode(part.get_content_charset(encoding))
    except (LookupError, UnicodeDecodeError):  # one wrong byte must not cost a mailbox
        text = data.decode("utf-8", errors="replace")
    if is_page:
        return read_html(text.encode(), "utf-8").text
    return text.replace("\r\n", "\n").strip("\n")
