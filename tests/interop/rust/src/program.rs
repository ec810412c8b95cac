//! Commands in, swarm events in, answers out: what each command still waits for.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use libp2p::kad::{self, QueryId};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{identify, Multiaddr, PeerId, Swarm};
use serde_json::{json, Map, Value};

use crate::echo::{Job, Work};
use crate::names::Provider;
use crate::{print, Peer, PeerEvent, REGISTRY_PROTOCOL};

const COMMAND_TIMEOUT: Duration = Duration::from_secs(15);

/// What a command waits for. Queries that belong to it are in `Program::queries`.
pub enum Wait {
    Dial(ConnectionId),
    Connected(PeerId),
    Identify(PeerId),
    Ping(PeerId),
    Echo {
        key: &'static str,
    },
    Disconnect(PeerId),
    Provide {
        open: usize,
        acks: u32,
    },
    Lookup {
        name: String,
        open: usize,
        found: Vec<Provider>,
    },
}

pub struct Pending {
    id: Value,
    deadline: Instant,
    pub wait: Wait,
}

pub struct Program {
    pub swarm: Swarm<Peer>,
    identified: HashMap<PeerId, identify::Info>,
    pub pending: HashMap<u64, Pending>,
    pub queries: HashMap<QueryId, u64>,
    next: u64,
}

fn succeed(id: &Value, mut reply: Value) {
    reply["id"] = id.clone();
    reply["ok"] = Value::Bool(true);
    print(reply);
}

fn fail(id: &Value, error: impl Display) {
    print(json!({"id": id, "ok": false, "error": error.to_string()}));
}

fn nothing() -> Value {
    Value::Object(Map::new())
}

pub fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(T::to_string).collect()
}

pub fn text<'a>(command: &'a Value, field: &str) -> Result<&'a str, String> {
    command[field].as_str().ok_or(format!("{field} is missing"))
}

fn number(command: &Value, field: &str) -> Result<usize, String> {
    match command[field].as_u64() {
        Some(n) if n > 0 => Ok(n as usize),
        _ => Err(format!("{field} must be at least 1")),
    }
}

fn identify_reply(info: &identify::Info) -> Value {
    json!({
        "agent": info.agent_version,
        "protocol_version": info.protocol_version,
        "protocols": texts(&info.protocols),
        "listen_addrs": texts(&info.listen_addrs),
        "observed": info.observed_addr.to_string(),
    })
}

// Commands.
impl Program {
    pub fn new(swarm: Swarm<Peer>) -> Self {
        Program {
            swarm,
            identified: HashMap::new(),
            pending: HashMap::new(),
            queries: HashMap::new(),
            next: 0,
        }
    }

    pub fn on_command(&mut self, command: Value) {
        self.next += 1;
        let key = self.next;
        let id = command["id"].clone();
        match self.start(key, &command) {
            Ok(wait) => {
                let deadline = Instant::now() + COMMAND_TIMEOUT;
                self.pending.insert(key, Pending { id, deadline, wait });
                self.after_start(key);
            }
            Err(e) => fail(&id, e),
        }
    }

    fn start(&mut self, key: u64, command: &Value) -> Result<Wait, String> {
        match text(command, "cmd")? {
            "dial" => self.dial(text(command, "address")?),
            "provide" => self.provide(key, command),
            "lookup" => self.lookup(key, text(command, "name")?),
            _ => self.peer_command(key, command),
        }
    }

    fn dial(&mut self, address: &str) -> Result<Wait, String> {
        let address: Multiaddr = address.parse().map_err(|e| format!("{e}"))?;
        let Some(Protocol::P2p(peer)) = address.iter().last() else {
            return Err("the address names no peer".to_string());
        };
        if self.swarm.is_connected(&peer) {
            return Ok(Wait::Connected(peer));
        }
        let options = DialOpts::peer_id(peer).addresses(vec![address]).build();
        let connection = options.connection_id();
        self.swarm.dial(options).map_err(|e| e.to_string())?;
        Ok(Wait::Dial(connection))
    }

    /// The commands that name a connected peer.
    fn peer_command(&mut self, key: u64, command: &Value) -> Result<Wait, String> {
        let peer: PeerId = text(command, "peer")?.parse().map_err(|e| format!("{e}"))?;
        if !self.swarm.is_connected(&peer) {
            return Err(format!("not connected to {peer}"));
        }
        match text(command, "cmd")? {
            "identify" => Ok(Wait::Identify(peer)),
            "ping" => Ok(Wait::Ping(peer)),
            "echo" => {
                let streams = number(command, "streams")?;
                let work = Work::Echo {
                    bytes: number(command, "bytes")?,
                };
                self.swarm.behaviour_mut().echo.start(
                    peer,
                    Job {
                        id: key,
                        streams,
                        work,
                    },
                );
                Ok(Wait::Echo { key: "done" })
            }
            "reset" => {
                let job = Job {
                    id: key,
                    streams: 1,
                    work: Work::Reset,
                };
                self.swarm.behaviour_mut().echo.start(peer, job);
                Ok(Wait::Echo { key: "reset" })
            }
            "disconnect" => {
                let _ = self.swarm.disconnect_peer_id(peer);
                Ok(Wait::Disconnect(peer))
            }
            other => Err(format!("unknown command {other:?}")),
        }
    }

