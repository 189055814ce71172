//! The shapes of a runtime: how connections reach the cores.

use std::{net::SocketAddr, thread};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Builder,
    sync::mpsc,
};

use crate::bare::Bare;

/// How many cores the shapes with several threads use.
const CORES: usize = 2;
/// Connections that wait to be accepted, or to be taken by the core they were dealt to.
const BACKLOG: u16 = 1024;

/// How connections reach the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// One thread does all.
    Single,
    /// A runtime per core, each with a socket of its own on the same port (`SO_REUSEPORT`).
    OwnSockets,
    /// A runtime per core, all accepting from one socket.
    OneSocket,
    /// A runtime per core; one of them accepts and deals the connections out in turn.
    Dealt,
    /// tokio's multi-threaded runtime, which moves tasks between cores.
    Stealing,
}

/// Serves until the process ends.
pub(crate) fn run(listen: SocketAddr, upstream: SocketAddr, shape: Shape) -> anyhow::Result<()> {
    match shape {
        Shape::Single => {
            on_each_core([()], async |()| accept(own_socket(listen)?, Bare::new(upstream)?).await)
        }
        Shape::OwnSockets => on_each_core([(); CORES], async |()| {
            accept(own_socket(listen)?, Bare::new(upstream)?).await
        }),
        Shape::OneSocket => {
            let socket = std::net::TcpListener::bind(listen)?;
            socket.set_nonblocking(true)?;
            on_each_core([(); CORES], async |()| {
                let socket = TcpListener::from_std(socket.try_clone()?)?;
                accept(socket, Bare::new(upstream)?).await
            })
        }
        Shape::Dealt => {
            let (hands, takers): (Vec<_>, Vec<_>) =
                (0..CORES).map(|_| mpsc::channel(BACKLOG.into())).unzip();
            let mut dealer = Some(hands);
            let cores = takers.into_iter().map(|taker| (taker, dealer.take()));
            on_each_core(cores, async |(taker, dealer)| {
                let take = take(taker, Bare::new(upstream)?);
                match dealer {
                    Some(hands) => {
                        tokio::try_join!(deal(own_socket(listen)?, hands), take).map(|_| ())
                    }
                    None => take.await,
                }
            })
        }
        Shape::Stealing => {
            let runtime = Builder::new_multi_thread().worker_threads(CORES).enable_all().build()?;
            // In a task, since the thread that blocks on a future is not one of the workers.
            let accepting = runtime
                .spawn(async move { accept(own_socket(listen)?, Bare::new(upstream)?).await });
            runtime.block_on(accepting)?
        }
    }
}

/// Runs a future for each start value, each on a thread and current-thread runtime of its own.
fn on_each_core<T: Send>(
    starts: impl IntoIterator<Item = T>,
    core: impl AsyncFn(T) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let core = &core;
    thread::scope(|scope| {
        let threads: Vec<_> = starts
            .into_iter()
            .map(|start| {
                scope.spawn(move || {
                    Builder::new_current_thread().enable_all().build()?.block_on(core(start))
                })
            })
            .collect();
        for thread in threads {
            thread.join().ok().context("a core panicked")??;
        }
        bail!("every core has ended")
    })
}

fn own_socket(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(listen)?;
    Ok(socket.listen(BACKLOG.into())?)
}

async fn accept(socket: TcpListener, bare: Bare) -> anyhow::Result<()> {
    loop {
        bare.serve(socket.accept().await?.0)?;
    }
}

async fn deal(
    socket: TcpListener,
    hands: Vec<mpsc::Sender<std::net::TcpStream>>,
) -> anyhow::Result<()> {
    for hand in hands.iter().cycle() {
        // A registration belongs to one runtime: the other makes its own.
        hand.send(socket.accept().await?.0.into_std()?).await?;
    }
    Ok(())
}

async fn take(mut taker: mpsc::Receiver<std::net::TcpStream>, bare: Bare) -> anyhow::Result<()> {
    while let Some(stream) = taker.recv().await {
        bare.serve(TcpStream::from_std(stream)?)?;
    }
    Ok(())
}
