//! The rust-libp2p peer of the interop tests: TCP, Noise, Yamux, identify, ping, an echo protocol
//! and a Kademlia server on the registry's protocol. It takes commands as JSON lines on stdin and
//! answers on stdout; ../README.md is the contract.

mod echo;
mod names;
mod program;

use std::io::Write;
use std::time::Duration;

use futures::StreamExt;
use libp2p::kad::{self, store::MemoryStore};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{identify, identity, noise, ping, tcp, yamux, StreamProtocol, Swarm, SwarmBuilder};
use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, BufReader};

const REGISTRY_PROTOCOL: StreamProtocol = StreamProtocol::new("/kameo/registry/1.0.0");
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
const NEGOTIATING_INBOUND_MAX: usize = 1024;
/// Short, as a ping cannot be asked for: the command waits for the next one.
const PING_INTERVAL: Duration = Duration::from_millis(300);
const SWEEP_INTERVAL: Duration = Duration::from_millis(200);

#[derive(NetworkBehaviour)]
pub struct Peer {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    echo: echo::Behaviour,
}

fn behaviour(key: &identity::Keypair) -> Peer {
    let id = key.public().to_peer_id();
    let agent = "shoal-interop-rust/0.56.0".to_string();
    let mut kad = kad::Behaviour::with_config(
        id,
        MemoryStore::new(id),
        kad::Config::new(REGISTRY_PROTOCOL),
    );
    kad.set_mode(Some(kad::Mode::Server));
    Peer {
        identify: identify::Behaviour::new(
            identify::Config::new("shoal-test/1".to_string(), key.public())
                .with_agent_version(agent),
        ),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
        kad,
        echo: echo::Behaviour::default(),
    }
}

fn swarm() -> Result<Swarm<Peer>, Box<dyn std::error::Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(behaviour)?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_max_negotiating_inbound_streams(NEGOTIATING_INBOUND_MAX)
        })
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    Ok(swarm)
}

pub fn print(line: Value) {
    let mut out = std::io::stdout().lock();
    // Whoever reads may be gone; then stdin ends too and so do we.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut program = program::Program::new(swarm()?);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            event = program.swarm.select_next_some() => program.on_event(event),
            _ = sweep.tick() => program.sweep(),
            line = lines.next_line() => {
                let Some(text) = line? else { break };
                match serde_json::from_str::<Value>(&text) {
                    Ok(command) if command["cmd"] == "quit" => {
                        print(json!({"id": command["id"], "ok": true}));
                        break;
                    }
                    Ok(command) => program.on_command(command),
                    Err(e) => print(json!({"id": null, "ok": false, "error": e.to_string()})),
                }
            }
        }
    }
    // The thread that reads stdin cannot be stopped, so do not wait for it.
    std::process::exit(0);
}