    /// Answers at once what is known already.
    fn after_start(&mut self, key: u64) {
        let reply = match &self.pending[&key].wait {
            Wait::Connected(peer) => Some(json!({"peer": peer.to_string()})),
            Wait::Identify(peer) => self.identified.get(peer).map(identify_reply),
            _ => None,
        };
        if let Some(reply) = reply {
            self.finish(key, Ok(reply));
        }
    }

    pub fn finish(&mut self, key: u64, result: Result<Value, String>) {
        let Some(pending) = self.pending.remove(&key) else {
            return;
        };
        match result {
            Ok(reply) => succeed(&pending.id, reply),
            Err(e) => fail(&pending.id, e),
        }
    }

    /// Finishes every command whose wait is over.
    fn finish_where(&mut self, result: Result<Value, String>, over: impl Fn(&Wait) -> bool) {
        let keys = self
            .pending
            .iter()
            .filter(|(_, p)| over(&p.wait))
            .map(|(k, _)| *k);
        for key in keys.collect::<Vec<_>>() {
            self.finish(key, result.clone());
        }
    }

    pub fn sweep(&mut self) {
        let now = Instant::now();
        let late = self
            .pending
            .iter()
            .filter(|(_, p)| p.deadline <= now)
            .map(|(k, _)| *k);
        for key in late.collect::<Vec<_>>() {
            self.finish(key, Err("timed out".to_string()));
        }
    }
}

// Events.
impl Program {
    pub fn on_event(&mut self, event: SwarmEvent<PeerEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                num_established,
                connection_id,
                ..
            } => {
                if num_established.get() == 1 {
                    print(json!({"event": "connected", "peer": peer_id.to_string()}));
                }
                self.finish_where(
                    Ok(json!({"peer": peer_id.to_string()})),
                    |w| matches!(w, Wait::Dial(c) if *c == connection_id),
                );
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => self.finish_where(
                Err(error.to_string()),
                |w| matches!(w, Wait::Dial(c) if *c == connection_id),
            ),
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                ..
            } => self.on_disconnected(peer_id),
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            _ => {}
        }
    }

    fn on_listening(&mut self, address: Multiaddr) {
        // Provider records carry external addresses only, and go takes none without an address.
        self.swarm.add_external_address(address.clone());
        let peer = self.swarm.local_peer_id().to_string();
        let full = format!("{address}/p2p/{peer}");
        print(json!({"event": "listening", "peer": peer, "address": full}));
    }

    fn on_disconnected(&mut self, gone: PeerId) {
        self.identified.remove(&gone);
        print(json!({"event": "disconnected", "peer": gone.to_string()}));
        self.finish_where(
            Ok(nothing()),
            |w| matches!(w, Wait::Disconnect(p) if *p == gone),
        );
        self.finish_where(Err("the connection was lost".to_string()), |w| match w {
            Wait::Identify(p) | Wait::Ping(p) => *p == gone,
            _ => false,
        });
    }

    fn on_behaviour(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, info)
            }
            PeerEvent::Ping(event) => {
                let result = match event.result {
                    Ok(rtt) => Ok(json!({"rtt_us": rtt.as_micros() as u64})),
                    Err(e) => Err(e.to_string()),
                };
                self.finish_where(result, |w| matches!(w, Wait::Ping(p) if *p == event.peer));
            }
            PeerEvent::Echo(done) => {
                let Some(Pending {
                    wait: Wait::Echo { key },
                    ..
                }) = self.pending.get(&done.id)
                else {
                    return;
                };
                let mut reply = nothing();
                reply[*key] = json!(done.result.as_ref().unwrap_or(&0));
                self.finish(done.id, done.result.map(|_| reply));
            }
            PeerEvent::Kad(kad::Event::OutboundQueryProgressed {
                id,
                result,
                stats,
                step,
                ..
            }) => self.on_query(id, result, stats.num_successes(), step.last),
            _ => {}
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        if info.protocols.contains(&REGISTRY_PROTOCOL) {
            for address in &info.listen_addrs {
                self.swarm
                    .behaviour_mut()
                    .kad
                    .add_address(&peer, address.clone());
            }
        }
        let reply = identify_reply(&info);
        self.identified.insert(peer, info);
        self.finish_where(Ok(reply), |w| matches!(w, Wait::Identify(p) if *p == peer));
    }
}
