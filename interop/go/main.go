// SPDX-License-Identifier: CC0-1.0

// A verifier and a reading node of the SM2TP federation, in Go. See interop/README.md.
package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	args := append(os.Args[1:], "")
	switch {
	case args[0] == "vectors" && len(args) == 3:
		err = vectors(args[1])
	case args[0] == "segments" && len(args) > 3:
		err = segmentFiles(args[1], args[2:len(args)-1])
	case args[0] == "join" && len(args) == 5:
		err = join(args[1], args[2], args[3])
	case args[0] == "pull" && len(args) == 3:
		err = pull(args[1])
	case args[0] == "look" && len(args) == 4:
		err = look(args[1], args[2])
	default:
		err = fmt.Errorf("vectors FILE | segments DESCRIPTOR FILE… | join FOLDER PEER-API OWN-API | pull FOLDER | " +
			"look FOLDER ADDRESS")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
