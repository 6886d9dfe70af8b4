"""Reports by e-mail: a real server on loopback gets them, and only over a safe line."""
# ruff: noqa: ARG001, ARG002 - the server passes more than a handler needs

import email
import socket
import ssl
import traceback
from email.policy import default

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

import activitykit as ak
from activitykit.cli import mail

SECRET = "not-to-be-shown"


class Inbox:
    """Take every message, but for the recipients that begin with "no"."""

    def __init__(self):
        self.messages, self.encrypted = [], []

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: D102, N802
        if address.startswith("no"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: D102, N802
        self.messages.append(email.message_from_bytes(envelope.content, policy=default))
        self.encrypted.append(session.ssl is not None or server.transport.get_extra_info("cipher"))
        return "250 OK"


def check(server, session, envelope, mechanism, data):
    """Know one account; repeat the password in the refusal, as a careless server may."""
    good = (data.login, data.password) == (b"robot", SECRET.encode())
    return AuthResult(
        success=good,
        handled=False,
        message=None if good else f"535 5.7.8 bad {data.password.decode()}",
    )


class StartTls(Controller):
    """A server that offers STARTTLS, and takes a password after it only."""

    def factory(self):  # noqa: D102 - as Controller
        return SMTP(self.handler, tls_context=self.tls, require_starttls=self.tls is not None,
                    authenticator=check, auth_required=self.tls is not None, timeout=10,
                    auth_require_tls=self.tls is not None)  # fmt: skip


class ImplicitTls(Controller):
    """A server that speaks TLS from the first byte."""

    def factory(self):  # noqa: D102 - as Controller
        return SMTP(self.handler, authenticator=check, auth_require_tls=False)


@pytest.fixture(scope="module")
def authority():
    """Make an authority that only these tests trust."""
    return trustme.CA()


@pytest.fixture
def serve(authority, monkeypatch, tmp_path):
    """Start a server and set the environment for it; give its inbox."""
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    running = []

    def start(security, name="localhost"):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(tls)
        inbox = Inbox()
        kind = ImplicitTls if security == "tls" else StartTls
        server = kind(inbox, hostname="127.0.0.1", port=free_port(),
                      ssl_context=tls if security == "tls" else None)  # fmt: skip
        server.tls = tls if security == "starttls" else None
        server.start()
        running.append(server)
        settings = {"HOST": "localhost", "PORT": str(server.port), "SECURITY": security,
                    "USER": "robot", "PASSWORD": SECRET}  # fmt: skip
        for key, value in settings.items():
            monkeypatch.setenv(mail.PREFIX + key, value)
        return inbox

    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    yield start
    for server in running:
        server.stop()


def free_port():
    """Ask the system for a port that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def message(tmp_path):
    """Write a message with a small report."""
    file = tmp_path / "Zürich week.html"
    file.write_bytes(b"<!doctype html>\r\n<p>caf\xc3\xa9</p>\n")
    return mail.compose(
        sender="Reports <robot@example.com>", recipients=["ops@example.com", "b@example.org"],
        subject="Two\r\nBcc: all@example.com lines", text="In short: 3 failed.\n",
        html="<p>In short: <b>3</b> failed.</p>", file=file,
    )  # fmt: skip


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
def test_the_report_arrives(serve, message, tmp_path, security):
    """Text, HTML and the very bytes of the file arrive, encrypted where the line says so."""
    inbox = serve(security)
    mail.send(message)
    [got], [encrypted] = inbox.messages, inbox.encrypted
    [attached] = got.iter_attachments()
    assert got.get_body(("plain",)).get_content().strip() == "In short: 3 failed."
    assert "<b>3</b>" in got.get_body(("html",)).get_content()
    assert attached.get_payload(decode=True) == (tmp_path / "Zürich week.html").read_bytes()
    assert attached.get_filename() == "Zürich week.html"
    assert bool(encrypted) == (security != "none")


def test_a_name_cannot_add_headers(message):
    """A line break in the name of a tenant stays in the subject."""
    assert message["Subject"] == "Two Bcc: all@example.com lines"
    assert message["Bcc"] is None
    assert "\nBcc:" not in message.as_string()


@pytest.mark.parametrize("sender", ["ops", "ops@", "@a.org", "", "a@b.c\r\nBcc: d@e.f", "a b"])
def test_what_is_no_address_is_refused(tmp_path, sender):
    """Something else than an address is said before anything is sent."""
    (tmp_path / "a.html").touch()
    with pytest.raises(ValueError, match=r"\S"):
        mail.compose(sender=sender, recipients=["a@example.com"], subject="s", text="t",
                     html="h", file=tmp_path / "a.html")  # fmt: skip


def test_a_wrong_password_is_not_shown(serve, message, monkeypatch):
    """The refusal names the settings, but no password, even when the server repeats it."""
    inbox = serve("starttls")
    monkeypatch.setenv("ACTIVITYKIT_SMTP_PASSWORD", "wrong-one")
    with pytest.raises(ak.ConfigError, match="refuses ACTIVITYKIT_SMTP_USER") as caught:
        mail.send(message)
    assert "wrong-one" not in "".join(traceback.format_exception(caught.value))
    assert inbox.messages == []


def test_a_stranger_is_not_trusted(serve, message):
    """A certificate for another name ends it before the password is sent."""
    inbox = serve("starttls", name="elsewhere.example")
    with pytest.raises(ak.ConfigError, match="certificate"):
        mail.send(message)
    assert inbox.messages == []


def test_a_line_without_starttls_is_not_used(serve, message, monkeypatch):
    """When somebody on the way takes STARTTLS out, nothing is sent."""
    inbox = serve("none")
    monkeypatch.setenv("ACTIVITYKIT_SMTP_SECURITY", "starttls")
    with pytest.raises(ak.ConfigError, match="STARTTLS"):
        mail.send(message)
    assert inbox.messages == []


def test_a_refused_recipient_is_named(serve, message):
    """Who gets nothing is an error, although the others got it."""
    inbox = serve("starttls")
    message.replace_header("To", "ops@example.com, nobody@example.com")
    with pytest.raises(ak.ConfigError, match=r"not for nobody@example\.com"):
        mail.send(message)
    assert len(inbox.messages) == 1
    message.replace_header("To", "nobody@example.com")
    with pytest.raises(ak.ConfigError, match="no such mailbox"):
        mail.send(message)


@pytest.mark.parametrize(
    ("settings", "server"),
    [
        ({"HOST": "mail.example.com"}, ("mail.example.com", 587, "starttls")),
        ({"HOST": "mail.example.com", "PORT": "465"}, ("mail.example.com", 465, "tls")),
        ({"HOST": "mail.example.com", "SECURITY": "tls"}, ("mail.example.com", 465, "tls")),
        ({"HOST": "localhost"}, ("localhost", 25, "none")),
        ({"HOST": "::1", "PORT": "1025"}, ("::1", 1025, "none")),
        ({"HOST": "127.9.9.9", "SECURITY": "STARTTLS"}, ("127.9.9.9", 587, "starttls")),
    ],
)
def test_the_line_is_safe_by_default(monkeypatch, settings, server):
    """Port and security follow from the host unless they are set; plain is for this machine."""
    for name in ("HOST", "PORT", "SECURITY"):
        monkeypatch.delenv(mail.PREFIX + name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(mail.PREFIX + name, value)
    assert mail.read_server() == server


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "ACTIVITYKIT_SMTP_HOST"),
        ({"HOST": "mail.example.com", "SECURITY": "none"}, "plain text"),
        ({"HOST": "127.0.0.1.example.com", "SECURITY": "none"}, "plain text"),
        ({"HOST": "localhost", "SECURITY": "ssl3"}, "choose starttls, tls, none"),
        ({"HOST": "localhost", "PORT": "smtp"}, "is no port"),
        ({"HOST": "localhost", "PORT": "9", "USER": "robot"}, "or neither"),
        ({"HOST": "localhost", "PORT": "9", "USER": "robot", "PASSWORD": "geh\u00e4im"}, "ASCII"),
        ({"HOST": "localhost", "PORT": "1"}, "cannot send the report by localhost:1, none"),
    ],
)
def test_wrong_settings_give_one_clear_error(message, monkeypatch, settings, says):
    """Each wrong setting is named; nothing of a password is."""
    for name in ("HOST", "PORT", "SECURITY", "USER", "PASSWORD"):
        monkeypatch.delenv(mail.PREFIX + name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(mail.PREFIX + name, value)
    with pytest.raises(ak.ConfigError, match=says) as caught:
        mail.send(message)
    assert "geh" not in str(caught.value)
