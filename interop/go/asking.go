// SPDX-License-Identifier: CC0-1.0

package main

// How a node is asked (docs/federation.md §6): signed requests, bounded answers, tag keys in sealed boxes.

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/curve25519"
	"golang.org/x/crypto/nacl/box"
)

// Request is what is signed of a request.
type Request struct {
	Method, Authority, Path, Query string
	Body                           []byte
}

// Grant is a tag key as the federation signed it.
type Grant struct {
	KeyID      string `json:"key_id"`
	Key        string `json:"key"`
	NotBefore  uint64 `json:"not_before"`
	NotAfter   uint64 `json:"not_after"`
	Federation string `json:"federation"`
	Sig        string `json:"sig"`
}

// sign gives the fields that sign a request: RFC 9421 in the profile.
func (request Request) sign(logKey ed25519.PrivateKey, created, expires int64, nonce string) map[string]string {
	fields, covered := map[string]string{}, `"@method" "@authority" "@path" "@query"`
	base := fmt.Sprintf("\"@method\": %s\n\"@authority\": %s\n\"@path\": %s\n\"@query\": ?%s\n",
		request.Method, request.Authority, request.Path, request.Query)
	if len(request.Body) > 0 {
		sum := sha256.Sum256(request.Body)
		fields["Content-Digest"] = "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		covered += ` "content-digest"`
		base += "\"content-digest\": " + fields["Content-Digest"] + "\n"
	}
	params := fmt.Sprintf(`(%s);created=%d;expires=%d;nonce="%s";alg="ed25519";keyid="%s";tag="sm2tp-v1"`,
		covered, created, expires, nonce, base64url.EncodeToString(logKey.Public().(ed25519.PublicKey)))
	signature := ed25519.Sign(logKey, []byte(base+"\"@signature-params\": "+params))
	fields["Signature-Input"] = "sig1=" + params
	fields["Signature"] = "sig1=:" + base64.StdEncoding.EncodeToString(signature) + ":"
	return fields
}

// ask asks a node. No redirect is followed, and nothing is read beyond so many octets.
func ask(api string, logKey ed25519.PrivateKey, method, path string, body []byte, most int64) (*http.Response, []byte, error) {
	target, err := url.Parse(api + path)
	if err != nil {
		return nil, nil, err
	}
	request := Request{method, strings.TrimSuffix(strings.ToLower(target.Host), ":443"), target.EscapedPath(), target.RawQuery, body}
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return nil, nil, err
	}
	asked, err := http.NewRequest(method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	asked.Header.Set("Content-Type", "application/json")
	now := time.Now().Unix()
	for name, value := range request.sign(logKey, now, now+60, hex.EncodeToString(nonce)) {
		asked.Header.Set(name, value)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := http.Client{Timeout: 30 * time.Second, CheckRedirect: stay}
	response, err := client.Do(asked)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, most+1)) // counted after decompression
	if err == nil && int64(len(answer)) > most {
		err = errors.New("the answer is too long")
	}
	return response, answer, err
}

// askJSON is the same, as JSON; every answer but 200 is a refusal.
func askJSON(api string, logKey ed25519.PrivateKey, method, path string, body []byte, into any) error {
	response, answer, err := ask(api, logKey, method, path, body, 8_000_000)
	if err != nil {
		return err
	}
	if response.StatusCode != 200 {
		return fmt.Errorf("%s %s: %d %.200s", method, path, response.StatusCode, answer)
	}
	return json.Unmarshal(answer, into)
}

// openGrant opens a tag key that was sealed to our log key, and verifies that its federation signed it.
func openGrant(sealed []byte, logKey ed25519.PrivateKey) (*Grant, []byte, error) {
	var secret, public [32]byte
	sum := sha512.Sum512(logKey.Seed()) // as in Ed25519; box clamps it
	copy(secret[:], sum[:32])
	curve25519.ScalarBaseMult(&public, &secret)
	plain, good := box.OpenAnonymous(nil, sealed, &public, &secret)
	if len(sealed) > 4096 || !good {
		return nil, nil, errors.New("the tag key was not sealed to us")
	}
	grant := new(Grant)
	if err := json.Unmarshal(plain, grant); err != nil {
		return nil, nil, err
	}
	key, err := fromBase64(grant.Key)
	sig, err2 := fromBase64(grant.Sig)
	federation, err3 := keyOf(grant.Federation)
	if err != nil || err2 != nil || err3 != nil || len(key) != 32 {
		return nil, nil, errors.New("the tag key is not written as it should be")
	}
	data := append([]byte("sm2tp-tagkey-v1\n"), key...)
	data = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(data, grant.NotBefore), grant.NotAfter)
	id := keyID(key)
	if hex.EncodeToString(id[:]) != grant.KeyID || grant.NotBefore >= grant.NotAfter || !signed(data, sig, federation) {
		return nil, nil, errors.New("key_id, term or signature of the tag key is wrong")
	}
	return grant, key, nil
}
