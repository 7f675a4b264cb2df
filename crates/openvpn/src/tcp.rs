//! Datagrams in a stream of TCP: each after its length in two bytes (socket.c, `stream_buf_get_next`).

use thiserror::Error;

/// Bytes before each datagram.
pub const HEADER_LEN: usize = 2;

/// The stream is no OpenVPN's, or it is out of step: the connection has to be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a datagram of {length} bytes was announced, and there is none below 1 and none above {longest}")]
pub struct StreamError {
    /// What the stream says.
    pub length: usize,
    /// What would pass.
    pub longest: usize,
}

/// The header of a datagram; `None` if it is longer than 65,535 bytes.
#[must_use]
pub fn header(datagram: usize) -> Option<[u8; HEADER_LEN]> {
    u16::try_from(datagram).ok().map(u16::to_be_bytes)
}

/// The length of the datagram that a stream begins with, its header not counted; `None` while the header is not there.
///
/// # Errors
/// [`StreamError`] for an empty one and for one longer than `longest`, as OpenVPN has it: "WARNING: Bad encapsulated packet
/// length from peer".
pub fn next_len(stream: &[u8], longest: usize) -> Result<Option<usize>, StreamError> {
    let Some(header) = stream.first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*header));
    if length == 0 || length > longest { Err(StreamError { length, longest }) } else { Ok(Some(length)) }
}

/// A datagram, and what follows it in the stream.
pub type FirstAndRest<'a> = (&'a mut [u8], &'a mut [u8]);

/// The first whole datagram of a stream, and what follows it; `None` while it is not all there.
///
/// # Errors
/// As [`next_len`].
pub fn split_first(stream: &mut [u8], longest: usize) -> Result<Option<FirstAndRest<'_>>, StreamError> {
    let Some(length) = next_len(stream, longest)? else { return Ok(None) };
    Ok(stream.get_mut(HEADER_LEN..).and_then(|rest| rest.split_at_mut_checked(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_out_one_by_one_however_the_stream_was_cut() {
        let mut stream = Vec::new();
        for datagram in [&b"first"[..], b"2", b"the third"] {
            stream.extend(header(datagram.len()).unwrap());
            stream.extend(datagram);
        }
        for cut in 1..stream.len() {
            let (mut seen, mut waiting) = (Vec::new(), Vec::new());
            for chunk in stream.chunks(cut) {
                waiting.extend_from_slice(chunk);
                while let Some((datagram, rest)) = split_first(&mut waiting, 1_000).unwrap() {
                    seen.push(datagram.to_vec());
                    waiting = rest.to_vec();
                }
            }
            assert_eq!(seen, [&b"first"[..], b"2", b"the third"], "chunks of {cut}");
            assert!(waiting.is_empty());
        }
    }

    #[test]
    fn what_can_be_no_length_is_refused() {
        assert_eq!(next_len(&[0, 0], 100), Err(StreamError { length: 0, longest: 100 }));
        assert_eq!(next_len(&[0, 101, 1], 100), Err(StreamError { length: 101, longest: 100 }));
        assert_eq!(next_len(&[0, 100], 100), Ok(Some(100)));
        assert_eq!(next_len(&[0], 100), Ok(None));
        assert_eq!((header(65_535), header(65_536)), (Some([255, 255]), None));
    }
}
