// promql: reads a JSON list of PromQL expressions from standard input and prints what Prometheus' own parser says of each: null, or why
// it is refused.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	var expressions []string
	if err := json.NewDecoder(os.Stdin).Decode(&expressions); err != nil {
		log.Fatal(err)
	}
	problems := make([]*string, len(expressions))
	for at, expression := range expressions {
		if _, err := parser.ParseExpr(expression); err != nil {
			text := err.Error()
			problems[at] = &text
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(problems); err != nil {
		log.Fatal(err)
	}
}
