//! Whose turn it is: those who ask, or the look that they have interrupted.

use super::request::Requests;

/// How often in a row looks were given up because somebody asked. Each begins from nothing, and one at a full table of
/// routes of others takes a second: who asks again and again would keep the kernel from being looked at.
#[derive(Debug, Default)]
pub(super) struct Turns {
    given_up: u32,
}

impl Turns {
    /// What the look finds; none if a request came first, and it is not the look's turn.
    pub(super) async fn unless_asked<T>(
        &mut self,
        requests: &mut Requests,
        look: impl Future<Output = T>,
    ) -> Option<T> {
        if self.given_up >= IN_A_ROW {
            self.given_up = 0;
            return Some(look.await);
        }
        tokio::select! {
            biased;
            _ = requests.come() => {
                self.given_up += 1;
                None
            }
            found = look => {
                self.given_up = 0;
                Some(found)
            }
        }
    }
}

/// A look has its turn after so many that were given up. What is asked meanwhile waits as long as a look takes; channels
/// that go do not (the engine's patience is shorter).
const IN_A_ROW: u32 = 4;

#[cfg(test)]
mod tests {
    use meshtun_netlink::Way;
    use tokio::{sync::mpsc, task::yield_now};

    use super::{super::request::Request, *};

    fn request() -> Request {
        Request::Measure(1, Way::to("192.0.2.1".parse().unwrap()))
    }

    #[tokio::test]
    async fn a_look_that_somebody_interrupts_each_time_is_finished_all_the_same() {
        let (sender, inbox) = mpsc::unbounded_channel();
        let (mut requests, mut turns) = (Requests::new(inbox), Turns::default());
        let (mut served, mut done) = (0, 0);
        for _ in 0..100 {
            sender.send(request()).unwrap();
            match turns.unless_asked(&mut requests, yield_now()).await {
                Some(()) => done += 1,
                None => served += requests.take().len(),
            }
        }
        assert_eq!(done, 100 / (IN_A_ROW + 1));
        assert!(served > 90, "who asks has most of the turns: {served}");
    }

    #[tokio::test]
    async fn who_asks_comes_first_as_long_as_looks_are_finished_between() {
        let (sender, inbox) = mpsc::unbounded_channel();
        let (mut requests, mut turns) = (Requests::new(inbox), Turns::default());
        for _ in 0..10 * IN_A_ROW {
            sender.send(request()).unwrap();
            assert!(turns.unless_asked(&mut requests, yield_now()).await.is_none());
            requests.take();
            assert!(turns.unless_asked(&mut requests, yield_now()).await.is_some());
        }
    }
}
