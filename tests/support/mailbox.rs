//! A mail server that keeps what it is given.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A mail: whom it is for, and its text with `\n` at the ends of lines.
#[derive(Clone, Debug)]
pub struct Mail {
    pub to: Vec<String>,
    pub text: String,
}

/// Keeps mail; ends with the test's process.
pub struct Mailbox {
    pub address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl Mailbox {
    /// Asks the first `put_off` mails to come again.
    pub fn start(put_off: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mails = Arc::new(Mutex::new(vec![]));
        let (kept, mut put_off) = (Arc::clone(&mails), put_off);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who has gone needs no answer.
                let _ = talk(stream, &kept, &mut put_off);
            }
        });
        Self { address, mails }
    }

    /// What was taken, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }
}

/// The server's side of RFC 5321.
fn talk(mut stream: TcpStream, mails: &Mutex<Vec<Mail>>, put_off: &mut usize) -> std::io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    let mut mail = Mail { to: vec![], text: String::new() };
    let mut in_text = false;
    stream.write_all(b"220 test\r\n")?;
    for line in lines {
        let line = line?;
        if in_text && line != "." {
            mail.text.push_str(&line);
            mail.text.push('\n');
            continue;
        }
        let words = line.split_once(':').map_or(line.as_str(), |(words, _)| words).to_uppercase();
        let answer = match words.split(' ').next().unwrap_or_default() {
            "." => {
                in_text = false;
                mails.lock().unwrap().push(mail.clone());
                "250 kept"
            }
            "MAIL" if *put_off > 0 => {
                *put_off -= 1;
                "451 come again"
            }
            "RCPT" => {
                mail.to.extend(line.split_once(':').map(|(_, address)| address.trim().to_string()));
                "250 known"
            }
            "DATA" => {
                in_text = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
