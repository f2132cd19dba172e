// SPDX-License-Identifier: CC0-1.0

package main

// What the kept segments say of an address.

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// look says the last word of each origin about an address and its domain (§8.5). What to believe of it is §8.
func look(folder, address string) error {
	node, err := load(folder)
	if err != nil {
		return err
	}
	normalised, err := normalise(address)
	if err != nil {
		return err
	}
	subjects := []string{normalised, normalised[strings.LastIndexByte(normalised, '@'):]}
	files, err := filepath.Glob(filepath.Join(folder, "*.seg"))
	if err != nil {
		return err
	}
	last := map[string][2]string{} // for an origin and a tag: the place in its log, and the word
	for _, file := range files {
		segment, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := node.words(segment, subjects, last); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	lines := []string{}
	for _, word := range last {
		lines = append(lines, word[1])
	}
	if sort.Strings(lines); len(lines) == 0 {
		lines = append(lines, "nobody says anything")
	}
	fmt.Println(strings.Join(lines, "\n"))
	return nil
}

// words reads one kept segment for look.
func (node *Node) words(segment []byte, subjects []string, last map[string][2]string) error {
	said, err := node.descriptor(base64url.EncodeToString(segment[8:40]))
	if err != nil {
		return err
	}
	header, err := parseHeader(segment[:240], said)
	if err != nil {
		return err
	}
	events, err := header.events(segment[240:])
	key, known := node.TagKeys[hex.EncodeToString(header.KeyID[:])]
	for sequence, event := range events {
		for _, subject := range subjects {
			if !known || !event.hasTag() || event.Subject != tag(key, subject) {
				continue
			}
			at, about := fmt.Sprintf("%010d %020d", header.Epoch, sequence), said.Node+subject
			hour := time.Unix(int64(event.Hour)*3600, 0).UTC().Format("2006-01-02T15:00Z")
			enhanced := fmt.Sprintf("%d.%d.%d", event.Enhanced1, event.Enhanced2, event.Enhanced3)
			word := fmt.Sprintf("%s %s %d %s %s", classes[event.Class], hour, event.Code, enhanced, said.Name)
			if at > last[about][0] {
				last[about] = [2]string{at, word}
			}
		}
	}
	return err
}
