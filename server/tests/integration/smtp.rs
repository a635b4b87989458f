//! A mail's host that speaks just enough SMTP (RFC 5321): takes what it is handed, or refuses recipients as planned.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use test_support::wait_until;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::SOON;

#[derive(Debug, Clone)]
pub struct Mail {
    pub from: String,
    pub to: String,
    /// Head and text as they came, their dots unstuffed.
    pub raw: String,
}

impl Mail {
    /// A header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.raw.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::to_owned)
    }

    /// The text, if it was written as such or as quoted-printable.
    pub fn text(&self) -> String {
        let body = self.raw.split_once("\r\n\r\n").expect("a head").1;
        if self.header("Content-Transfer-Encoding").as_deref() != Some("quoted-printable") {
            return body.to_owned();
        }
        let mut bytes = Vec::new();
        let mut rest = body.replace("=\r\n", "").into_bytes().into_iter();
        while let Some(byte) = rest.next() {
            if byte == b'=' {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = String::from_utf8(digits).expect("digits");
                bytes.push(u8::from_str_radix(&digits, 16).expect("hexadecimal"));
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// The first link in the text to such a page.
    pub fn link(&self, page: &str) -> String {
        let text = self.text();
        let found = text.split_whitespace().find(|word| word.contains(page));
        found
            .unwrap_or_else(|| panic!("no {page} in {text}"))
            .to_owned()
    }
}

#[derive(Default)]
struct Kept {
    mails: Vec<Mail>,
    planned: VecDeque<&'static str>,
    recipients: usize,
}

/// Listens until the test ends.
#[derive(Clone)]
pub struct MailHost {
    pub url: String,
    kept: Arc<Mutex<Kept>>,
}

impl MailHost {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let host = Self {
            url: format!("smtp://{address}"),
            kept: Arc::default(),
        };
        let own = host.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.talk(stream).await });
            }
        });
        host
    }

    /// What the next recipients are answered with, instead of 250.
    pub fn plan(&self, answers: &[&'static str]) {
        self.kept
            .lock()
            .expect("unpoisoned")
            .planned
            .extend(answers);
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.kept.lock().expect("unpoisoned").mails.clone()
    }

    /// How many recipients were named, refused or not.
    pub fn recipients(&self) -> usize {
        self.kept.lock().expect("unpoisoned").recipients
    }

    pub async fn until(&self, count: usize) -> Vec<Mail> {
        wait_until("the mail's host got it", SOON, || {
            let mails = self.mails();
            async move { (mails.len() >= count).then_some(mails) }
        })
        .await
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 mail.test ESMTP\r\n").await?;
        let (mut from, mut to) = (String::new(), String::new());
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let command = line.trim_end().to_owned();
            let verb = command.get(..4).unwrap_or_default().to_uppercase();
            let answer = match verb.as_str() {
                "EHLO" => "250-mail.test\r\n250 8BITMIME",
                "MAIL" => {
                    from = command;
                    "250 fine"
                }
                "RCPT" => {
                    to = command;
                    let mut kept = self.kept.lock().expect("unpoisoned");
                    kept.recipients += 1;
                    kept.planned.pop_front().unwrap_or("250 fine")
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await?;
                    let raw = letter(&mut stream).await?;
                    let mail = Mail {
                        from: from.clone(),
                        to: to.clone(),
                        raw,
                    };
                    self.kept.lock().expect("unpoisoned").mails.push(mail);
                    "250 taken"
                }
                "RSET" | "NOOP" => "250 fine",
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").await?;
                    return Ok(());
                }
                _ => "502 unknown",
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
    }
}

async fn letter(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut raw = String::new();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(raw);
        }
        raw.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
