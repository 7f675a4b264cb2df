//! The kernel's word of the underlay's devices and addresses, brought to the engine.

use std::time::Duration;

use meshtun_netlink::{NetworkError, Underlay, UnderlayNews};
use tokio::{sync::mpsc, time::sleep};

use crate::{Error, beside::Beside};

/// A thread that watches; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Watch {
    _thread: Beside,
    news: mpsc::Receiver<UnderlayNews>,
}

impl Watch {
    /// Begins to watch. While that cannot be, the engine finds out for itself what it needs, a little later.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn start() -> Result<Watch, Error> {
        let (told, news) = mpsc::channel(WAITING);
        let thread = Beside::start("underlay", move |stop| {
            // Here, so that nothing is missed that happens from now on.
            let underlay = Underlay::new();
            Ok::<_, Error>(async move {
                tokio::select! {
                    _dropped = stop => {}
                    () = tell(underlay, told) => {}
                }
            })
        })?;
        Ok(Watch { _thread: thread, news })
    }

    /// Waits for the next news, for ever if there will be none. Cancel safe.
    pub(crate) async fn next(&mut self) -> UnderlayNews {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}

async fn tell(mut underlay: Result<Underlay, NetworkError>, told: mpsc::Sender<UnderlayNews>) {
    // Some were left out, for there was no room.
    let mut missed = false;
    loop {
        match &mut underlay {
            Ok(watch) => tokio::select! {
                news = watch.next() => match news {
                    Some(news) => missed |= told.try_send(news).is_err(),
                    None => underlay = again().await,
                },
                Ok(room) = told.reserve(), if missed => {
                    room.send(UnderlayNews::Unknown);
                    missed = false;
                }
            },
            Err(error) => {
                tracing::warn!("no word of the underlay's devices and addresses: {error}; trying again");
                underlay = again().await;
            }
        }
    }
}

async fn again() -> Result<Underlay, NetworkError> {
    sleep(LOST).await;
    Underlay::new()
}

const LOST: Duration = Duration::from_secs(5);

/// News that may wait for the engine. Of more it is told only that there were more.
const WAITING: usize = 64;
