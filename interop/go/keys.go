// SPDX-License-Identifier: CC0-1.0

package main

// Who a node is (docs/federation.md §2): keys, signatures, descriptors.

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Descriptor is what a node says of itself. Fields that a reading node does not need are skipped.
type Descriptor struct {
	Node    string `json:"node"`
	Seq     uint64 `json:"seq"`
	Name    string `json:"name"`
	API     string `json:"api"`
	Contact string `json:"contact"`
	LogKeys []Term `json:"log_keys"`
	Revoked []struct {
		Key        string `json:"key"`
		AfterEpoch uint32 `json:"after_epoch"`
		AfterSegno uint32 `json:"after_segno"`
	} `json:"revoked,omitempty"`
	Versions      []int `json:"versions"`
	TagSchemes    []int `json:"tag_schemes"`
	RetentionDays int   `json:"retention_days"`
	Retired       bool  `json:"retired,omitempty"`
}

// Term is a log key and its time, unix seconds.
type Term struct {
	Key       string `json:"key"`
	NotBefore uint64 `json:"not_before"`
	NotAfter  uint64 `json:"not_after"`
}

// Envelope is how a descriptor travels.
type Envelope struct {
	Payload string `json:"payload"`
	Sig     string `json:"sig"`
}

var (
	base64url = base64.RawURLEncoding.Strict()
	base64std = base64.StdEncoding.Strict()
)

// keyOf reads a key in a text: base64url without padding.
func keyOf(text string) ([]byte, error) {
	key, err := base64url.DecodeString(text)
	if err != nil || len(key) != 32 || len(text) != 43 {
		return nil, fmt.Errorf("no key: %q", text)
	}
	return key, nil
}

func fromBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // which Go would skip
		return nil, errors.New("no standard base64")
	}
	return base64std.DecodeString(text)
}

func fingerprint(node []byte) string {
	sum := sha256.Sum256(node)
	digits := hex.EncodeToString(sum[:16])
	groups := make([]string, 8)
	for n := range groups {
		groups[n] = digits[4*n : 4*n+4]
	}
	return strings.Join(groups, " ")
}

// signed verifies strictly. Go itself checks S; the two points are checked here.
func signed(data, sig, key []byte) bool {
	return len(key) == 32 && len(sig) == 64 && isStrict(key) && isStrict(sig[:32]) && ed25519.Verify(key, data, sig)
}

// isStrict is false for points of small order and for those that could be written shorter.
func isStrict(point []byte) bool {
	y := make([]byte, 32) // big-endian, without the sign of x
	for n := range y {
		y[n] = point[31-n]
	}
	y[0] &= 0x7f
	if bytes.Compare(y, prime) >= 0 {
		return false
	}
	for _, small := range smallOrders {
		if bytes.Equal(y, small) {
			return false
		}
	}
	return true
}

// 2^255 - 19, and the y of the points of order 4, 1, 2, 8 and 8 (§1).
var (
	prime       = unhex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed")
	smallOrders = [][]byte{
		unhex("0000000000000000000000000000000000000000000000000000000000000000"),
		unhex("0000000000000000000000000000000000000000000000000000000000000001"),
		unhex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec"),
		unhex("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826"),
		unhex("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd83d3d706a17c7"),
	}
)

func unhex(digits string) []byte {
	data, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return data
}

// parseDescriptor reads and verifies the text of a descriptor.
func parseDescriptor(text string) (*Descriptor, error) {
	var envelope Envelope
	if len(text) > 65536 {
		return nil, errors.New("the descriptor is too long")
	}
	if err := json.Unmarshal([]byte(text), &envelope); err != nil {
		return nil, err
	}
	payload, err := fromBase64(envelope.Payload)
	if err != nil {
		return nil, err
	}
	sig, err := fromBase64(envelope.Sig)
	if err != nil {
		return nil, err
	}
	said := new(Descriptor)
	if err := json.Unmarshal(payload, said); err != nil {
		return nil, err
	}
	node, err := keyOf(said.Node)
	if err != nil {
		return nil, err
	}
	if said.Seq >= 1<<53 || !signed(append([]byte("sm2tp-node-v1\n"), payload...), sig, node) {
		return nil, errors.New("the descriptor is not signed by its node, or its seq is too high")
	}
	return said, nil
}

// maySeal says whether the descriptor vouches for the log key of a header at its time and place.
func (said *Descriptor) maySeal(header *Header) bool {
	key, valid := base64url.EncodeToString(header.LogKey[:]), false
	for _, term := range said.LogKeys {
		valid = valid || term.Key == key && term.NotBefore <= header.SealedAt && header.SealedAt <= term.NotAfter
	}
	for _, r := range said.Revoked {
		after := r.AfterEpoch < header.Epoch || r.AfterEpoch == header.Epoch && r.AfterSegno < header.Segno
		valid = valid && !(r.Key == key && after)
	}
	return valid && !said.Retired
}
