// SPDX-License-Identifier: CC0-1.0

package main

// The feed and the segments that it names (docs/federation.md §5 and §6).

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// learnAll reads the descriptors of all nodes that the peer knows.
func (node *Node) learnAll() error {
	_, own, err := ask(node.API, node.logKey, "GET", "/node", nil, 65536)
	if err != nil {
		return err
	}
	if err := node.learn(string(own)); err != nil {
		return err
	}
	if _, known := node.Descriptors[node.Peer]; !known {
		return errors.New("another node answers there")
	}
	for after := ""; ; {
		var page struct {
			Nodes  []string
			Cursor *string
		}
		if err := askJSON(node.API, node.logKey, "GET", "/nodes"+after, nil, &page); err != nil {
			return err
		}
		for _, text := range page.Nodes {
			if err := node.learn(text); err != nil {
				return err
			}
		}
		if len(page.Nodes) == 0 || page.Cursor == nil {
			return nil
		}
		after = "?after=" + *page.Cursor
	}
}

// learn keeps a descriptor; the highest seq wins.
func (node *Node) learn(text string) error {
	said, err := parseDescriptor(text)
	if err != nil {
		return err
	}
	known, err := node.descriptor(said.Node)
	if err != nil || known.Seq < said.Seq {
		node.Descriptors[said.Node] = text
	}
	return nil
}

func (node *Node) descriptor(origin string) (*Descriptor, error) {
	text, known := node.Descriptors[origin]
	if !known {
		return nil, fmt.Errorf("no descriptor of %s", origin)
	}
	return parseDescriptor(text)
}

// pullPage reads one page of the feed. True where there may be another.
func (node *Node) pullPage(segments, events *int) (bool, error) {
	after := ""
	if node.Cursor != "" {
		after = "after=" + node.Cursor + "&"
	}
	response, feed, err := ask(node.API, node.logKey, "GET", "/feed?"+after+"limit=1000", nil, 1_000_000)
	if err != nil {
		return false, err
	}
	if response.StatusCode == 410 && after != "" {
		node.Cursor = "" // the peer restored a backup: its feed is a new one
		return true, nil
	}
	if response.StatusCode != 200 || len(feed)%248 != 0 {
		return false, fmt.Errorf("the feed: %d", response.StatusCode)
	}
	for at := 0; at < len(feed); at += 248 {
		isNew, count, err := node.take(feed[at+8 : at+248])
		if err != nil {
			fmt.Fprintln(os.Stderr, "left out:", err) // one mad origin does not stop the others
		} else if isNew {
			*segments, *events = *segments+1, *events+count
		}
	}
	node.Cursor = response.Header.Get("SM2TP-Cursor")
	return len(feed) == 248_000, nil
}

// take takes a header of the feed: fetches its body and keeps both. It says whether it was new, and its events.
func (node *Node) take(octets []byte) (bool, int, error) {
	origin := base64url.EncodeToString(octets[8:40])
	said, err := node.descriptor(origin)
	if err != nil {
		return false, 0, err
	}
	header, err := parseHeader(octets, said)
	if err != nil {
		return false, 0, err
	}
	file := filepath.Join(node.folder, fmt.Sprintf("%s-%d-%d.seg", origin, header.Epoch, header.Segno))
	if kept, err := os.ReadFile(file); err == nil {
		if !bytes.HasPrefix(kept, octets) {
			return false, 0, fmt.Errorf("%s signed two segments for one place", origin)
		}
		return false, 0, nil
	}
	head, known := node.Heads[origin]
	if header.SealedAt > uint64(time.Now().Unix())+600 || !header.follows(head, known) {
		return false, 0, fmt.Errorf("it is sealed in the future, or not the next one of %s", origin)
	}
	path := fmt.Sprintf("/log/%s/%d/%d", origin, header.Epoch, header.Segno)
	response, segment, err := ask(node.API, node.logKey, "GET", path, nil, 8_000_000)
	if err != nil {
		return false, 0, err
	}
	if response.StatusCode != 200 || !bytes.HasPrefix(segment, octets) {
		return false, 0, fmt.Errorf("its body: %d", response.StatusCode)
	}
	events, err := header.events(segment[240:])
	if err != nil {
		return false, 0, err
	}
	next := header.First + uint64(header.Count)
	node.Heads[origin] = Head{header.Epoch, header.Segno, sha256.Sum256(octets), next}
	return true, len(events), os.WriteFile(file, segment, 0o600)
}

// follows is the chain of §5. Of an origin that we do not know yet, the beginning may be pruned.
func (header *Header) follows(head Head, known bool) bool {
	if known && head.Epoch == header.Epoch {
		return header.Segno == head.Segno+1 && header.Prev == head.Hash && header.First == head.Next
	}
	begins := header.Segno == 0 && header.Prev == [32]byte{}
	return begins && (!known || head.Epoch < header.Epoch) || !known && header.Segno > 0
}
