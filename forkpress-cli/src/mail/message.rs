//! What a mail says. Nothing of it is trusted.

use std::io::{self, Read};

use mail_parser::{Address, MessageParser, MimeHeaders};
use serde::Serialize;

/// So much of a mail is read for a list: its headers are there.
const HEAD_BYTES: u64 = 64 << 10;

/// The headers of a mail that a list has.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Head {
    /// From whom.
    pub from: Vec<String>,
    /// To whom.
    pub to: Vec<String>,
    /// The subject.
    pub subject: String,
}

/// A mail, decoded.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Message {
    /// What a list has, too.
    #[serde(flatten)]
    pub head: Head,
    /// To whom as well.
    pub cc: Vec<String>,
    /// To whom without the others' knowledge.
    pub bcc: Vec<String>,
    /// To whom answers go.
    pub reply_to: Vec<String>,
    /// The text; of a mail that has HTML alone, what that reads.
    pub text: String,
    /// The HTML, where there is some.
    pub html: Option<String>,
    /// What is attached.
    pub attachments: Vec<Attachment>,
}

/// What is attached to a mail.
#[derive(Debug, PartialEq, Serialize)]
pub struct Attachment {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its media type.
    pub kind: String,
    /// Its length, decoded.
    pub bytes: usize,
}

/// Reads the beginning of a mail. What is no mail has no headers.
pub fn head(mail: &mut impl Read) -> io::Result<Head> {
    let mut bytes = Vec::new();
    mail.take(HEAD_BYTES).read_to_end(&mut bytes)?;
    let parsed = MessageParser::default().parse_headers(&bytes).filter(is_any);
    Ok(parsed.as_ref().map(head_of).unwrap_or_default())
}

/// Reads a mail.
pub fn message(bytes: &[u8]) -> Message {
    let Some(parsed) = MessageParser::default().parse(bytes).filter(is_any) else { return Message::default() };
    let texts = (0..parsed.text_body_count()).filter_map(|at| parsed.body_text(at));
    let has_html = parsed.html_bodies().any(|part| part.is_text_html());
    Message {
        head: head_of(&parsed),
        cc: addresses(parsed.cc()),
        bcc: addresses(parsed.bcc()),
        reply_to: addresses(parsed.reply_to()),
        text: texts.collect::<Vec<_>>().join("\n"),
        html: has_html.then(|| parsed.body_html(0).unwrap_or_default().into_owned()),
        attachments: parsed.attachments().map(attachment).collect(),
    }
}

/// Whether there is a part that can have headers.
fn is_any(message: &mail_parser::Message<'_>) -> bool {
    !message.parts.is_empty()
}

fn head_of(message: &mail_parser::Message<'_>) -> Head {
    Head {
        from: addresses(message.from()),
        to: addresses(message.to()),
        subject: message.subject().unwrap_or_default().to_owned(),
    }
}

fn addresses(all: Option<&Address<'_>>) -> Vec<String> {
    let address = |one: &mail_parser::Addr<'_>| match (one.name(), one.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => address.or(name).unwrap_or_default().to_owned(),
    };
    all.map(|all| all.iter().map(address).collect()).unwrap_or_default()
}

fn attachment(part: &mail_parser::MessagePart<'_>) -> Attachment {
    let kind = part.content_type().map(|kind| match kind.subtype() {
        Some(subtype) => format!("{}/{subtype}", kind.ctype()),
        None => kind.ctype().to_owned(),
    });
    Attachment {
        name: part.attachment_name().map(str::to_owned),
        kind: kind.unwrap_or_else(|| "application/octet-stream".to_owned()),
        bytes: part.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = "To: =?UTF-8?Q?J=C3=B6rg?= <j@example.com>, k@example.com\r\n\
        Subject: =?UTF-8?B?UMOkc3N3b3J0IPCflJE=?=\r\nFrom: WordPress <wordpress@wp.localhost>\r\nBcc: secret@example.com\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n\
        --b\r\nContent-Type: text/csv; name=\"a.csv\"\r\nContent-Disposition: attachment; filename=\"../a.csv\"\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nMSwyCg==\r\n--b--\r\n"
        .as_bytes();

    #[test]
    fn a_mail_is_decoded_headers_text_and_attachments() {
        let read = message(MAIL);
        assert_eq!(read.head, head(&mut &MAIL[..]).unwrap());
        assert_eq!(read.head.to, ["J\u{f6}rg <j@example.com>", "k@example.com"]);
        assert_eq!(read.head.subject, "P\u{e4}sswort \u{1f511}");
        assert_eq!(read.bcc, ["secret@example.com"]);
        assert_eq!(read.text.trim_end(), "Gr\u{fc}\u{df}e");
        assert_eq!(read.html, None);
        let attached = Attachment { name: Some("../a.csv".to_owned()), kind: "text/csv".to_owned(), bytes: 4 };
        assert_eq!(read.attachments, [attached]);
    }

    #[test]
    fn html_alone_reads_as_text_as_well() {
        let read = message(b"Subject: x\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>you</b><script>x</script></p>");
        assert!(read.text.contains("Hello you"), "{:?}", read.text);
        assert!(read.html.unwrap().contains("<b>you</b>"));
    }

    #[test]
    fn whatever_is_sent_is_some_mail() {
        for bytes in [
            &b""[..],
            b"\0\xff\xfe",
            b"Subject",
            b"\r\n\r\n",
            b"To: <<<>>,,;:\r\nContent-Type: multipart/mixed\r\n\r\n--\r\n",
        ] {
            let _ = (message(bytes), head(&mut &bytes[..]).unwrap());
        }
    }
}
