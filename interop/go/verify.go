// SPDX-License-Identifier: CC0-1.0

package main

// Checks this implementation against interop/vectors.json, or segments of a node against its descriptor.

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
)

// Checker counts what is right and remembers the first thing that is not.
type Checker struct {
	count int
	wrong error
}

func (c *Checker) same(what string, found, wanted any) {
	c.count++
	if c.wrong == nil && !reflect.DeepEqual(found, wanted) {
		c.wrong = fmt.Errorf("%s: %v instead of %v", what, found, wanted)
	}
}

func (c *Checker) refused(what string, err error) {
	c.same(what+" is refused", err != nil, true)
}

func vectors(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	v, c := Vectors{}, &Checker{}
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	c.tags(&v)
	seeds := map[string]ed25519.PrivateKey{}
	for name, key := range v.Keys {
		seeds[name] = ed25519.NewKeyFromSeed(unhex(key.Seed))
		public := seeds[name].Public().(ed25519.PublicKey)
		read, err := keyOf(key.Text)
		c.same("key "+name, []any{hex.EncodeToString(public), base64url.EncodeToString(public), read, err},
			[]any{key.Public, key.Text, []byte(public), nil})
	}
	c.same("fingerprint", fingerprint(unhex(v.Keys["node"].Public)), v.Keys["node"].Fingerprint)
	for _, weak := range v.WeakKeys {
		c.same("a signature by "+weak.Why, signed([]byte(weak.Message), unhex(weak.Sig), unhex(weak.Key)), false)
	}
	origin, err := parseDescriptor(v.Descriptor.Text)
	if err != nil {
		return err
	}
	wanted := new(Descriptor)
	c.same("descriptor", []any{json.Unmarshal([]byte(v.Descriptor.Payload), wanted), wanted}, []any{nil, origin})
	_, err = parseDescriptor(v.Descriptor.Text[:200] + "AAAA" + v.Descriptor.Text[204:])
	c.refused("a descriptor that was changed", err)
	c.segments(&v, origin)
	for _, r := range v.Requests {
		request := Request{r.Method, r.Authority, r.Path, r.Query, []byte(r.Body)}
		fields := request.sign(seeds["log"], r.Created, r.Expires, r.Nonce)
		c.same("request "+r.Name, []string{fields["Signature-Input"], fields["Signature"], fields["Content-Digest"]},
			[]string{r.Input, r.Signature, r.Digest})
	}
	_, key, err := openGrant(unhex(v.Grant.Sealed), seeds["peer_log"])
	c.same("tag key", []any{hex.EncodeToString(key), err}, []any{v.Grant.Key, nil})
	_, _, err = openGrant(unhex(v.Grant.Sealed), seeds["log"])
	c.refused("a tag key for somebody else", err)
	if c.wrong == nil {
		fmt.Printf("%d values are right\n", c.count)
	}
	return c.wrong
}

func (c *Checker) tags(v *Vectors) {
	key := unhex(v.Tags.Key)
	id := keyID(key)
	c.same("key_id", hex.EncodeToString(id[:]), v.Tags.KeyID)
	tagged := func(subject string) string { t := tag(key, subject); return hex.EncodeToString(t[:]) }
	for _, a := range v.Tags.Addresses {
		normalised, err := normalise(a.Address)
		c.same("normalised "+a.Address, []any{normalised, err}, []any{a.Normalised, nil})
		c.same("tag of "+a.Address, tagged(a.Normalised), a.Tag)
		c.same(a.Address+" is a token", isToken(a.Normalised), false)
	}
	for _, d := range v.Tags.Domains {
		normalised, err := normaliseDomain(d.Domain)
		c.same("tag of "+d.Domain, []any{tagged("@" + normalised), err}, []any{d.Tag, nil})
	}
	for _, a := range v.Tags.NoTag {
		_, err := normalise(a.Address)
		c.refused("an address with "+a.Why, err)
	}
	for _, address := range v.Tags.NotPublished {
		normalised, err := normalise(address)
		c.same(address+" is a token", err == nil && isToken(normalised), true)
	}
}

func (c *Checker) segments(v *Vectors, origin *Descriptor) {
	for _, s := range v.Segments {
		octets, body := unhex(s.Header), unhex(s.Body)
		header, err := parseHeader(octets, origin)
		if err != nil {
			c.same("header "+s.Name, err, nil)
			return
		}
		c.same("header "+s.Name, []any{header.Epoch, header.Segno, header.First, header.Count, header.SealedAt, header.Prev[:],
			header.Root[:], header.KeyID[:]}, []any{s.Epoch, s.Segno, s.First, s.Count, s.SealedAt, unhex(s.Prev),
			unhex(s.Root), unhex(s.KeyID)})
		events, err := header.events(body)
		c.same("body "+s.Name, err, nil)
		for n, r := range v.Records[s.Name] {
			wanted := Event{r.Class, r.Source, r.Code, uint8(r.Enhanced[0]), uint8(r.Enhanced[1]), uint16(r.Enhanced[2]), r.Hour,
				r.Count, r.Provider, r.Weeks, Tag{}}
			copy(wanted.Subject[:], unhex(r.Subject))
			c.same("record "+r.What, events[s.First+uint64(n)], wanted)
		}
		for at := range octets {
			_, err := parseHeader(flipped(octets, at), origin)
			c.refused(fmt.Sprintf("header %s with another octet %d", s.Name, at), err)
		}
		for at := range body {
			_, err := header.events(flipped(body, at))
			c.refused(fmt.Sprintf("body %s with another octet %d", s.Name, at), err)
		}
		_, err = header.events(body[:len(body)-1])
		c.refused("a body that was cut short", err)
	}
	first, err := parseHeader(unhex(v.Segments[0].Header), origin)
	left := map[uint64]Event{}
	if err == nil {
		left, err = first.events(unhex(v.Redaction.Body))
	}
	c.same("redaction", []any{err, len(left)}, []any{nil, int(v.Segments[0].Count) - len(v.Redaction.Indexes)})
	for _, index := range v.Redaction.Indexes {
		_, isThere := left[index]
		c.same("a redacted event", isThere, false)
	}
	proof := unhex(v.Equivocation.Proof)
	one, err := parseHeader(proof[:240], origin)
	two, err2 := parseHeader(proof[240:], origin)
	isProof := err == nil && err2 == nil && one.Epoch == two.Epoch && one.Segno == two.Segno
	c.same("equivocation", isProof && bytes.Compare(proof[:240], proof[240:]) < 0, true)
}

func flipped(octets []byte, at int) []byte {
	changed := append([]byte{}, octets...)
	changed[at] ^= 1
	return changed
}

// segmentFiles prints a line for each segment that is good, and ends at the first that is not.
func segmentFiles(descriptor string, files []string) error {
	text, err := os.ReadFile(descriptor)
	if err != nil {
		return err
	}
	origin, err := parseDescriptor(string(text))
	if err != nil {
		return err
	}
	for _, file := range files {
		segment, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if len(segment) < 240 {
			return fmt.Errorf("%s is too short", file)
		}
		header, err := parseHeader(segment[:240], origin)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		events, err := header.events(segment[240:])
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		fmt.Printf("%d.%d %d of %d events, root %x\n", header.Epoch, header.Segno, len(events), header.Count, header.Root)
	}
	return nil
}
