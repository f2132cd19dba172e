// SPDX-License-Identifier: CC0-1.0

package main

// A node that only reads: asks for a peering, pulls what its peer has, looks addresses up. See interop/README.md.

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Node is a folder: node.json, and a file for each segment.
type Node struct {
	folder      string
	logKey      ed25519.PrivateKey
	NodeSeed    []byte            `json:"node_seed"`
	LogSeed     []byte            `json:"log_seed"`
	API         string            `json:"api"`
	Peer        string            `json:"peer"`
	Request     string            `json:"request"`
	TagKeys     map[string][]byte `json:"tag_keys"`
	Descriptors map[string]string `json:"descriptors"`
	Heads       map[string]Head   `json:"heads"`
	Cursor      string            `json:"cursor"`
}

// Head is the newest header of an origin that was taken.
type Head struct {
	Epoch, Segno uint32
	Hash         [32]byte
	Next         uint64
}

func load(folder string) (*Node, error) {
	node := &Node{folder: folder}
	text, err := os.ReadFile(filepath.Join(folder, "node.json"))
	if err == nil {
		err = json.Unmarshal(text, node)
	}
	if err == nil && len(node.LogSeed) != ed25519.SeedSize {
		err = errors.New("node.json has no log key")
	}
	if err == nil {
		node.logKey = ed25519.NewKeyFromSeed(node.LogSeed)
	}
	return node, err
}

func (node *Node) save() error {
	text, err := json.MarshalIndent(node, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(node.folder, "node.json"), text, 0o600)
}

// join makes keys and asks the peer (§7). Then two people compare the fingerprints by voice, and the other one accepts.
func join(folder, peerAPI, ownAPI string) error {
	nodePublic, nodeKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	logPublic, logKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	own, err := url.Parse(ownAPI)
	if err != nil {
		return err
	}
	now := uint64(time.Now().Unix())
	said := Descriptor{Node: base64url.EncodeToString(nodePublic), Seq: now, Name: own.Hostname(), API: ownAPI,
		Contact: "postmaster@" + own.Hostname(), Versions: []int{1}, TagSchemes: []int{1}, RetentionDays: 400}
	said.LogKeys = append(said.LogKeys, Term{base64url.EncodeToString(logPublic), now - 60, now + 400*86400})
	payload, err := json.Marshal(said)
	if err != nil {
		return err
	}
	sig := ed25519.Sign(nodeKey, append([]byte("sm2tp-node-v1\n"), payload...))
	text, err := json.Marshal(Envelope{base64.StdEncoding.EncodeToString(payload), base64.StdEncoding.EncodeToString(sig)})
	if err != nil {
		return err
	}
	_, theirs, err := ask(peerAPI, logKey, "GET", "/node", nil, 65536)
	if err != nil {
		return err
	}
	peer, err := parseDescriptor(string(theirs))
	if err != nil {
		return err
	}
	wish, err := json.Marshal(map[string]string{"descriptor": string(text), "note": "a node that only reads, in Go"})
	if err != nil {
		return err
	}
	var answer struct{ ID string }
	if err := askJSON(peerAPI, logKey, "POST", "/peerings", wish, &answer); err != nil {
		return err
	}
	key, err := keyOf(peer.Node)
	if err != nil {
		return err
	}
	fmt.Printf("ours   %s\ntheirs %s\n", fingerprint(nodePublic), fingerprint(key))
	// The node key would be kept offline: it is needed again only for the next descriptor.
	node := Node{folder: folder, NodeSeed: nodeKey.Seed(), LogSeed: logKey.Seed(), API: peerAPI, Peer: peer.Node, Request: answer.ID,
		TagKeys: map[string][]byte{}, Descriptors: map[string]string{}, Heads: map[string]Head{}}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return node.save()
}

func pull(folder string) error {
	node, err := load(folder)
	if err != nil {
		return err
	}
	var answer struct {
		State   string
		TagKeys [][]byte
	}
	if err := askJSON(node.API, node.logKey, "GET", "/peerings/"+node.Request, nil, &answer); err != nil {
		return err
	}
	if answer.State != "accepted" {
		fmt.Println("the peer has not decided yet")
		return nil
	}
	for _, sealed := range answer.TagKeys {
		grant, key, err := openGrant(sealed, node.logKey)
		if err != nil {
			return err
		}
		node.TagKeys[grant.KeyID] = key // whichever federation it is of: we only look up
	}
	if err := node.learnAll(); err != nil {
		return err
	}
	segments, events := 0, 0
	for more := true; more; {
		if more, err = node.pullPage(&segments, &events); err != nil {
			return err
		}
		if err := node.save(); err != nil {
			return err
		}
	}
	fmt.Printf("%d segments with %d events are new\n", segments, events)
	return nil
}
