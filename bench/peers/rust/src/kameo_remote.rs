//! Kameo between processes: its own behaviour on TCP, Noise and Yamux, default limits (100 streams a connection).
//! Connections are dialled explicitly and kept open; the payload is `serde_bytes`, its cheapest form.

use futures::stream::FuturesUnordered;
use futures::StreamExt;
use kameo::prelude::*;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{noise, tcp, yamux, Multiaddr};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const OUTSTANDING: usize = 90; // above its limit of 100 asks fail

#[derive(Actor, RemoteActor)]
struct Sink(i64);

#[derive(Serialize, Deserialize)]
struct Echo(#[serde(with = "serde_bytes")] Vec<u8>);
#[remote_message("echo")]
impl Message<Echo> for Sink {
    type Reply = Echo;
    async fn handle(&mut self, msg: Echo, _: &mut Context<Self, Self::Reply>) -> Echo {
        msg
    }
}
impl Reply for Echo {
    type Ok = Echo;
    type Error = kameo::error::Infallible;
    type Value = Echo;
    fn to_result(self) -> Result<Echo, kameo::error::Infallible> {
        Ok(self)
    }
    fn into_any_err(self) -> Option<Box<dyn kameo::reply::ReplyError>> {
        None
    }
    fn into_value(self) -> Echo {
        self
    }
}

#[derive(Serialize, Deserialize)]
struct Put(#[serde(with = "serde_bytes")] Vec<u8>);
#[remote_message("put")]
impl Message<Put> for Sink {
    type Reply = ();
    async fn handle(&mut self, msg: Put, _: &mut Context<Self, Self::Reply>) {
        self.0 += i64::from(msg.0[0] == 7);
    }
}

struct Net {
    dial: mpsc::UnboundedSender<Multiaddr>,
    up: mpsc::UnboundedReceiver<()>,
    address: Multiaddr,
}

async fn net() -> Net {
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| {
            remote::Behaviour::new(key.public().to_peer_id(), remote::messaging::Config::default())
        })
        .unwrap()
        .with_swarm_config(|c| c.with_idle_connection_timeout(Duration::from_secs(3600)))
        .build();
    swarm.behaviour().init_global();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let me = *swarm.local_peer_id();
    let (dial, mut wanted) = mpsc::unbounded_channel::<Multiaddr>();
    let (told, up) = mpsc::unbounded_channel();
    let (listening, mut heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                event = swarm.select_next_some() => match event {
                    SwarmEvent::NewListenAddr { address, .. } => {
                        let _ = listening.send(address.with_p2p(me).unwrap());
                    }
                    SwarmEvent::ConnectionEstablished { .. } => {
                        let _ = told.send(());
                    }
                    _ => {}
                },
                // The address for its routing table, which takes no other, and the dial, which it does not make by itself.
                Some(address) = wanted.recv() => if let Some(Protocol::P2p(peer)) = address.iter().last() {
                    swarm.add_peer_address(peer, address.clone());
                    if !swarm.is_connected(&peer) {
                        swarm.dial(address).unwrap();
                    }
                },
            }
        }
    });
    let address = heard.recv().await.unwrap();
    Net { dial, up, address }
}

/// A line on standard input that is an address is dialled; a number n registers the names n0 .. n-1 and is answered.
/// COUNT of them are registered at once.
pub async fn serve(count: u64) -> f64 {
    let mut net = net().await;
    let sink = Sink::spawn(Sink(0));
    register(&sink, count).await;
    println!("{}", net.address);
    let (lines, mut heard) = mpsc::unbounded_channel::<String>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    while let Some(line) = heard.recv().await {
        if let Ok(names) = line.parse() {
            register(&sink, names).await;
            println!("registered");
        } else if let Ok(address) = line.parse() {
            let _ = net.dial.send(address);
            let _ = tokio::time::timeout(Duration::from_secs(1), net.up.recv()).await;
        }
    }
    0.0
}

async fn register(sink: &ActorRef<Sink>, names: u64) {
    for i in 0..names {
        sink.register(format!("n{i}")).await.unwrap();
    }
}

