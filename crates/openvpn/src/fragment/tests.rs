use proptest::prelude::*;

use super::*;

fn cut(splitter: &mut Splitter, packet: &[u8]) -> Vec<Vec<u8>> {
    let pieces = splitter.pieces(packet.len()).unwrap();
    let piece_of = |piece| [&splitter.header(pieces, piece)[..], &packet[pieces.range(piece)]].concat();
    (0..pieces.count).map(piece_of).collect()
}

fn packet(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| seed.wrapping_add(at as u8).wrapping_mul(31)).collect()
}

/// The packet of a piece that was just taken, if that completed one.
fn taken(reassembly: &mut Reassembly, piece: &[u8], now: u64) -> Option<Vec<u8>> {
    match reassembly.take(piece, now).unwrap() {
        Reassembled::Whole(range) => Some(piece[range].to_vec()),
        Reassembled::Part => None,
        Reassembled::Complete => Some(reassembly.packet().to_vec()),
    }
}

proptest! {
    #[test]
    fn pieces_are_short_enough_and_no_more_than_needed(longest in 4..2_000_usize, length in 0..65_000_usize) {
        let splitter = Splitter::new(longest, 0);
        let aligned = longest / 4 * 4;
        let Some(pieces) = splitter.pieces(length) else {
            prop_assert!(length > aligned * 31, "{} bytes in pieces of {}", length, longest);
            return Ok(());
        };
        prop_assert!(pieces.count <= MOST_PIECES);
        if length <= longest {
            prop_assert_eq!(pieces.count, 1);
        } else {
            prop_assert_eq!(pieces.count, length.div_ceil(aligned), "as many as the longest would take");
            prop_assert_eq!(pieces.each % 4, 0);
        }
        let lengths: Vec<usize> = (0..pieces.count).map(|piece| pieces.range(piece).len()).collect();
        prop_assert_eq!(lengths.iter().sum::<usize>(), length);
        prop_assert!(lengths.iter().all(|piece| *piece <= longest));
        prop_assert!(lengths.windows(2).all(|pair| pair[0] >= pair[1]), "the last is the shortest: {:?}", lengths);
    }

    #[test]
    fn packets_come_together_in_whatever_order_their_pieces_come(
        lengths in prop::collection::vec(1..3_000_usize, 1..8),
        longest in 100..400_usize,
        first in any::<u8>(),
        order in any::<prop::sample::Index>(),
        rotate in any::<prop::sample::Index>(),
    ) {
        let mut splitter = Splitter::new(longest, first);
        let packets: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(at, length)| packet(*length, at as u8)).collect();
        let mut pieces: Vec<Vec<u8>> = packets.iter().flat_map(|packet| cut(&mut splitter, packet)).collect();
        // Some order or other: begin in the middle, and take every so many first.
        let middle = rotate.index(pieces.len());
        pieces.rotate_left(middle);
        let every = order.index(5) + 1;
        let (mut shuffled, rest): (Vec<_>, Vec<_>) = pieces.into_iter().enumerate().partition(|(at, _)| at % every == 0);
        shuffled.extend(rest);
        let mut reassembly = Reassembly::new(3_000);
        let mut whole: Vec<Vec<u8>> =
            shuffled.iter().filter_map(|(_, piece)| taken(&mut reassembly, piece, 0)).collect();
        let mut expected = packets;
        whole.sort();
        expected.sort();
        prop_assert_eq!(whole, expected);
    }

    #[test]
    fn no_pieces_do_harm(pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..64), 0..3_u64), 0..100)) {
        let (mut reassembly, mut now) = (Reassembly::new(200), 0);
        for (piece, seconds) in pieces {
            now += seconds;
            if reassembly.take(&piece, now) == Ok(Reassembled::Complete) {
                prop_assert!(reassembly.packet().len() <= 200);
            }
        }
    }
}

#[test]
fn headers_are_openvpns() {
    let mut splitter = Splitter::new(100, 254);
    let whole = splitter.pieces(100).unwrap();
    assert_eq!(splitter.header(whole, 0), [0; 4]);
    // 250 bytes are cut into pieces of 84: three of 100 would leave the last one half empty.
    let pieces = splitter.pieces(250).unwrap();
    assert_eq!((pieces.count, pieces.each), (3, 84));
    let header = |splitter: &mut Splitter, piece| u32::from_be_bytes(splitter.header(pieces, piece));
    assert_eq!(header(&mut splitter, 0), 1 | 255 << 2);
    assert_eq!(header(&mut splitter, 1), 1 | 255 << 2 | 1 << 10);
    assert_eq!(header(&mut splitter, 2), 2 | 255 << 2 | 2 << 10 | (84 / 4) << 15);
    assert_eq!(header(&mut splitter, 0), 1, "numbers go around");
}

#[test]
fn a_packet_that_misses_a_piece_is_forgotten_after_ten_seconds() {
    let mut splitter = Splitter::new(100, 7);
    let pieces = cut(&mut splitter, &packet(180, 1));
    let mut reassembly = Reassembly::new(1_000);
    assert_eq!(taken(&mut reassembly, &pieces[0], 100), None);
    assert_eq!(taken(&mut reassembly, &pieces[1], 110), None, "the first one is too old");
    assert_eq!(taken(&mut reassembly, &pieces[0], 119), Some(packet(180, 1)), "in time");
}

#[test]
fn older_packets_give_way_to_new_ones() {
    let mut splitter = Splitter::new(100, 0);
    let mut reassembly = Reassembly::new(1_000);
    let all: Vec<Vec<Vec<u8>>> = (0..26).map(|number| cut(&mut splitter, &packet(150, number))).collect();
    all.iter().for_each(|pieces| assert_eq!(taken(&mut reassembly, &pieces[0], 0), None));
    for (number, pieces) in all.iter().enumerate().skip(1) {
        assert_eq!(taken(&mut reassembly, &pieces[1], 0), Some(packet(150, number as u8)));
    }
    assert_eq!(taken(&mut reassembly, &all[0][1], 0), None, "26 at a time are one too many");
}

#[test]
fn what_is_no_piece_is_named_as_openvpn_names_it() {
    let mut reassembly = Reassembly::new(100);
    let mut verdict = |flags: u32, content: usize| {
        reassembly.take(&[&flags.to_be_bytes()[..], &vec![0; content]].concat(), 0).unwrap_err().to_string()
    };
    assert_eq!(verdict(1 << 2, 8), "spurious FRAG_WHOLE flags");
    assert_eq!(verdict(1, 7), "bad fragment size");
    assert_eq!(verdict(1 | 3 << 10, 28), "fragment buffer overflow");
    assert_eq!(verdict(2 | 1 << 10 | (100 / 4) << 15, 4), "fragment buffer overflow");
    assert_eq!(verdict(3, 4), "FRAG_TEST not implemented");
    assert_eq!(reassembly.take(&[0; 3], 0), Err(FragmentError::NoHeader));
}
