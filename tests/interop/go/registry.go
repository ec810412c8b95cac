// Names in the DHT as the registry keeps them: provider records under the plain name, and a value
// record `<name>:meta:<peer id>` with the registration. The server side is go-libp2p-kad-dht's. Its
// provider calls take CIDs only, so those requests are sent as single messages, a stream for each;
// values also go through its own calls, which send several requests on one stream.
package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio/pbio"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

const (
	registryProtocol = "/kameo/registry/1.0.0"
	messageBytesMax  = 1 << 20
	walkPeersMax     = 20
)

// registration is: length of the peer id, u64 little-endian sequence number, peer id, type id.
func registration(id peer.ID, seq uint64, typeID string) []byte {
	value := []byte{byte(len(id))}
	value = binary.LittleEndian.AppendUint64(value, seq)
	value = append(value, id...)
	return append(value, typeID...)
}

func metaKey(name string, id peer.ID) string {
	return name + ":meta:" + id.String()
}

// metaValidator admits what a registry node admits.
type metaValidator struct{}

func (metaValidator) Validate(key string, value []byte) error {
	name, idText, found := strings.Cut(key, ":meta:")
	if !utf8.ValidString(key) || !found || name == "" {
		return errors.New("not a registry key")
	}
	id, err := peer.Decode(idText)
	if err != nil {
		return err
	}
	if len(value) < 9 || int(value[0]) != len(id) || len(value) < 9+len(id) {
		return errors.New("registration too short")
	}
	if peer.ID(value[9:9+len(id)]) != id {
		return errors.New("registration of another peer")
	}
	return nil
}

func (metaValidator) Select(string, [][]byte) (int, error) { return 0, nil }

var _ record.Validator = metaValidator{}

// oneShot sends each message on a stream of its own and half-closes after it.
type oneShot struct{ host host.Host }

func (o oneShot) send(ctx context.Context, id peer.ID, m *pb.Message) (network.Stream, error) {
	s, err := o.host.NewStream(ctx, id, registryProtocol)
	if err != nil {
		return nil, err
	}
	err = pbio.NewDelimitedWriter(s).WriteMsg(m)
	if err == nil {
		err = s.CloseWrite()
	}
	if err != nil {
		s.Reset()
		return nil, err
	}
	return s, nil
}

func (o oneShot) SendRequest(ctx context.Context, id peer.ID, m *pb.Message) (*pb.Message, error) {
	s, err := o.send(ctx, id, m)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	reply := new(pb.Message)
	return reply, pbio.NewDelimitedReader(s, messageBytesMax).ReadMsg(reply)
}

func (o oneShot) SendMessage(ctx context.Context, id peer.ID, m *pb.Message) error {
	s, err := o.send(ctx, id, m)
	if err != nil {
		return err
	}
	return s.Close()
}

type registry struct {
	host host.Host
	dht  *dht.IpfsDHT
	raw  *pb.ProtocolMessenger
}

