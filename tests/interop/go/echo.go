// The echo protocol of the interop tests, both ends: what comes in goes back, to the end of the
// stream.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const echoProtocol = "/shoal-test/echo/1.0.0"

func serveEcho(h host.Host) {
	h.SetStreamHandler(echoProtocol, func(s network.Stream) {
		if _, err := io.Copy(s, s); err != nil {
			s.Reset()
			return
		}
		s.Close()
	})
}

// exchange sends data after its first byte, half-closes, and compares what comes back.
func exchange(ctx context.Context, s network.Stream, data []byte) error {
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(data[1:])
		if err == nil {
			err = s.CloseWrite()
		}
		sent <- err
	}()
	got, err := io.ReadAll(io.LimitReader(s, int64(len(data))+1))
	if err = errors.Join(err, <-sent); err != nil {
		s.Reset()
		return err
	}
	if !bytes.Equal(got, data) {
		s.Reset()
		return fmt.Errorf("echo differs: sent %d bytes, got %d", len(data), len(got))
	}
	return s.Close()
}

// echoMany opens all streams and sends the first byte on each before it goes on with any, so that
// they are open at once.
func echoMany(ctx context.Context, h host.Host, id peer.ID, streams, size int) (fields, error) {
	if streams < 1 || size < 1 {
		return nil, errors.New("streams and bytes must be at least 1")
	}
	errs := make([]error, streams)
	var opened, finished sync.WaitGroup
	opened.Add(streams)
	finished.Add(streams)
	for i := range streams {
		go func() {
			defer finished.Done()
			data := make([]byte, size)
			rand.New(rand.NewSource(int64(i))).Read(data)
			s, err := h.NewStream(ctx, id, echoProtocol)
			if err == nil {
				_, err = s.Write(data[:1])
			}
			opened.Done()
			opened.Wait()
			if err == nil {
				err = exchange(ctx, s, data)
			}
			errs[i] = err
		}()
	}
	finished.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		}
	}
	if done < streams {
		return nil, fmt.Errorf("%d of %d streams done: %w", done, streams, errors.Join(errs...))
	}
	return fields{"done": done}, nil
}

// echoReset resets a stream in use: the connection has to live on.
func echoReset(ctx context.Context, h host.Host, id peer.ID) (fields, error) {
	s, err := h.NewStream(ctx, id, echoProtocol)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	data := make([]byte, 1024)
	if _, err = s.Write(data); err == nil {
		_, err = io.ReadFull(s, data)
	}
	return fields{}, errors.Join(err, s.Reset())
}
