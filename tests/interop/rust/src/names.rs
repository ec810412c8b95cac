//! Names in the DHT as the registry keeps them: provider records under the plain name, and a value
//! record `<name>:meta:<peer id>` with the registration.

use libp2p::core::Endpoint;
use libp2p::kad::{self, QueryId, QueryResult, Quorum, Record, RecordKey};
use libp2p::swarm::{ConnectionId, NetworkBehaviour};
use libp2p::{Multiaddr, PeerId};
use serde_json::{json, Value};

use crate::program::{text, texts, Pending, Program, Wait};

pub struct Provider {
    peer: PeerId,
    addrs: Vec<Multiaddr>,
    meta: Option<Vec<u8>>,
}

fn meta_key(name: &str, peer: &PeerId) -> RecordKey {
    RecordKey::new(&format!("{name}:meta:{peer}"))
}

/// Length of the peer id, u64 little-endian sequence number, peer id, type id.
fn registration(peer: &PeerId, seq: u64, type_id: &str) -> Vec<u8> {
    let id = peer.to_bytes();
    let mut value = vec![id.len() as u8];
    value.extend(seq.to_le_bytes());
    value.extend(id);
    value.extend(type_id.as_bytes());
    value
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn lookup_reply(found: &[Provider]) -> Value {
    let entry = |p: &Provider| {
        json!({
            "peer": p.peer.to_string(),
            "addrs": texts(&p.addrs),
            "meta_hex": p.meta.as_deref().map(hex),
        })
    };
    json!({"providers": found.iter().map(entry).collect::<Vec<_>>()})
}

impl Program {
    pub fn provide(&mut self, key: u64, command: &Value) -> Result<Wait, String> {
        let name = text(command, "name")?;
        let seq = command["seq"].as_u64().unwrap_or(1);
        let type_id = command["type"].as_str().unwrap_or("shoal::Interop");
        let own = *self.swarm.local_peer_id();
        let value = registration(&own, seq, type_id);
        let record = Record::new(meta_key(name, &own), value);
        let kad = &mut self.swarm.behaviour_mut().kad;
        let provider = kad
            .start_providing(RecordKey::new(&name))
            .map_err(|e| e.to_string())?;
        let put = kad
            .put_record(record, Quorum::One)
            .map_err(|e| e.to_string())?;
        self.queries.insert(provider, key);
        self.queries.insert(put, key);
        Ok(Wait::Provide { open: 2, acks: 0 })
    }

    pub fn lookup(&mut self, key: u64, name: &str) -> Result<Wait, String> {
        let query = self
            .swarm
            .behaviour_mut()
            .kad
            .get_providers(RecordKey::new(&name));
        self.queries.insert(query, key);
        Ok(Wait::Lookup {
            name: name.to_string(),
            open: 1,
            found: Vec::new(),
        })
    }

    pub fn on_query(&mut self, query: QueryId, result: QueryResult, successes: u32, last: bool) {
        let Some(&key) = self.queries.get(&query) else {
            return;
        };
        if last {
            self.queries.remove(&query);
        }
        match result {
            QueryResult::PutRecord(Ok(_)) => self.provide_part(key, successes),
            QueryResult::PutRecord(Err(kad::PutRecordError::QuorumFailed { success, .. })) => {
                self.provide_part(key, success.len() as u32)
            }
            QueryResult::PutRecord(Err(e)) => self.finish(key, Err(e.to_string())),
            QueryResult::StartProviding(Ok(_)) => self.provide_part(key, 0),
            QueryResult::StartProviding(Err(e)) => self.finish(key, Err(e.to_string())),
            QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
                providers,
                ..
            })) => providers
                .into_iter()
                .for_each(|p| self.provider_found(key, p)),
            QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
                self.meta_found(key, found.record)
            }
            _ => {}
        }
        if last {
            self.lookup_part(key);
        }
    }

    fn provide_part(&mut self, key: u64, successes: u32) {
        let Some(Pending {
            wait: Wait::Provide { open, acks },
            ..
        }) = self.pending.get_mut(&key)
        else {
            return;
        };
        *acks += successes;
        *open -= 1;
        if *open == 0 {
            let reply = json!({"acks": *acks});
            self.finish(key, Ok(reply));
        }
    }

    /// The addresses a running query or the routing table has: what a dial would be given.
    fn known_addresses(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        self.swarm
            .behaviour_mut()
            .kad
            .handle_pending_outbound_connection(
                ConnectionId::new_unchecked(0),
                Some(peer),
                &[],
                Endpoint::Dialer,
            )
            .unwrap_or_default()
    }

    fn provider_found(&mut self, key: u64, peer: PeerId) {
        let addrs = self.known_addresses(peer);
        let Some(Pending {
            wait: Wait::Lookup { name, open, found },
            ..
        }) = self.pending.get_mut(&key)
        else {
            return;
        };
        if found.iter().any(|p| p.peer == peer) {
            return;
        }
        found.push(Provider {
            peer,
            addrs,
            meta: None,
        });
        *open += 1;
        let record = meta_key(name, &peer);
        let query = self.swarm.behaviour_mut().kad.get_record(record);
        self.queries.insert(query, key);
    }

    fn meta_found(&mut self, key: u64, record: Record) {
        let Some(Pending {
            wait: Wait::Lookup { name, found, .. },
            ..
        }) = self.pending.get_mut(&key)
        else {
            return;
        };
        let of = |p: &&mut Provider| meta_key(name, &p.peer) == record.key;
        if let Some(provider) = found.iter_mut().find(of) {
            provider.meta = Some(record.value);
        }
    }

    fn lookup_part(&mut self, key: u64) {
        let Some(Pending {
            wait: Wait::Lookup { open, found, .. },
            ..
        }) = self.pending.get_mut(&key)
        else {
            return;
        };
        *open -= 1;
        if *open == 0 {
            let reply = lookup_reply(found);
            self.finish(key, Ok(reply));
        }
    }
}
