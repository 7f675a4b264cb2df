use proptest::prelude::*;

use super::*;

fn hello() -> Frame {
    Frame::Hello {
        version: 1,
        ack: true,
        features: 0x0102_0304,
        link: "nq".to_owned(),
        channel: 0x0506,
        incarnation: 0x0B0C_0D0E,
        generation: 0x0708_090A,
        signal: Signal { state: LivenessState::Init, diagnosis: Diagnosis::HeldDown, clock_micros: 0x0B0A },
    }
}

/// A name of at most [`MAX_LINK_LEN`] bytes, multi-byte characters among them.
fn link() -> impl Strategy<Value = String> {
    "[a-zéß€𝄞]{0,12}".prop_map(|name| name[..name.floor_char_boundary(MAX_LINK_LEN)].to_owned())
}

fn signal() -> impl Strategy<Value = Signal> {
    let state = prop_oneof![Just(LivenessState::Down), Just(LivenessState::Init), Just(LivenessState::Up)];
    let diagnosis = prop_oneof![
        Just(Diagnosis::None),
        Just(Diagnosis::NotHeard),
        Just(Diagnosis::ToldDown),
        Just(Diagnosis::WithSibling),
        Just(Diagnosis::HeldDown)
    ];
    (state, diagnosis, any::<u64>()).prop_map(|(state, diagnosis, clock_micros)| Signal {
        state,
        diagnosis,
        clock_micros,
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    let reason = prop_oneof![Just(Reason::Unspecified), Just(Reason::Down), Just(Reason::Restarting)];
    prop_oneof![
        (any::<(u8, bool, u32)>(), link(), any::<(u16, u32, u32)>(), signal()).prop_map(
            |((version, ack, features), link, (channel, incarnation, generation), signal)| Frame::Hello {
                version,
                ack,
                features,
                link,
                channel,
                incarnation,
                generation,
                signal,
            }
        ),
        (any::<(u64, u32)>(), signal()).prop_map(|((sequence, interval_micros), signal)| Frame::Probe {
            sequence,
            interval_micros,
            signal
        }),
        (any::<(u64, u64, u32)>(), signal()).prop_map(|((sequence, sent_micros, held_micros), signal)| {
            Frame::ProbeReply { sequence, sent_micros, held_micros, signal }
        }),
        (reason, any::<u32>()).prop_map(|(reason, hold_ms)| Frame::Goodbye { reason, hold_ms }),
        any::<(bool, u32, u16)>().prop_map(|(ack, sequence, size)| Frame::PathMtuProbe { ack, sequence, size }),
    ]
}

#[test]
fn the_bytes_of_each_frame_are_as_documented() {
    let up = Signal { state: LivenessState::Up, diagnosis: Diagnosis::None, clock_micros: 7 };
    let down = Signal { state: LivenessState::Down, diagnosis: Diagnosis::NotHeard, clock_micros: 9 };
    let cases = [
        (
            hello(),
            &[
                0xC0, 1, 1, 1, 4, 3, 2, 1, 2, b'n', b'q', 6, 5, 14, 13, 12, 11, 10, 9, 8, 7, 2, 32, 10, 11, 0, 0, 0, 0,
                0, 0,
            ][..],
        ),
        (
            Frame::Probe { sequence: 0x0102_0304, interval_micros: 250_000, signal: up },
            &[0xC0, 2, 4, 3, 2, 1, 0, 0, 0, 0, 0x90, 0xD0, 3, 0, 3, 0, 7, 0, 0, 0, 0, 0, 0, 0],
        ),
        (
            Frame::ProbeReply { sequence: 6, sent_micros: 0x0102_0304_0506_0708, held_micros: 0x0C0D, signal: down },
            &[0xC0, 3, 6, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 0x0D, 0x0C, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0],
        ),
        (Frame::Goodbye { reason: Reason::Restarting, hold_ms: 2000 }, &[0xC0, 4, 2, 0xD0, 7, 0, 0]),
        (Frame::PathMtuProbe { ack: false, sequence: 9, size: 1452 }, &[0xC0, 5, 0, 9, 0, 0, 0, 0xAC, 5]),
    ];
    for (frame, bytes) in cases {
        assert_eq!(frame.encode(), bytes, "{frame:?}");
    }
}

#[test]
fn no_packet_and_no_keepalive_is_a_control_frame() {
    for first in [0x45, 0x60, 0x00, 0xFF] {
        assert!(!is_control(&[first, 1, 2, 3]));
    }
    assert!(!is_control(&[]));
    assert!(is_control(&hello().encode()));
    assert_eq!(Frame::decode(&[0x45, 1]), Err(FrameError::NotControl));
}

#[test]
fn an_unknown_type_is_named() {
    assert_eq!(Frame::decode(&[MARK, 99, 1, 2]), Err(FrameError::UnknownType(99)));
    assert_eq!(Frame::decode(&[MARK]), Err(FrameError::Truncated));
}

#[test]
fn an_unknown_reason_is_still_a_goodbye() {
    let bytes = [MARK, GOODBYE, 200, 1, 0, 0, 0];
    let goodbye = Frame::Goodbye { reason: Reason::Unspecified, hold_ms: 1 };
    assert_eq!(Frame::decode(&bytes), Ok(goodbye));
}

#[test]
fn a_link_name_that_is_too_long_is_cut_when_sent_and_refused_when_received() {
    let long = Frame::Hello {
        version: 1,
        ack: false,
        features: 0,
        // The 32nd byte lies inside a character.
        link: format!("{}€€", "x".repeat(31)),
        channel: 0,
        incarnation: 0,
        generation: 0,
        signal: Signal::default(),
    };
    let Ok(Frame::Hello { link, .. }) = Frame::decode(&long.encode()) else {
        panic!("a cut hello is still a hello");
    };
    assert_eq!(link, "x".repeat(31));

    let mut bytes = hello().encode();
    bytes[8] = MAX_LINK_LEN as u8 + 1;
    bytes.resize(100, b'x');
    assert_eq!(Frame::decode(&bytes), Err(FrameError::BadLinkName));
}

#[test]
fn a_link_name_that_is_no_text_is_refused() {
    let mut bytes = hello().encode();
    bytes[9] = 0xFF;
    assert_eq!(Frame::decode(&bytes), Err(FrameError::BadLinkName));
}

#[test]
fn the_longest_frame_just_fits_its_buffer() {
    let longest = Frame::Hello {
        version: 1,
        ack: false,
        features: 0,
        link: "x".repeat(MAX_LINK_LEN),
        channel: 0,
        incarnation: 0,
        generation: 0,
        signal: Signal::default(),
    };
    assert_eq!(longest.encode().len(), MAX_FRAME_LEN);
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_whatever_padding_follows(
        frame in frame(),
        padding in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = frame.encode();
        bytes.extend(padding);
        prop_assert!(is_control(&bytes));
        prop_assert_eq!(Frame::decode(&bytes), Ok(frame));
    }

    #[test]
    fn a_frame_that_is_cut_anywhere_is_truncated(frame in frame(), cut in 1usize..50) {
        let bytes = frame.encode();
        let cut = cut.min(bytes.len() - 1);
        prop_assert_eq!(Frame::decode(&bytes[..cut]), Err(FrameError::Truncated));
    }

    #[test]
    fn garbage_is_never_a_panic(
        kind in 0u8..8,
        tail in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = vec![MARK, kind];
        bytes.extend(tail);
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }
}
