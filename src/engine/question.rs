//! What docker's program answers to a question, beside or before what it is started for.

use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::{Error, ErrorKind, Result};

/// A definition that lies elsewhere is fetched for it.
const LIMIT: Duration = Duration::from_secs(10);
const MOST: u64 = 64 << 20;

/// What the command prints on stdout, with these bytes on its stdin.
pub(crate) async fn answer(command: Command, stdin: &[u8], tried: &str) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::failed(tried, error);
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    let (mut to, from) = (child.stdin.take(), child.stdout.take());
    let all = async {
        let tell = async {
            if let Some(pipe) = &mut to {
                // It need not read to the end.
                let _ = pipe.write_all(stdin).await;
            }
            drop(to);
        };
        let mut said = Vec::new();
        let hear = async {
            match from {
                Some(pipe) => pipe.take(MOST).read_to_end(&mut said).await.map(drop),
                None => Ok(()),
            }
        };
        let ((), heard, status) = tokio::join!(tell, hear, child.wait());
        heard.map_err(failed)?;
        match status.map_err(failed)? {
            status if status.success() => Ok(said),
            status => Err(Error::failed(tried, status)),
        }
    };
    let late = || Error::new(ErrorKind::Failed, tried, format!("it did not answer within {} s", LIMIT.as_secs()));
    tokio::time::timeout(LIMIT, all).await.unwrap_or_else(|_| Err(late()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_or_says_why_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let ask = |script: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            runtime.block_on(answer(command, b"two\n", "asking"))
        };
        assert_eq!(ask("echo one; cat; echo three >&2").expect("an answer"), b"one\ntwo\n");
        assert_eq!(ask("exec true").expect("an answer"), b"");
        assert!(ask("exit 3").expect_err("none").to_string().contains("exit status: 3"));
    }
}
