//! Padded probes over a path that narrows and widens, while all smaller datagrams pass.

use std::cell::Cell;
use std::rc::Rc;

use meshtun_proto::channel::path_mtu::{CONFIRM_EVERY, RAISE_AFTER};

use super::world::{A, B, MS, SECOND, World};

const MTU: u16 = 1420;

/// A pair that is up over a path that takes UDP payloads of as many bytes as the cell says.
fn pair(width: u16) -> (World, Rc<Cell<u16>>) {
    let (mut world, path) = (World::up(1), Rc::new(Cell::new(width)));
    let width = Rc::clone(&path);
    world.censor = Some(Box::new(move |_, datagram| datagram.bytes.len() > width.get().into()));
    for end in [A, B] {
        world.ends[end].channel.discover_path_mtu(MTU, None);
    }
    (world, path)
}

fn path_mtus(world: &World) -> [Option<u16>; 2] {
    [A, B].map(|end| world.ends[end].log.path_mtus.last().copied())
}

#[test]
fn a_path_that_takes_the_mtu_is_never_spoken_of() {
    let (mut world, _) = pair(MTU + 32);
    world.run(600 * SECOND);
    assert_eq!(path_mtus(&world), [None, None]);
    assert!([A, B].iter().all(|end| world.ends[*end].log.downs.is_empty()));
}

#[test]
fn a_path_that_narrows_is_noticed_by_both_ends_and_the_channel_stays_up() {
    let (mut world, path) = pair(MTU + 32);
    world.run(60 * SECOND);
    path.set(1400);
    world.run(2 * CONFIRM_EVERY);
    for mtu in path_mtus(&world) {
        assert!(mtu.is_some_and(|mtu| (1280..=1368).contains(&mtu)), "{mtu:?}");
    }
    world.run(60 * SECOND);
    for mtu in path_mtus(&world) {
        assert!(mtu.is_some_and(|mtu| (1353..=1368).contains(&mtu)), "all but a step of what passes: {mtu:?}");
    }
    assert!([A, B].iter().all(|end| world.ends[*end].log.downs.is_empty()), "small probes pass");
}

#[test]
fn a_path_that_narrows_under_traffic_is_noticed_within_four_seconds_whatever_is_being_tried() {
    for tenth in (0..120).step_by(5) {
        let (mut world, path) = pair(1412);
        world.run(30 * SECOND);
        // At the end of this both ends try whether the path takes more than it did.
        world.run(RAISE_AFTER - 29 * SECOND);
        world.ends.iter_mut().for_each(|end| end.sends_every = Some(50 * MS));
        world.run(100 * MS * tenth);
        path.set(1350);
        world.run(4 * SECOND);
        for mtu in path_mtus(&world) {
            assert!(mtu.is_some_and(|mtu| mtu <= 1318), "{mtu:?} after {tenth} tenths");
        }
        world.run(30 * SECOND);
        for mtu in path_mtus(&world) {
            assert!(mtu.is_some_and(|mtu| (1303..=1318).contains(&mtu)), "{mtu:?} after {tenth} tenths");
        }
        assert!([A, B].iter().all(|end| world.ends[*end].log.downs.is_empty()), "small probes pass");
    }
}

#[test]
fn a_path_that_widens_again_is_used_again() {
    let (mut world, path) = pair(1300);
    world.run(60 * SECOND);
    assert!(path_mtus(&world).iter().all(|mtu| mtu.is_some_and(|mtu| mtu <= 1268)));
    path.set(MTU + 32);
    world.run(RAISE_AFTER + 60 * SECOND);
    assert_eq!(path_mtus(&world), [Some(MTU); 2]);
}
