// SPDX-License-Identifier: CC0-1.0

package main

// Addresses as tags (docs/federation.md §3). Needs the Go project's x/net/idna and x/text for what is not ASCII.

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// A Tag is a keyed hash of a subject: a normalised address, or "@domain" for a dead domain.
type Tag [16]byte

func tag(key []byte, subject string) (tag Tag) {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("sm2tp-addr-v1\x00" + subject))
	copy(tag[:], mac.Sum(nil))
	return
}

func keyID(key []byte) (id [8]byte) {
	sum := sha256.Sum256(append([]byte("sm2tp-keyid\x00"), key...))
	copy(id[:], sum[:])
	return
}

func normalise(address string) (string, error) {
	address = strings.Trim(address, " \t\r\n")
	if len(address) > 254 || !utf8.ValidString(address) || strings.IndexFunc(address, unicode.IsControl) >= 0 {
		return "", errors.New("too long, no UTF-8, or control characters")
	}
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || address[0] == '@' {
		return "", errors.New("no @, nothing before it, or a source route")
	}
	local := address[:at]
	if content := quotedAtom.FindStringSubmatch(local); content != nil {
		local = content[1]
	}
	domain, err := normaliseDomain(address[at+1:])
	if err != nil {
		return "", err
	}
	normalised := lower(norm.NFC.String(local)) + "@" + domain
	if len(normalised) > 254 {
		return "", errors.New("too long")
	}
	return normalised, nil
}

func normaliseDomain(domain string) (string, error) {
	domain = strings.TrimSuffix(domain, ".")
	if strings.IndexFunc(domain, func(char rune) bool { return char > unicode.MaxASCII }) >= 0 {
		var err error
		domain = strings.ReplaceAll(domain, "\u1e9e", "ß") // as all tables since Unicode 15.1 say; Debian's may be older
		if domain, err = uts46.ToASCII(domain); err != nil {
			return "", err
		}
	}
	domain = lower(domain)
	if len(domain) > 253 || !host.MatchString(domain) {
		return "", errors.New("no domain")
	}
	return domain, nil
}

// lower changes A to Z only: what other capitals mean depends on the language.
func lower(text string) string {
	return strings.Map(func(char rune) rune {
		if 'A' <= char && char <= 'Z' {
			return char + 'a' - 'A'
		}
		return char
	}, text)
}

// isToken finds bounce tokens: they name a mail, not a mailbox, and no event about them leaves a node.
func isToken(normalised string) bool {
	local := normalised[:strings.LastIndexByte(normalised, '@')]
	for _, run := range hexRun.FindAllString(local, -1) {
		if strings.ContainsAny(run, "0123456789") {
			return true
		}
	}
	return strings.Contains(local, "=") || srs.MatchString(local) || bounceWord.MatchString(local)
}

var (
	uts46 = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.CheckJoiners(true),
		idna.VerifyDNSLength(true), idna.CheckHyphens(false), idna.StrictDomainName(false))
	atom       = "[a-zA-Z0-9!#$%&'*+\\-/=?^_`{|}~\u0080-\U0010ffff]+"
	quotedAtom = regexp.MustCompile(`^"(` + atom + `(?:\.` + atom + `)*)"$`)
	label      = `[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?`
	host       = regexp.MustCompile(`^` + label + `(?:\.` + label + `)*$`)
	srs        = regexp.MustCompile(`^srs[01][=+-]`)
	bounceWord = regexp.MustCompile(`(?:^|[-+_.])(?:bounces?|returns?|verp|fbl)[-+_.]`)
	hexRun     = regexp.MustCompile(`[0-9a-f]{20,}`)
)
