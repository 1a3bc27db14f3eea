//! A server of files on this machine, which breaks off where it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

pub(super) enum Answer {
    Whole(Vec<u8>),
    /// Half of it, and then nobody there any more.
    Half(Vec<u8>),
    /// Half of it, and then silence.
    Silence(Vec<u8>),
}

/// Serves these until the tests are over, and says under which address. What is not among them is not found.
pub(super) fn serve(files: BTreeMap<String, Answer>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Who hangs up early is no matter here.
            let _ = answer(stream, &files);
        }
    });
    address
}

fn answer(mut stream: TcpStream, files: &BTreeMap<String, Answer>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default();
    let Some(answer) = files.get(path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let (Answer::Whole(bytes) | Answer::Half(bytes) | Answer::Silence(bytes)) = answer;
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
    let is_whole = matches!(answer, Answer::Whole(_));
    stream.write_all(&bytes[..if is_whole { bytes.len() } else { bytes.len() / 2 }])?;
    if matches!(answer, Answer::Silence(_)) {
        // A thread of its own is not worth it: nobody asks after this one.
        thread::sleep(Duration::from_secs(20));
    }
    Ok(())
}
