//! Requests to the kernel's routing socket: dumps, look-ups, changes.

use std::io;

use futures_util::StreamExt;
use netlink_packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::sys::AsyncSocket;

use crate::KernelError;

/// How often a dump is begun anew because something changed meanwhile; after that what was read is taken as it is.
const DUMP_ATTEMPTS: usize = 5;

/// A handle to the task that owns the socket; the task ends with the last handle.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    handle: rtnetlink::Handle,
    /// Whether the kernel leaves out of dumps what the request does not ask for.
    is_strict: bool,
}

impl Connection {
    pub(crate) fn open() -> io::Result<Connection> {
        Connection::open_as(false)
    }

    /// One on which a dump's request is a filter (`NETLINK_GET_STRICT_CHK`, Linux 4.20): the kernel leaves out what has
    /// another table or protocol. An older kernel gives everything nevertheless.
    pub(crate) fn open_strict() -> io::Result<Connection> {
        Connection::open_as(true)
    }

    fn open_as(strict: bool) -> io::Result<Connection> {
        let (mut connection, handle, _) = rtnetlink::new_connection()?;
        connection.set_forward_done(true);
        let socket = connection.socket_mut().socket_mut();
        // Without the request's echo the kernel's explanation is at a fixed place in an error message.
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        let is_strict = strict && socket.set_netlink_get_strict_chk(true).is_ok();
        tokio::spawn(connection);
        Ok(Connection { handle, is_strict })
    }

    /// Whether requests for dumps are filters.
    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Everything of which `keep` makes something. A dump during which the table changed is repeated.
    pub(crate) async fn dump<T>(
        &self,
        request: RouteNetlinkMessage,
        mut keep: impl FnMut(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>, KernelError> {
        let mut attempt = 1;
        loop {
            let (kept, interrupted) = self.dump_once(request.clone(), &mut keep).await?;
            if !interrupted || attempt == DUMP_ATTEMPTS {
                return Ok(kept);
            }
            attempt += 1;
        }
    }

    async fn dump_once<T>(
        &self,
        request: RouteNetlinkMessage,
        keep: &mut impl FnMut(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<(Vec<T>, bool), KernelError> {
        let mut replies = self.request(request, NLM_F_DUMP)?;
        let mut kept = Vec::new();
        let mut interrupted = false;
        while let Some(reply) = replies.next().await {
            interrupted |= reply.header.flags & NLM_F_DUMP_INTR != 0;
            match reply.payload {
                NetlinkPayload::InnerMessage(message) => kept.extend(keep(message)),
                NetlinkPayload::Done(done) if done.code < 0 => {
                    return Err(io::Error::from_raw_os_error(-done.code).into());
                }
                NetlinkPayload::Error(error) => check(&error)?,
                NetlinkPayload::Overrun(_) => interrupted = true,
                _ => {}
            }
        }
        Ok((kept, interrupted))
    }

    /// The single answer to a look-up; none if it came in a form that we do not understand.
    pub(crate) async fn get(&self, request: RouteNetlinkMessage) -> Result<Option<RouteNetlinkMessage>, KernelError> {
        // The acknowledgement ends the wait even where the answer cannot be decoded.
        let mut replies = self.request(request, NLM_F_ACK)?;
        let mut answer = None;
        while let Some(reply) = replies.next().await {
            match reply.payload {
                NetlinkPayload::InnerMessage(message) => answer = Some(message),
                NetlinkPayload::Error(error) => check(&error)?,
                _ => {}
            }
        }
        Ok(answer)
    }

    /// A change, with flags in addition to the acknowledged request.
    pub(crate) async fn change(&self, request: RouteNetlinkMessage, flags: u16) -> Result<(), KernelError> {
        let mut replies = self.request(request, NLM_F_ACK | flags)?;
        while let Some(reply) = replies.next().await {
            if let NetlinkPayload::Error(error) = reply.payload {
                check(&error)?;
            }
        }
        Ok(())
    }

    fn request(
        &self,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<impl StreamExt<Item = NetlinkMessage<RouteNetlinkMessage>> + Unpin + use<>, KernelError> {
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | flags;
        // Only a task that has ended (with its runtime) refuses.
        self.handle.clone().request(message).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe).into())
    }
}

fn check(answer: &ErrorMessage) -> Result<(), KernelError> {
    match answer.code {
        None => Ok(()),
        Some(_) => Err(KernelError { error: answer.to_io(), explanation: explanation(&answer.header) }),
    }
}

/// The text of `NLMSGERR_ATTR_MSG` (linux/netlink.h): after the request's header of 16 bytes come attributes of length,
/// type and value, each padded to 4 bytes.
fn explanation(payload: &[u8]) -> Option<String> {
    const TEXT: u16 = 1;
    let mut rest = payload.get(16..)?;
    while let [l0, l1, t0, t1, ..] = *rest {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes([t0, t1]) == TEXT {
            return Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::explanation;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn the_kernels_text_is_found_behind_other_attributes() {
        let payload = [vec![0; 16], attribute(2, &[1, 2, 3, 4]), attribute(1, b"Nexthop\0")].concat();
        assert_eq!(explanation(&payload).as_deref(), Some("Nexthop"));
    }

    #[test]
    fn a_truncated_or_absurd_attribute_gives_no_text() {
        for tail in [&[][..], &[9, 0], &[0, 0, 1, 0], &[200, 0, 1, 0, b'x'], &[3, 0, 2, 0]] {
            assert_eq!(explanation(&[vec![0; 16], tail.to_vec()].concat()), None);
        }
        assert_eq!(explanation(&[0; 3]), None);
    }
}
