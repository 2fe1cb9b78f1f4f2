//! A PostgreSQL client that only drains: it counts rows and bytes and looks at none of them, so that what is measured is
//! the server. (Frontend/backend protocol 3.0, PostgreSQL 15, chapter 55.)

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Bytes asked for at once.
const CHUNK: usize = 256 * 1024;

/// How rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A simple query: text.
    Text,
    /// An extended query, all columns binary.
    Binary,
    /// `COPY (...) TO STDOUT (FORMAT binary)`
    CopyBinary,
}

/// What came.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Rows; for COPY messages of data, of which a server may send one a row, and no more.
    pub rows: u64,
    pub bytes: u64,
    /// From the question to the first row.
    pub first_row: Duration,
    /// From the question to the end.
    pub all: Duration,
}

/// A session.
pub struct Wire {
    stream: TcpStream,
    chunk: Vec<u8>,
}

impl Wire {
    /// Connects to a server that asks for no password.
    pub fn connect(address: SocketAddr, user: &str, database: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut wire = Self { stream, chunk: vec![0; CHUNK] };
        let mut body = 196_608_i32.to_be_bytes().to_vec();
        for text in ["user", user, "database", database, ""] {
            body.extend(text.bytes().chain([0]));
        }
        let length = i32::try_from(body.len() + 4).unwrap().to_be_bytes();
        wire.stream.write_all(&[&length[..], &body].concat()).unwrap();
        wire.until_ready(Instant::now());
        wire
    }

    /// Asks, and reads until the server is ready again.
    pub fn drain(&mut self, mode: Mode, sql: &str) -> Drained {
        let question = match mode {
            Mode::Text => message(b'Q', &[sql.as_bytes(), &[0]]),
            Mode::CopyBinary => {
                message(b'Q', &[format!("COPY ({sql}) TO STDOUT (FORMAT binary)").as_bytes(), &[0]])
            }
            Mode::Binary => [
                message(b'P', &[&[0], sql.as_bytes(), &[0, 0, 0]]),
                // Portal and statement without names; no parameters; one result format: 1.
                message(b'B', &[&[0, 0, 0, 0, 0, 0, 0, 1, 0, 1]]),
                message(b'E', &[&[0, 0, 0, 0, 0]]),
                message(b'S', &[]),
            ]
            .concat(),
        };
        let asked = Instant::now();
        self.stream.write_all(&question).unwrap();
        self.until_ready(asked)
    }

    fn until_ready(&mut self, asked: Instant) -> Drained {
        let mut drained = Drained { rows: 0, bytes: 0, first_row: Duration::ZERO, all: Duration::ZERO };
        // Of the chunk, what is filled; of the message at hand, what is still to come beyond it.
        let (mut filled, mut beyond) = (0, 0);
        loop {
            let read = self.stream.read(&mut self.chunk[filled..]).unwrap();
            assert!(read > 0, "the server hung up");
            drained.bytes += read as u64;
            filled += read;
            let mut at = beyond.min(filled);
            beyond -= at;
            while beyond == 0 && filled - at >= 5 {
                let kind = self.chunk[at];
                let length: [u8; 4] = self.chunk[at + 1..at + 5].try_into().unwrap();
                let whole = 1 + usize::try_from(i32::from_be_bytes(length)).unwrap();
                let is_here = filled - at >= whole;
                match kind {
                    b'D' | b'd' => {
                        if drained.rows == 0 {
                            drained.first_row = asked.elapsed();
                        }
                        drained.rows += 1;
                    }
                    b'Z' if is_here => {
                        drained.all = asked.elapsed();
                        return drained;
                    }
                    b'E' if is_here => panic!("{}", String::from_utf8_lossy(&self.chunk[at..at + whole])),
                    _ if !is_here && whole < CHUNK => break,
                    _ => {}
                }
                let here = whole.min(filled - at);
                beyond = whole - here;
                at += here;
            }
            self.chunk.copy_within(at..filled, 0);
            filled -= at;
        }
    }
}

fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = i32::try_from(length + 4).unwrap().to_be_bytes();
    [&[kind], &length[..], &parts.concat()].concat()
}
