// The go-libp2p peer of the interop tests: TCP, Noise, Yamux, identify, ping, an echo protocol and
// a Kademlia server on the registry's protocol. It takes commands as JSON lines on stdin and
// answers on stdout; ../README.md is the contract.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
)

const commandTimeout = 15 * time.Second

type command struct {
	ID      any    `json:"id"`
	Cmd     string `json:"cmd"`
	Address string `json:"address"`
	Peer    string `json:"peer"`
	Name    string `json:"name"`
	Streams int    `json:"streams"`
	Bytes   int    `json:"bytes"`
	Seq     uint64 `json:"seq"`
	Type    string `json:"type"`
}

type fields map[string]any

type program struct {
	host host.Host
	kad  *registry

	outMutex sync.Mutex

	idMutex    sync.Mutex
	identified map[peer.ID]event.EvtPeerIdentificationCompleted
}

func (p *program) print(line fields) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	p.outMutex.Lock()
	defer p.outMutex.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func newHost() (host.Host, error) {
	return libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.UserAgent("shoal-interop-go/0.48.0"),
		libp2p.ProtocolVersion("shoal-test/1"),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	)
}

// watchIdentify keeps the newest identify answer of each peer.
func (p *program) watchIdentify() error {
	sub, err := p.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	go func() {
		for e := range sub.Out() {
			done := e.(event.EvtPeerIdentificationCompleted)
			p.idMutex.Lock()
			if done.ObservedAddr == nil { // a push need not repeat it
				done.ObservedAddr = p.identified[done.Peer].ObservedAddr
			}
			p.identified[done.Peer] = done
			p.idMutex.Unlock()
		}
	}()
	return nil
}

// watchConnections tells of a peer's first connection and the end of its last.
func (p *program) watchConnections() {
	var mutex sync.Mutex
	open := map[peer.ID]int{}
	p.host.Network().Notify(&network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			mutex.Lock()
			defer mutex.Unlock()
			open[c.RemotePeer()]++
			if open[c.RemotePeer()] == 1 {
				p.print(fields{"event": "connected", "peer": c.RemotePeer().String()})
			}
		},
		DisconnectedF: func(_ network.Network, c network.Conn) {
			mutex.Lock()
			defer mutex.Unlock()
			open[c.RemotePeer()]--
			if open[c.RemotePeer()] > 0 {
				return
			}
			delete(open, c.RemotePeer())
			p.idMutex.Lock()
			delete(p.identified, c.RemotePeer())
			p.idMutex.Unlock()
			p.print(fields{"event": "disconnected", "peer": c.RemotePeer().String()})
		},
	})
}

func (p *program) dial(ctx context.Context, address string) (fields, error) {
	info, err := peer.AddrInfoFromString(address)
	if err != nil {
		return nil, err
	}
	if err := p.host.Connect(ctx, *info); err != nil {
		return nil, err
	}
	return fields{"peer": info.ID.String()}, nil
}

func addressTexts(addrs []multiaddr.Multiaddr) []string {
	texts := []string{}
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return texts
}

func (p *program) identify(ctx context.Context, id peer.ID) (fields, error) {
	for {
		p.idMutex.Lock()
		done, ok := p.identified[id]
		p.idMutex.Unlock()
		if ok {
			observed := ""
			if done.ObservedAddr != nil {
				observed = done.ObservedAddr.String()
			}
			return fields{
				"agent":            done.AgentVersion,
				"protocol_version": done.ProtocolVersion,
				"protocols":        done.Protocols,
				"listen_addrs":     addressTexts(done.ListenAddrs),
				"observed":         observed,
			}, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("no identify answer")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *program) ping(ctx context.Context, id peer.ID) (fields, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result, ok := <-ping.Ping(ctx, p.host, id)
	if !ok {
		return nil, errors.New("ping ended without a result")
	}
	if result.Error != nil {
		return nil, result.Error
	}
	return fields{"rtt_us": result.RTT.Microseconds()}, nil
}

func (p *program) disconnect(ctx context.Context, id peer.ID) (fields, error) {
	for {
		// Again and again: a dial of the DHT may bring one more connection up in between.
		if err := p.host.Network().ClosePeer(id); err != nil {
			return nil, err
		}
		if p.host.Network().Connectedness(id) != network.Connected {
			return fields{}, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("still connected")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// toPeer runs the commands that name a connected peer.
func (p *program) toPeer(ctx context.Context, c command) (fields, error) {
	id, err := peer.Decode(c.Peer)
	if err != nil {
		return nil, err
	}
	if p.host.Network().Connectedness(id) != network.Connected {
		return nil, errors.New("not connected to " + c.Peer)
	}
	ctx = network.WithNoDial(ctx, "commands use the connection there is")
	switch c.Cmd {
	case "identify":
		return p.identify(ctx, id)
	case "ping":
		return p.ping(ctx, id)
	case "echo":
		return echoMany(ctx, p.host, id, c.Streams, c.Bytes)
	case "reset":
		return echoReset(ctx, p.host, id)
	case "disconnect":
		return p.disconnect(ctx, id)
	}
	return nil, fmt.Errorf("unknown command %q", c.Cmd)
}

func (p *program) run(c command) (fields, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	switch c.Cmd {
	case "dial":
		return p.dial(ctx, c.Address)
	case "provide":
		return p.kad.provide(ctx, c.Name, c.Seq, c.Type)
	case "lookup":
		return p.kad.lookup(ctx, c.Name)
	case "quit":
		return fields{}, nil
	}
	return p.toPeer(ctx, c)
}

func (p *program) answer(c command) {
	reply, err := p.run(c)
	if err != nil {
		reply = fields{"error": err.Error()}
	}
	reply["id"] = c.ID
	reply["ok"] = err == nil
	p.print(reply)
}

func (p *program) commands() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		c := command{Seq: 1, Type: "shoal::Interop"}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			p.print(fields{"id": nil, "ok": false, "error": err.Error()})
			continue
		}
		if c.Cmd == "quit" {
			p.host.Close()
			p.answer(c)
			return
		}
		go p.answer(c)
	}
}

func start() error {
	h, err := newHost()
	if err != nil {
		return err
	}
	kad, err := newRegistry(h)
	if err != nil {
		return err
	}
	p := &program{host: h, kad: kad, identified: map[peer.ID]event.EvtPeerIdentificationCompleted{}}
	if err := p.watchIdentify(); err != nil {
		return err
	}
	p.watchConnections()
	serveEcho(h)
	p.print(fields{
		"event":   "listening",
		"peer":    h.ID().String(),
		"address": fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID()),
	})
	p.commands()
	return nil
}

func main() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
