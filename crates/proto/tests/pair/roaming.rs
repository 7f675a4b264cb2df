//! A peer that speaks from elsewhere is followed, and nobody else.

use super::world::*;

/// A pair of which B has to learn where A is.
fn learning() -> [Setup; 2] {
    let [a, b] = Setup::pair();
    [a, Setup { peer_address: None, ..b }]
}

#[test]
fn a_peer_that_moves_is_followed_at_its_next_message() {
    let mut world = World::new(1, learning());
    world.start(A);
    world.start(B);
    world.run_until(World::both_up);
    let new = "198.51.100.1:6000".parse().unwrap();
    world.ends[A].setup.address = new;
    world.run_until(|world| world.ends[B].endpoint == Some(new));
    world.ends.iter_mut().for_each(|end| end.sends_every = Some(10 * MS));
    world.run(5 * SECOND);
    world.assert_nothing_lost(A, B);
    world.assert_nothing_lost(B, A);
    assert!(world.ends.iter().all(|end| end.log.downs.is_empty()));
}

#[test]
fn another_channel_of_the_same_peer_does_not_draw_a_channels_packets_to_itself() {
    for seed in 0..10 {
        let [a, b] = learning();
        let here = a.address;
        // Its port is wrong: it speaks to B, which is another channel.
        let stray = Setup { address: "192.0.2.1:6001".parse().unwrap(), ..a.clone() }.named("nq", 1);
        let mut world = World::new(seed, [a, b, stray]);
        world.start(A);
        world.start(B);
        world.run_until(World::both_up);
        world.ends[B].sends_every = Some(MS);
        world.start(2);
        world.run(30 * SECOND);
        assert!(!world.ends[B].log.unmatched.is_empty(), "seed {seed}: it has spoken");
        assert_eq!(world.ends[B].log.endpoints.iter().filter(|it| **it != here).count(), 0, "seed {seed}");
        world.assert_nothing_lost(B, A);
    }
}
