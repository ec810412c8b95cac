//! The echo protocol of the interop tests, both ends, as a libp2p behaviour: what comes in goes
//! back, to the end of the stream. A job opens all its streams before it writes on any, so that
//! they are open at once.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::task::{Context, Poll};

use futures::future::{self, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt};
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::core::Endpoint;
use libp2p::swarm::handler::FullyNegotiatedOutbound;
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, Stream, StreamProtocol, SubstreamProtocol, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/shoal-test/echo/1.0.0");
const RESET_BYTES: usize = 1024;

#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Send so many bytes on each stream and compare what comes back.
    Echo { bytes: usize },
    /// Use the stream, then drop it without closing, which resets it.
    Reset,
}

#[derive(Debug)]
pub struct Job {
    pub id: u64,
    pub streams: usize,
    pub work: Work,
}

#[derive(Debug)]
pub struct Done {
    pub id: u64,
    pub result: Result<usize, String>,
}

/// xorshift, seeded by the stream's place: enough that no two streams carry the same bytes.
fn pseudo_random(seed: u64, bytes: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    (0..bytes).map(next).collect()
}

async fn serve(mut stream: Stream) -> io::Result<()> {
    let mut buffer = vec![0; 65536];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.close().await;
        }
        stream.write_all(&buffer[..n]).await?;
        stream.flush().await?;
    }
}

async fn exchange(stream: Stream, seed: u64, bytes: usize) -> io::Result<()> {
    let data = pseudo_random(seed, bytes);
    let mut got = Vec::with_capacity(bytes);
    let (reader, mut writer) = stream.split();
    let mut limited = reader.take(bytes as u64 + 1);
    let write = async {
        writer.write_all(&data).await?;
        writer.close().await
    };
    future::try_join(write, limited.read_to_end(&mut got)).await?;
    if got == data {
        return Ok(());
    }
    let text = format!("echo differs: sent {} bytes, got {}", bytes, got.len());
    Err(io::Error::other(text))
}

async fn use_and_reset(mut stream: Stream) -> io::Result<()> {
    let mut data = pseudo_random(1, RESET_BYTES);
    stream.write_all(&data).await?;
    stream.flush().await?;
    stream.read_exact(&mut data).await
}

async fn run(job: Job, streams: Vec<Stream>) -> Option<Done> {
    let each = streams
        .into_iter()
        .enumerate()
        .map(|(i, s)| match job.work {
            Work::Echo { bytes } => exchange(s, i as u64 + 1, bytes).boxed(),
            Work::Reset => use_and_reset(s).boxed(),
        });
    let results = future::join_all(each).await;
    let done = results.iter().filter(|r| r.is_ok()).count();
    let result = match results.into_iter().find_map(|r| r.err()) {
        None => Ok(done),
        Some(e) => Err(format!("{done} of {} streams done: {e}", job.streams)),
    };
    Some(Done { id: job.id, result })
}

/// One connection's end of the protocol.
#[derive(Default)]
pub struct Handler {
    to_open: VecDeque<u64>,
    opening: HashMap<u64, (Job, Vec<Stream>)>,
    failed: VecDeque<Done>,
    running: FuturesUnordered<BoxFuture<'static, Option<Done>>>,
}

impl Handler {
    fn opened(&mut self, id: u64, stream: Stream) {
        let Some((job, streams)) = self.opening.get_mut(&id) else {
            return; // another stream of the job has failed
        };
        streams.push(stream);
        if streams.len() == job.streams {
            let (job, streams) = self.opening.remove(&id).expect("found above");
            self.running.push(run(job, streams).boxed());
        }
    }

    fn not_opened(&mut self, id: u64, error: String) {
        if let Some((job, streams)) = self.opening.remove(&id) {
            let text = format!(
                "{} of {} streams opened: {error}",
                streams.len(),
                job.streams
            );
            self.failed.push_back(Done {
                id,
                result: Err(text),
            });
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Job;
    type ToBehaviour = Done;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = u64;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, u64, Done>> {
        if let Some(done) = self.failed.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(done));
        }
        if let Some(id) = self.to_open.pop_front() {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), id);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        while let Poll::Ready(Some(ended)) = self.running.poll_next_unpin(cx) {
            if let Some(done) = ended {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(done));
            }
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, job: Job) {
        self.to_open
            .extend(std::iter::repeat_n(job.id, job.streams));
        self.opening.insert(job.id, (job, Vec::new()));
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol, (), u64>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => self.running.push(serve(stream).map(|_| None).boxed()),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: id,
            }) => self.opened(id, stream),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: id, error }) => {
                self.not_opened(id, error.to_string())
            }
            _ => {}
        }
    }
}

/// Passes jobs to connections and tells how they ended.
#[derive(Default)]
pub struct Behaviour {
    queue: VecDeque<ToSwarm<Done, Job>>,
}

impl Behaviour {
    pub fn start(&mut self, peer_id: PeerId, job: Job) {
        self.queue.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::Any,
            event: job,
        });
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Done;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, _: FromSwarm) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        done: THandlerOutEvent<Self>,
    ) {
        self.queue.push_back(ToSwarm::GenerateEvent(done));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Done, THandlerInEvent<Self>>> {
        self.queue.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}
