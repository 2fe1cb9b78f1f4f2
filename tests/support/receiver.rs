//! A web server that keeps what is posted to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request: its header lines, in lower case, and its body.
#[derive(Clone, Debug)]
pub struct Posted {
    pub headers: Vec<String>,
    pub body: String,
}

/// Keeps what is posted; ends with the test's process.
pub struct Receiver {
    pub address: SocketAddr,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Receiver {
    /// Answers the first requests with these states, all others with 200.
    pub fn start(first: Vec<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let posted = Arc::new(Mutex::new(vec![]));
        let (kept, mut states) = (Arc::clone(&posted), first.into_iter());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &kept, &mut states);
            }
        });
        Self { address, posted }
    }

    /// What was answered with 200, in order.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, posted: &Mutex<Vec<Posted>>, states: &mut impl Iterator<Item = u16>) {
    let Some(request) = read(&stream) else { return };
    let state = states.next().unwrap_or(200);
    if state == 200 {
        posted.lock().unwrap().push(request);
    }
    let text = format!("HTTP/1.1 {state} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    // Who has gone needs no answer.
    let _ = stream.write_all(text.as_bytes());
}

fn read(stream: &TcpStream) -> Option<Posted> {
    let mut reader = BufReader::new(stream);
    let mut headers = vec![];
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        headers.push(line);
    }
    let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Posted { headers, body: String::from_utf8(body).ok()? })
}
