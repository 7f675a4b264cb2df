use std::time::Duration;

use meshtun_config::Mesh;
use meshtun_netlink::ForeignRoute;
use tokio::sync::mpsc;

use super::*;
use crate::{fixtures, surroundings::Surroundings};

/// A keeper's task that has just read a table of others' routes, which took so long.
fn task_beside(took: Duration) -> Task {
    let view = fixtures::view(&Mesh::parse("mesh.toml", &fixtures::mesh("")).unwrap());
    let state = State::new(view, Surroundings::default());
    let (_, inbox) = mpsc::unbounded_channel();
    let (words, _) = mpsc::unbounded_channel();
    let (network, changes) = (Network::new().unwrap(), Changes::new().unwrap());
    Task { others: Others::that_took(took), ..Task::new(network, state, changes, inbox, words) }
}

fn route(prefix: &str, metric: u32) -> Change {
    Change::Foreign(ForeignRoute { prefix: prefix.parse().unwrap(), metric, protocol: 4, is_there: true })
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_route_in_the_place_of_ours_is_looked_at_at_once_beside_a_full_table_and_is_known_without_reading_it() {
    let mut task = task_beside(MINUTE);
    let ours = task.state.desired().routes[0].clone();
    let at = task.concerns(route(&ours.prefix.to_string(), ours.metric)).expect("it concerns us");
    assert!(at < Instant::now() + MINUTE, "it does not wait for the table");
    let known = task.others.routes_soon(&task.network, task.state.desired()).await.unwrap();
    let is_it = |route: &&meshtun_netlink::ActualRoute| (route.prefix, route.metric) == (ours.prefix, ours.metric);
    assert_eq!(known.iter().filter(is_it).count(), 1);
}

#[tokio::test]
async fn a_route_inside_our_networks_waits_until_a_full_table_may_be_read_again() {
    let mut task = task_beside(MINUTE);
    let at = task.concerns(route("10.202.7.0/24", 0)).expect("it concerns us");
    assert!(at > Instant::now() + MINUTE);
    let at = task_beside(Duration::ZERO).concerns(route("10.202.7.0/24", 0)).expect("it concerns us");
    assert!(at < Instant::now() + MINUTE, "a small one is read at once");
    assert_eq!(task.concerns(route("192.0.2.0/24", 0)), None, "and this is none of ours");
}
