//! What is asked of the keeper, and in which order it is done.

use meshtun_config::View;
use meshtun_netlink::Way;
use tokio::sync::mpsc::UnboundedReceiver;

use super::Number;
use crate::surroundings::Surroundings;

/// Asked by the engine, answered by number.
#[derive(Debug)]
pub(super) enum Request {
    Want(Number, Box<(View, Surroundings)>),
    Survey(Number, Box<View>),
    Measure(Number, Way),
}

/// Requests that wait.
#[derive(Debug)]
pub(super) struct Requests {
    inbox: UnboundedReceiver<Request>,
    /// Taken out of the inbox, and not done yet.
    waiting: Vec<Request>,
}

impl Requests {
    pub(super) fn new(inbox: UnboundedReceiver<Request>) -> Requests {
        Requests { inbox, waiting: Vec::new() }
    }

    /// Comes when there is a request, and for ever then; `false` when there will be none any more. Cancel safe.
    pub(super) async fn come(&mut self) -> bool {
        if self.waiting.is_empty()
            && let Some(request) = self.inbox.recv().await
        {
            self.waiting.push(request);
        }
        !self.waiting.is_empty()
    }

    /// All that wait, in their order; of wishes the last alone, in its place, for each is whole.
    pub(super) fn take(&mut self) -> Vec<Request> {
        while let Ok(request) = self.inbox.try_recv() {
            self.waiting.push(request);
        }
        let is_wish = |request: &Request| matches!(request, Request::Want(..));
        let last = self.waiting.iter().rposition(is_wish);
        let all = std::mem::take(&mut self.waiting).into_iter().enumerate();
        all.filter(|(place, request)| !is_wish(request) || Some(*place) == last).map(|(_, request)| request).collect()
    }
}

#[cfg(test)]
mod tests {
    use meshtun_config::Mesh;
    use tokio::sync::mpsc;

    use super::*;
    use crate::fixtures;

    fn numbers(requests: &[Request]) -> Vec<(char, Number)> {
        let number = |request: &Request| match request {
            Request::Want(number, _) => ('w', *number),
            Request::Survey(number, _) => ('s', *number),
            Request::Measure(number, _) => ('m', *number),
        };
        requests.iter().map(number).collect()
    }

    #[tokio::test]
    async fn of_wishes_that_wait_the_last_is_made_and_nothing_else_is_lost_or_turned() {
        let view = || fixtures::view(&Mesh::parse("mesh.toml", &fixtures::mesh("")).unwrap());
        let want = |number| Request::Want(number, Box::new((view(), Surroundings::default())));
        let (sender, inbox) = mpsc::unbounded_channel();
        let mut requests = Requests::new(inbox);
        sender.send(want(1)).unwrap();
        assert!(requests.come().await);
        let way = Way::to("192.0.2.1".parse().unwrap());
        for request in [Request::Measure(2, way), want(3), Request::Survey(4, Box::new(view())), want(5)] {
            sender.send(request).unwrap();
        }
        assert_eq!(numbers(&requests.take()), [('m', 2), ('s', 4), ('w', 5)]);
        sender.send(want(6)).unwrap();
        assert!(requests.come().await && requests.come().await);
        assert_eq!(numbers(&requests.take()), [('w', 6)]);
        drop(sender);
        assert!(!requests.come().await);
    }
}
