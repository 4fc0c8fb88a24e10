// Checks what WebNova signs and proves with the Go project's own checksum database library.
//
// It reads one JSON object from standard input and writes one to standard output: for each case an
// empty text when it holds, or why it does not.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type signedCase struct {
	Note  string   `json:"note"`
	Vkeys []string `json:"vkeys"`
}

type inclusionCase struct {
	Event  string   `json:"event"`
	Index  int64    `json:"index"`
	Size   int64    `json:"size"`
	Root   string   `json:"root"`
	Hashes []string `json:"hashes"`
}

type consistencyCase struct {
	OldSize int64    `json:"old_size"`
	NewSize int64    `json:"new_size"`
	OldRoot string   `json:"old_root"`
	NewRoot string   `json:"new_root"`
	Hashes  []string `json:"hashes"`
}

type input struct {
	Events      []string          `json:"events"`
	Notes       []signedCase      `json:"notes"`
	Inclusion   []inclusionCase   `json:"inclusion"`
	Consistency []consistencyCase `json:"consistency"`
}

type opened struct {
	Error   string `json:"error"`
	Origin  string `json:"origin"`
	Size    int64  `json:"size"`
	Root    string `json:"root"`
	Signers int    `json:"signers"`
}

type output struct {
	Roots       []string `json:"roots"`
	Notes       []opened `json:"notes"`
	Inclusion   []string `json:"inclusion"`
	Consistency []string `json:"consistency"`
}

func main() {
	var given input
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		log.Fatal(err)
	}
	found := output{Roots: roots(given.Events)}
	for _, each := range given.Notes {
		found.Notes = append(found.Notes, open(each))
	}
	for _, each := range given.Inclusion {
		found.Inclusion = append(found.Inclusion, said(included(each)))
	}
	for _, each := range given.Consistency {
		found.Consistency = append(found.Consistency, said(consistent(each)))
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}

// roots builds a tree of its own and gives its root at every size from 0 on.
func roots(events []string) []string {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for at, index := range indexes {
			list[at] = stored[index]
		}
		return list, nil
	})
	var list []string
	for size := 0; ; size++ {
		root, err := tlog.TreeHash(int64(size), reader)
		if err != nil {
			log.Fatal(err)
		}
		list = append(list, root.String())
		if size == len(events) {
			return list
		}
		added, err := tlog.StoredHashes(int64(size), []byte(events[size]), reader)
		if err != nil {
			log.Fatal(err)
		}
		stored = append(stored, added...)
	}
}

func open(given signedCase) opened {
	var known []note.Verifier
	for _, key := range given.Vkeys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return opened{Error: err.Error()}
		}
		known = append(known, verifier)
	}
	found, err := note.Open([]byte(given.Note), note.VerifierList(known...))
	if err != nil {
		return opened{Error: err.Error()}
	}
	lines := strings.Split(found.Text, "\n")
	if len(lines) != 4 {
		return opened{Error: "not three lines"}
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return opened{Error: err.Error()}
	}
	return opened{Origin: lines[0], Size: size, Root: lines[2], Signers: len(found.Sigs)}
}

func included(given inclusionCase) error {
	root, err := tlog.ParseHash(given.Root)
	if err != nil {
		return err
	}
	path, err := hashes(given.Hashes)
	if err != nil {
		return err
	}
	leaf := tlog.RecordHash([]byte(given.Event))
	return tlog.CheckRecord(path, given.Size, root, given.Index, leaf)
}

func consistent(given consistencyCase) error {
	old, err := tlog.ParseHash(given.OldRoot)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(given.NewRoot)
	if err != nil {
		return err
	}
	path, err := hashes(given.Hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(path, given.NewSize, root, given.OldSize, old)
}

func hashes(texts []string) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(texts))
	for at, text := range texts {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) != tlog.HashSize {
			return nil, fmt.Errorf("hash %d is none", at)
		}
		list[at] = tlog.Hash(raw)
	}
	return list, nil
}

func said(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}
