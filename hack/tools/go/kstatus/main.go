// Prints what kstatus, the library by which Flux and others wait, makes of each object.
//
// Standard input: a JSON array of objects. Standard output: an array of {"status": "Current", "message": "…"}.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type result struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	var objects []map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		fmt.Fprintln(os.Stderr, "standard input:", err)
		os.Exit(2)
	}
	results := make([]result, len(objects))
	for i, object := range objects {
		// whole numbers as the API machinery has them
		text, _ := json.Marshal(object)
		var one unstructured.Unstructured
		if err := one.UnmarshalJSON(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		computed, err := status.Compute(&one)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		results[i] = result{computed.Status.String(), computed.Message}
	}
	_ = json.NewEncoder(os.Stdout).Encode(results)
}
