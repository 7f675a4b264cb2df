//! The gateway's own addresses.

use netns_lab::trial;

use super::{alarms, routes, wait_for_word, with_internet};
use crate::bed::{eventually, ping, run};

#[test]
fn without_the_gateways_address_its_routes_go_on_without_it_until_it_is_back() {
    trial::run_with_tun(|| {
        let bed = with_internet(2);
        let before = routes(&bed);
        let device = run(bed.gateway(0), "ip -o address show to 10.1.0.1");
        let device = device.split_whitespace().nth(1).expect("the address is on a device").to_owned();
        run(bed.gateway(0), &format!("ip address del 10.1.0.1/24 dev {device}"));
        // With the address went the way to the host; the gateway itself must reach the other site.
        eventually("the route is there without a source", || {
            routes(&bed).iter().any(|route| route.metric == 101 && route.source.is_none() && route.legs.len() == 2)
        });
        eventually("the status has an alarm", || alarms(&bed, "`address` 10.1.0.1") == 1);
        wait_for_word(&bed, "no interface has this gateway's `address` 10.1.0.1");
        run(bed.gateway(0), &format!("ip address add 10.1.0.1/24 dev {device}"));
        eventually("the routes are as before", || routes(&bed) == before);
        eventually("the alarm is over", || alarms(&bed, "`address` 10.1.0.1") == 0);
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
    });
}
