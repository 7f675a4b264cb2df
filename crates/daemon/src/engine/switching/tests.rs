use std::sync::mpsc;

use super::{
    super::bench::{self, DEADLINE},
    *,
};

#[tokio::test]
async fn a_kernel_that_keeps_carrier_waiting_holds_up_nobody_and_is_told() {
    let mut engine = bench::engine();
    let (let_go, wait) = mpsc::channel::<()>();
    let (tell, begun) = mpsc::channel();
    engine.carriers.order("nq0", false, move || {
        tell.send(()).unwrap();
        let _let_go = wait.recv();
        Ok(())
    });
    begun.recv_timeout(DEADLINE).unwrap();
    let now = Instant::now();
    let alarms = |engine: &mut Engine, at| engine.status(at)["alarms"].to_string();
    assert_eq!(alarms(&mut engine, now), "[]");
    let later = now + Duration::from_secs(5);
    assert!(alarms(&mut engine, later).contains("carrier of nq0 for 5 s"), "{}", alarms(&mut engine, later));
    // Until the kernel has acted a sibling reads what it gives to the device.
    engine.lent.push((ChannelId(0), now));
    engine.give_back(later);
    assert_eq!(engine.lent.len(), 1);
    drop(let_go);
    let deadline = Instant::now() + DEADLINE;
    while !engine.carriers.is_idle() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    engine.give_back(later);
    assert_eq!((engine.lent.len(), alarms(&mut engine, later)), (0, "[]".into()));
}
