// SPDX-License-Identifier: CC0-1.0

package main

// The parts of interop/vectors.json that a reading node needs.

// Vectors is the file.
type Vectors struct {
	Keys map[string]struct{ Seed, Public, Text, Fingerprint string }
	Tags struct {
		Key          string
		KeyID        string `json:"key_id"`
		Addresses    []struct{ Address, Normalised, Tag string }
		Domains      []struct{ Domain, Tag string }
		NoTag        []struct{ Address, Why string } `json:"no_tag"`
		NotPublished []string                        `json:"not_published"`
	}
	WeakKeys   []struct{ Why, Key, Message, Sig string } `json:"weak_keys"`
	Descriptor struct{ Payload, Text string }
	Records    map[string][]struct {
		What          string
		Class, Source uint8
		Code          uint16 `json:"smtp_code"`
		Enhanced      [3]int
		Hour          uint32
		Count         uint16
		Provider      uint8
		Weeks         uint8 `json:"ttl_weeks"`
		Subject       string
	}
	Segments []struct {
		Name                           string
		Epoch, Segno, Count            uint32
		First                          uint64 `json:"first_sequence"`
		SealedAt                       uint64 `json:"sealed_at"`
		Prev, Root, Header, Body, Hash string
		KeyID                          string `json:"key_id"`
	}
	Redaction struct {
		Body    string
		Indexes []uint64
	}
	Equivocation struct{ Proof string }
	Requests     []struct {
		Name, Method, Authority, Path, Query, Body, Nonce string
		Created, Expires                                  int64
		Input                                             string `json:"signature_input"`
		Signature                                         string
		Digest                                            string `json:"content_digest"`
	}
	Grant struct {
		Key    string
		Sealed string `json:"sealed_to_peer_log"`
	} `json:"tag_key_grant"`
}
