// SPDX-License-Identifier: CC0-1.0

package main

// Segments and the events in them (docs/federation.md §4 and §5). The standard library is enough.

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// Header is the 240 octets as they lie there.
type Header struct {
	Magic                                [4]byte
	Version, RecordOctets, Scheme, Flags uint8
	Origin, LogKey                       [32]byte
	Epoch, Segno                         uint32
	First                                uint64
	Count, Zero                          uint32
	SealedAt                             uint64
	KeyID                                [8]byte
	Prev, Root                           [32]byte
	Sig                                  [64]byte
}

// Event is a record as it lies there.
type Event struct {
	Class, Source uint8
	Code          uint16
	Enhanced1     uint8
	Enhanced2     uint8
	Enhanced3     uint16
	Hour          uint32
	Count         uint16
	Provider      uint8
	Weeks         uint8
	Subject       Tag
}

var classes = [...]string{"", "HARD", "SOFT", "REFUSED", "COMPLAINT", "DOMAIN_DEAD", "RETRACT", "ERASE", "CONTRADICT"}

// hasTag is false for unknown classes too: nobody knows what their subject means.
func (event Event) hasTag() bool {
	return bytes.IndexByte([]byte{1, 2, 5, 6, 8}, event.Class) >= 0
}

// parseHeader reads a header and verifies it with the descriptor of its origin.
func parseHeader(octets []byte, origin *Descriptor) (*Header, error) {
	if len(octets) != 240 || !bytes.HasPrefix(octets, []byte("SM2S")) {
		return nil, errors.New("no header")
	}
	header := new(Header)
	if err := binary.Read(bytes.NewReader(octets), binary.BigEndian, header); err != nil {
		return nil, err
	}
	formed := header.Version != 1 || header.RecordOctets == 32 && header.Flags == 0 && header.Zero == 0
	ends := header.First+uint64(header.Count) < header.First
	switch {
	case header.RecordOctets == 0 || !formed || header.Count == 0 || header.Count > 4096 || ends:
		return nil, errors.New("it is not formed as a header is")
	case base64.RawURLEncoding.EncodeToString(header.Origin[:]) != origin.Node:
		return nil, errors.New("it is of another origin")
	case !origin.maySeal(header):
		return nil, errors.New("that log key could not seal this")
	case !signed(append([]byte("sm2tp-segment-v1\n"), octets[:176]...), header.Sig[:], header.LogKey[:]):
		return nil, errors.New("the signature is wrong")
	}
	return header, nil
}

func (header *Header) isReadable() bool {
	return header.Version == 1 && header.Scheme == 1
}

// events gives what is left in a body, by sequence number. A body that cannot be read has none.
func (header *Header) events(body []byte) (map[uint64]Event, error) {
	if len(body) < 2 {
		return nil, errors.New("the body is cut short")
	}
	n, count, octets := int(binary.BigEndian.Uint16(body)), int(header.Count), int(header.RecordOctets)
	if n > count || len(body) != 2+n*34+(count-n)*octets {
		return nil, errors.New("the body has a wrong length")
	}
	indexes, rest := body[2:2+2*n], body[2+2*n:]
	leaves, events := make([][32]byte, count), make(map[uint64]Event)
	for index := range leaves {
		if len(indexes) > 0 && int(binary.BigEndian.Uint16(indexes)) == index {
			copy(leaves[index][:], rest)
			indexes, rest = indexes[2:], rest[32:]
			continue
		}
		if len(rest) < octets { // redacted indexes that are out of order leave too little here
			return nil, errors.New("the redacted indexes are not ascending")
		}
		leaves[index] = sha256.Sum256(append([]byte{0}, rest[:octets]...))
		if header.isReadable() {
			event, err := header.event(rest[:octets])
			if err != nil {
				return nil, err
			}
			events[header.First+uint64(index)] = event
		}
		rest = rest[octets:]
	}
	if len(indexes) > 0 {
		return nil, errors.New("the redacted indexes are not ascending, or too high")
	}
	if root(leaves) != header.Root {
		return nil, errors.New("the body is not that of its header")
	}
	return events, nil
}

// root is that of RFC 6962, with an odd last node moving up.
func root(hashes [][32]byte) [32]byte {
	for len(hashes) > 1 {
		above := make([][32]byte, 0, (len(hashes)+1)/2)
		for at := 0; at+1 < len(hashes); at += 2 {
			pair := append(append([]byte{1}, hashes[at][:]...), hashes[at+1][:]...)
			above = append(above, sha256.Sum256(pair))
		}
		if len(hashes)%2 == 1 {
			above = append(above, hashes[len(hashes)-1])
		}
		hashes = above
	}
	return hashes[0]
}

// event reads a record. Hours are judged by when the segment was sealed, and those of unknown classes not at all.
func (header *Header) event(record []byte) (event Event, err error) {
	if err = binary.Read(bytes.NewReader(record), binary.BigEndian, &event); err != nil {
		return
	}
	began := uint64(event.Hour) * 3600
	isKnown := 0 < event.Class && int(event.Class) < len(classes)
	if isKnown && (began > header.SealedAt || header.SealedAt-began > 34_560_000) {
		err = errors.New("an event is too old or not yet")
	}
	return
}