pub struct Far {
    child: Child,
    out: BufReader<ChildStdout>,
    pub address: String,
}
impl Far {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim().to_string()
    }
}
impl Drop for Far {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Starts this program again; its first line is its address, it ends with its standard input.
pub fn far(mode: &str, count: u64) -> Far {
    let me = std::env::current_exe().unwrap();
    let mut command = match std::env::var("PEER_CPU") {
        Ok(cpu) => {
            let mut c = Command::new("taskset");
            c.args(["-c", &cpu]).arg(me);
            c
        }
        Err(_) => Command::new(me),
    };
    let mut child =
        command.args([mode, &count.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut far = Far { child, out, address: String::new() };
    far.address = far.line();
    far
}

async fn found(name: &str) -> RemoteActorRef<Sink> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(Some(actor)) = RemoteActorRef::<Sink>::lookup(name.to_string()).await {
            return actor;
        }
        assert!(Instant::now() < until, "{name} was not found");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn pair() -> (Far, Net, RemoteActorRef<Sink>) {
    let far = far("kameo_serve", 1);
    let mut net = net().await;
    net.dial.send(far.address.parse().unwrap()).unwrap();
    net.up.recv().await.unwrap();
    let actor = found("n0").await;
    (far, net, actor)
}

pub async fn ask64(count: u64) -> f64 {
    let (_far, _net, actor) = pair().await;
    let mut times = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        actor.ask(&Echo(vec![7; 64])).await.unwrap();
        times.push(begun.elapsed().as_nanos() as f64 / 1000.0);
    }
    median(times)
}

pub async fn in_flight(count: u64) -> f64 {
    let (_far, _net, actor) = pair().await;
    let message = Echo(vec![7; 64]);
    let mut open = FuturesUnordered::new();
    let begun = Instant::now();
    let mut done = 0u64;
    for _ in 0..count {
        if open.len() == OUTSTANDING {
            done += open.next().await.map_or(0, |ok: bool| u64::from(ok));
        }
        open.push(async { actor.ask(&message).await.is_ok() });
    }
    while let Some(ok) = open.next().await {
        done += u64::from(ok);
    }
    assert_eq!(done, count, "asks failed");
    done as f64 / begun.elapsed().as_secs_f64() / 1000.0
}

/// Acknowledged tells: its fire-and-forget loses what is above the stream limit without a word.
pub async fn tells(count: u64, bytes: usize) -> f64 {
    let (_far, _net, actor) = pair().await;
    let message = Put(vec![7; bytes]);
    let acked = || async { actor.tell(&message).send_ack().await.is_ok() };
    let mut open = FuturesUnordered::new();
    let begun = Instant::now();
    for _ in 0..count {
        if open.len() == OUTSTANDING {
            assert_eq!(open.next().await, Some(true));
        }
        open.push(acked());
    }
    while let Some(ok) = open.next().await {
        assert!(ok);
    }
    let seconds = begun.elapsed().as_secs_f64();
    if bytes == 64 { count as f64 / seconds / 1e6 } else { count as f64 * bytes as f64 / seconds / 1e6 }
}

pub async fn connect(count: u64) -> f64 {
    let mut times = Vec::new();
    let mut net = net().await;
    for _ in 0..count.min(50) {
        let far = far("kameo_serve", 1);
        let address: Multiaddr = far.address.parse().unwrap();
        let begun = Instant::now();
        net.dial.send(address).unwrap();
        net.up.recv().await.unwrap();
        times.push(begun.elapsed().as_nanos() as f64 / 1000.0);
    }
    median(times)
}

/// Ten nodes: every one knows the first only, and so does the one that looks up; each lookup is of a new name.
pub async fn lookup(count: u64) -> f64 {
    const NODES: u64 = 10;
    let mut first = far("kameo_serve", 0);
    let mut others: Vec<Far> = (2..NODES).map(|_| far("kameo_serve", 0)).collect();
    let mut holder = far("kameo_serve", 0);
    for other in others.iter_mut().chain([&mut holder]) {
        writeln!(other.child.stdin.as_mut().unwrap(), "{}", first.address).unwrap();
        writeln!(first.child.stdin.as_mut().unwrap(), "{}", other.address).unwrap();
    }
    writeln!(holder.child.stdin.as_mut().unwrap(), "{count}").unwrap();
    holder.line();
    let mut net = net().await;
    net.dial.send(first.address.parse().unwrap()).unwrap();
    net.up.recv().await.unwrap();
    let last = count - 1;
    found(&format!("n{last}")).await;
    let mut times = Vec::new();
    for i in 1..last {
        let begun = Instant::now();
        if RemoteActorRef::<Sink>::lookup(format!("n{i}")).await.unwrap().is_some() {
            times.push(begun.elapsed().as_nanos() as f64 / 1e6);
        }
    }
    assert!(times.len() as u64 * 10 >= last * 9, "only {} of {last} names were found", times.len());
    median(times)
}

pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
