//! One line into words, as OpenVPN splits it (options_parse.c, `parse_line`).

use std::borrow::Cow;

use thiserror::Error;

/// Words of one line, name included. OpenVPN does not look at what follows.
pub const MAX_WORDS: usize = 16;

/// Bytes of one word (`OPTION_PARM_SIZE`).
pub const MAX_WORD: usize = 256;

/// Bytes of one line with its line end: a line is refused when it has as many (`OPTION_LINE_SIZE`).
pub const MAX_LINE: usize = 256;

/// The words of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// At most as many as were asked for.
    pub words: Vec<String>,
    /// Whether there was more, comments aside.
    pub more: bool,
}

/// Why a line has no words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WordError {
    /// A `"` without its pair.
    #[error("a double quotation mark (\") is not closed on its line")]
    OpenDoubleQuote,
    /// A `'` without its pair.
    #[error("a single quotation mark (') is not closed on its line")]
    OpenSingleQuote,
    /// A backslash before something that it cannot stand before.
    #[error("a backslash may only stand before a backslash, a double quotation mark or a space: write \\\\ for one")]
    Backslash,
    /// A backslash at the end of the last line.
    #[error("the file ends with a backslash")]
    BackslashAtEnd,
    /// A word of more than [`MAX_WORD`] bytes.
    #[error("a parameter is longer than {MAX_WORD} bytes")]
    TooLong,
    /// A word that is no UTF-8.
    #[error("a parameter is not UTF-8 text")]
    NotText,
}

/// Where in a line we are.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Between,
    Plain,
    Double,
    Single,
}

/// Splits a line into at most `limit` words.
///
/// White space separates. A word that begins with `"` or `'` ends with the next one; elsewhere quotation marks are
/// characters like others. Outside single quotes a backslash takes the meaning from the character behind it, which must be one
/// of `\`, `"` and white space. Where a word would begin, `#` and `;` end the line.
///
/// # Errors
/// As [`WordError`] tells. OpenVPN refuses the same lines.
pub fn split(line: &[u8], limit: usize) -> Result<Words, WordError> {
    let RawWords { words, more } = split_raw(line, limit)?;
    let words = words.into_iter().map(|word| String::from_utf8(word).map_err(|_| WordError::NotText));
    Ok(Words { words: words.collect::<Result<_, _>>()?, more })
}

/// The words of one line as [`split`] finds them, which need not be text.
#[derive(Default)]
pub(super) struct RawWords {
    pub(super) words: Vec<Vec<u8>>,
    pub(super) more: bool,
}

/// As [`split`], but for [`WordError::NotText`].
pub(super) fn split_raw(line: &[u8], limit: usize) -> Result<RawWords, WordError> {
    let mut found = RawWords::default();
    let mut word = Vec::new();
    let mut state = State::Between;
    let mut escaped = false;
    // The zero ends a C string, and with it the last word.
    for byte in line.iter().copied().chain([0]) {
        if byte == b'\\' && !escaped && state != State::Single {
            escaped = true;
            continue;
        }
        let was_escaped = std::mem::take(&mut escaped);
        let next = match state {
            State::Between if is_space(byte) => State::Between,
            State::Between if matches!(byte, b'#' | b';') => break,
            State::Between if found.words.len() == limit => {
                found.more = true;
                break;
            }
            State::Between if byte == b'"' && !was_escaped => State::Double,
            State::Between if byte == b'\'' && !was_escaped => State::Single,
            State::Plain if is_space(byte) && !was_escaped => State::Between,
            State::Double if byte == b'"' && !was_escaped => State::Between,
            State::Single if byte == b'\'' => State::Between,
            State::Between | State::Plain => {
                push(&mut word, byte, was_escaped)?;
                State::Plain
            }
            State::Double | State::Single => {
                push(&mut word, byte, was_escaped)?;
                state
            }
        };
        if state != State::Between && next == State::Between {
            found.words.push(std::mem::take(&mut word));
        }
        state = next;
    }
    match state {
        State::Between => Ok(found),
        State::Plain => Err(WordError::BackslashAtEnd),
        State::Double => Err(WordError::OpenDoubleQuote),
        State::Single => Err(WordError::OpenSingleQuote),
    }
}

/// White space in C's locale, and the end of the line.
fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn push(word: &mut Vec<u8>, byte: u8, escaped: bool) -> Result<(), WordError> {
    if byte == 0 {
        return Ok(());
    }
    if escaped && !matches!(byte, b'\\' | b'"') && !is_space(byte) {
        return Err(WordError::Backslash);
    }
    if word.len() == MAX_WORD {
        return Err(WordError::TooLong);
    }
    word.push(byte);
    Ok(())
}

/// A word so that [`split`] gives it back.
pub(super) fn quote(word: &str) -> Cow<'_, str> {
    let plain = |b: u8| !is_space(b) && b != b'\\';
    let begins_plainly = !word.starts_with(['"', '\'', '#', ';']);
    if !word.is_empty() && begins_plainly && word.bytes().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")))
}