func newRegistry(h host.Host) (*registry, error) {
	all := func(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr { return addrs }
	server, err := dht.New(h,
		dht.ProtocolPrefix("/kameo"),
		dht.V1ProtocolOverride(protocol.ID(registryProtocol)),
		dht.Mode(dht.ModeServer),
		dht.Validator(metaValidator{}),
		dht.AddressFilter(all),
		dht.DisableAutoRefresh(),
	)
	if err != nil {
		return nil, err
	}
	raw, err := pb.NewProtocolMessenger(oneShot{h})
	if err != nil {
		return nil, err
	}
	return &registry{host: h, dht: server, raw: raw}, nil
}

// servers are the connected peers that serve the registry's protocol.
func (r *registry) servers() []peer.ID {
	ids := []peer.ID{}
	for _, id := range r.host.Network().Peers() {
		known, err := r.host.Peerstore().SupportsProtocols(id, registryProtocol)
		if err == nil && len(known) > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// walk asks the connected peers, then those they name, until it has had walkPeersMax answers.
func (r *registry) walk(ctx context.Context, ask func(peer.ID) ([]*peer.AddrInfo, error)) []peer.ID {
	queue := r.servers()
	seen := map[peer.ID]bool{r.host.ID(): true}
	answered := []peer.ID{}
	for len(queue) > 0 && len(answered) < walkPeersMax && ctx.Err() == nil {
		id := queue[0]
		queue = queue[1:]
		if seen[id] {
			continue
		}
		seen[id] = true
		closer, err := ask(id)
		if err != nil {
			continue
		}
		answered = append(answered, id)
		for _, info := range closer {
			if !seen[info.ID] && r.host.Connect(ctx, *info) == nil {
				queue = append(queue, info.ID)
			}
		}
	}
	return answered
}

func (r *registry) provide(ctx context.Context, name string, seq uint64, typeID string) (fields, error) {
	self := peer.AddrInfo{ID: r.host.ID(), Addrs: r.host.Addrs()}
	if err := r.dht.ProviderStore().AddProvider(ctx, []byte(name), self); err != nil {
		return nil, err
	}
	key, value := metaKey(name, self.ID), registration(self.ID, seq, typeID)
	// Without a peer in its table this call stores locally and fails; connected peers come below.
	putErr := r.dht.PutValue(ctx, key, value)

	closest := r.walk(ctx, func(id peer.ID) ([]*peer.AddrInfo, error) {
		return r.raw.GetClosestPeers(ctx, id, peer.ID(name))
	})
	acks := 0
	for _, id := range closest {
		if err := r.raw.PutProviderAddrs(ctx, id, multihash.Multihash(name), self); err != nil {
			return nil, fmt.Errorf("ADD_PROVIDER to %s: %w", id, err)
		}
		if err := r.raw.PutValue(ctx, id, record.MakePutRecord(key, value)); err != nil {
			return nil, fmt.Errorf("PUT_VALUE to %s: %w", id, err)
		}
		acks++
	}
	return fields{"acks": acks, "dht_put": errorText(putErr)}, nil
}

func errorText(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

// meta asks the peers one by one, then the DHT's own call.
func (r *registry) meta(ctx context.Context, key string, peers []peer.ID) any {
	for _, id := range peers {
		rec, _, err := r.raw.GetValue(ctx, id, key)
		if err == nil && rec != nil && (metaValidator{}).Validate(key, rec.GetValue()) == nil {
			return hex.EncodeToString(rec.GetValue())
		}
	}
	value, err := r.dht.GetValue(ctx, key)
	if err != nil {
		return nil
	}
	return hex.EncodeToString(value)
}

func (r *registry) lookup(ctx context.Context, name string) (fields, error) {
	found := map[peer.ID]map[string]bool{}
	order := []peer.ID{}
	add := func(id peer.ID, addrs []multiaddr.Multiaddr) {
		if found[id] == nil {
			found[id] = map[string]bool{}
			order = append(order, id)
		}
		for _, a := range addrs {
			found[id][a.String()] = true
		}
	}
	own, err := r.dht.ProviderStore().GetProviders(ctx, []byte(name))
	if err != nil {
		return nil, err
	}
	for _, info := range own {
		add(info.ID, info.Addrs)
	}
	answered := r.walk(ctx, func(id peer.ID) ([]*peer.AddrInfo, error) {
		providers, closer, err := r.raw.GetProviders(ctx, id, multihash.Multihash(name))
		for _, info := range providers {
			add(info.ID, info.Addrs)
		}
		return closer, err
	})
	providers := []fields{}
	for _, id := range order {
		addrs := []string{}
		for a := range found[id] {
			addrs = append(addrs, a)
		}
		meta := r.meta(ctx, metaKey(name, id), answered)
		providers = append(providers, fields{"peer": id.String(), "addrs": addrs, "meta_hex": meta})
	}
	return fields{"providers": providers, "asked": len(answered)}, nil
}
