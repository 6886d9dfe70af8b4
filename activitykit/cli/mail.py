"""A finished report by e-mail: sent here and not by `report`, which knows no network.

The server is that of the environment: ``ACTIVITYKIT_SMTP_HOST``, ``_PORT``, ``_USER``,
``_PASSWORD`` and ``_SECURITY`` (``starttls``, ``tls`` from the first byte, or ``none``, which is
for a server on this machine only).
"""

import ipaddress
import os
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from mimetypes import guess_type
from pathlib import Path
from typing import Final, NamedTuple

from activitykit.errors import ConfigError

PREFIX: Final = "ACTIVITYKIT_SMTP_"
_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_TIMEOUT_S: Final = 60.0


class Server(NamedTuple):
    """Where mail goes, and how it gets there."""

    host: str
    port: int
    security: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def compose(
    *, sender: str, recipients: Sequence[str], subject: str, text: str, html: str, file: Path
) -> EmailMessage:
    """Write the message: the summary as text and as HTML, and the file attached.

    Reads the clock, for its date.

    Raises
    ------
    ValueError
        When an address is none.
    """
    message = EmailMessage()
    origin = read_address(sender)
    message["From"], message["To"] = origin, [*map(read_address, recipients)]
    # a line break in a name would end the header
    message["Subject"] = " ".join(subject.split())
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=origin.domain)
    message["Auto-Submitted"] = "auto-generated"  # so that no absence note answers it
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    kind, _, subtype = (guess_type(file.name)[0] or "application/octet-stream").partition("/")
    message.add_attachment(
        file.read_bytes(), maintype=kind, subtype=subtype, filename=file.name,
        params={"charset": "utf-8"} if kind == "text" else None,
    )  # fmt: skip
    return message


def read_address(text: str) -> Address:
    """Read one address, with or without a name: ``Ops <ops@example.com>``.

    Raises
    ------
    ValueError
        When it is none.
    """
    name, spec = parseaddr(text)
    user, _, domain = spec.rpartition("@")
    if not (user and domain and text.isprintable()):
        raise ValueError(f"{text!r} is no e-mail address")
    return Address(name, user, domain)


def send(message: EmailMessage) -> None:
    """Hand the message to the server that the environment names.

    Raises
    ------
    ConfigError
        When the settings are missing or would send it in plain text, or the server cannot be
        reached, cannot be trusted or refuses. The password is in no message.
    """
    server = read_server()
    user, password = (os.environ.get(PREFIX + name, "") for name in ("USER", "PASSWORD"))
    if bool(user) != bool(password):
        raise ConfigError(f"set both {PREFIX}USER and {PREFIX}PASSWORD, or neither")
    if not (user + password).isascii():
        raise ConfigError(
            f"{PREFIX}USER and {PREFIX}PASSWORD must be plain ASCII to log in by mail"
        )
    try:
        with _connected(server) as smtp:
            if user:
                smtp.login(user, password)
            refused = smtp.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        raise ConfigError(
            f"{server} refuses {PREFIX}USER and {PREFIX}PASSWORD: {_reason(error, password)}"
        ) from None
    except (OSError, ValueError) as error:
        # an error of the encoding would hold the password, so nothing is chained
        raise ConfigError(
            f"cannot send the report by {server}, {server.security}: {_reason(error, password)}"
        ) from None
    if refused:
        raise ConfigError(f"{server} took the report, but not for {', '.join(sorted(refused))}")


def read_server() -> Server:
    """Read where mail goes from the environment, and refuse what would travel in plain text.

    Raises
    ------
    ConfigError
        When a setting is missing or wrong.
    """
    host = os.environ.get(f"{PREFIX}HOST", "").strip()
    if not host:
        raise ConfigError(f"to send mail, set {PREFIX}HOST to the name of your mail server")
    port = os.environ.get(f"{PREFIX}PORT", "").strip()
    usual = "none" if _is_here(host) else "tls" if port == "465" else "starttls"
    security = os.environ.get(f"{PREFIX}SECURITY", "").strip().lower() or usual
    if security not in _PORTS:
        raise ConfigError(f"{PREFIX}SECURITY={security!r}; choose {', '.join(_PORTS)}")
    if security == "none" and not _is_here(host):
        raise ConfigError(
            f"{PREFIX}SECURITY=none is for a server on this machine; {host} would get names and"
            " password in plain text"
        )
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ConfigError(f"{PREFIX}PORT={port!r} is no port")
    return Server(host, int(port or _PORTS[security]), security)


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def _connected(server: Server) -> smtplib.SMTP:
    if server.security == "tls":
        return smtplib.SMTP_SSL(
            server.host, server.port, timeout=_TIMEOUT_S, context=ssl.create_default_context()
        )
    smtp = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT_S)
    try:
        if server.security == "starttls":
            # fails where it is not offered, so that nobody on the way can take it out
            smtp.starttls(context=ssl.create_default_context())
    except BaseException:
        smtp.close()
        raise
    return smtp


def _reason(error: Exception, password: str) -> str:
    """Say why in the server's own words, without what it may repeat of the password."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        why = "; ".join(f"{who}: {_text(says)}" for who, (_, says) in error.recipients.items())
    elif isinstance(error, smtplib.SMTPResponseException):
        why = f"{error.smtp_code} {_text(error.smtp_error)}"
    else:
        why = str(error) or type(error).__name__
    return why.replace(password, "***") if password else why


def _text(says: str | bytes) -> str:
    text = says.decode(errors="replace") if isinstance(says, bytes) else says
    return " ".join(text.split())
