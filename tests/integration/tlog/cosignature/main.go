// Opens cosigned checkpoints, and cosigns some itself, with a library that is used by public logs
// and witnesses.
//
// It reads one JSON object from standard input and writes one to standard output.
package main

import (
	"crypto/ed25519"
	"encoding/json"
	"log"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

type openCase struct {
	Note      string   `json:"note"`
	Vkeys     []string `json:"vkeys"`
	Witnesses []string `json:"witnesses"`
}

type signCase struct {
	Name string `json:"name"`
	Seed []byte `json:"seed"`
	Note string `json:"note"`
	Vkey string `json:"vkey"`
}

type input struct {
	Open []openCase `json:"open"`
	Sign []signCase `json:"sign"`
}

type opened struct {
	Error  string  `json:"error"`
	Origin string  `json:"origin"`
	Size   int64   `json:"size"`
	Root   string  `json:"root"`
	Logs   int     `json:"logs"`
	Times  []int64 `json:"times"`
}

type cosigned struct {
	Error string `json:"error"`
	Note  string `json:"note"`
	Vkey  string `json:"vkey"`
}

type output struct {
	Open []opened   `json:"open"`
	Sign []cosigned `json:"sign"`
}

func main() {
	var given input
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		log.Fatal(err)
	}
	var found output
	for _, each := range given.Open {
		found.Open = append(found.Open, open(each))
	}
	for _, each := range given.Sign {
		found.Sign = append(found.Sign, sign(each))
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}

func open(given openCase) opened {
	var known []note.Verifier
	witnesses := map[string]bool{}
	for _, key := range given.Vkeys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return opened{Error: err.Error()}
		}
		known = append(known, verifier)
	}
	for _, key := range given.Witnesses {
		verifier, err := torchwood.NewCosignatureVerifier(key)
		if err != nil {
			return opened{Error: err.Error()}
		}
		known = append(known, verifier)
		witnesses[verifier.Name()] = true
	}
	read, err := note.Open([]byte(given.Note), note.VerifierList(known...))
	if err != nil {
		return opened{Error: err.Error()}
	}
	checkpoint, err := torchwood.ParseCheckpoint(read.Text)
	if err != nil {
		return opened{Error: err.Error()}
	}
	found := opened{Origin: checkpoint.Origin, Size: checkpoint.N, Root: checkpoint.Hash.String()}
	for _, signature := range read.Sigs {
		if !witnesses[signature.Name] {
			found.Logs++
			continue
		}
		at, err := torchwood.CosignatureTimestamp(signature)
		if err != nil {
			return opened{Error: err.Error()}
		}
		found.Times = append(found.Times, at)
	}
	return found
}

func sign(given signCase) cosigned {
	signer, err := torchwood.NewCosignatureSigner(given.Name, ed25519.NewKeyFromSeed(given.Seed))
	if err != nil {
		return cosigned{Error: err.Error()}
	}
	verifier, err := note.NewVerifier(given.Vkey)
	if err != nil {
		return cosigned{Error: err.Error()}
	}
	read, err := note.Open([]byte(given.Note), note.VerifierList(verifier))
	if err != nil {
		return cosigned{Error: err.Error()}
	}
	text, err := note.Sign(read, signer)
	if err != nil {
		return cosigned{Error: err.Error()}
	}
	return cosigned{Note: string(text), Vkey: signer.Verifier().String()}
}
