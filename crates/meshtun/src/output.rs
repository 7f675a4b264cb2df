//! Standard output and standard error.

use std::io::{self, Write};

/// Prints to standard output. A reader that has had enough (`meshtun status | head -1`) is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a line to standard error; where that is closed there is nobody to tell.
pub(crate) fn complain(line: &str) {
    let _nobody_listens = writeln!(anstream::stderr().lock(), "{line}");
}
