// promql: reads a JSON list of queries from standard input and prints what Prometheus itself makes of each: why its parser refuses
// the expression, or, when series are given, its value at each minute by Prometheus' own engine, with the texts of an alert as
// they would be sent.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/template"
)

type query struct {
	Expression string
	// as in unit tests of rules, such as `up{job="x"} 1 0x10`: a value for each minute
	Series []string
	// the last minute that is evaluated
	Minutes int64
	// templates of an alert's annotations
	Texts []string
}

type sample struct {
	Labels labels.Labels `json:"labels"`
	Texts  []string      `json:"texts"`
}

type result struct {
	Problem *string `json:"problem"`
	// minute -> what the expression gives
	Minutes [][]sample `json:"minutes"`
}

func main() {
	var queries []query
	if err := json.NewDecoder(os.Stdin).Decode(&queries); err != nil {
		log.Fatal(err)
	}
	results := make([]result, len(queries))
	for at, one := range queries {
		minutes, err := evaluate(one)
		results[at].Minutes = minutes
		if err != nil {
			text := err.Error()
			results[at].Problem = &text
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		log.Fatal(err)
	}
}

func evaluate(one query) ([][]sample, error) {
	if _, err := parser.ParseExpr(one.Expression); err != nil || len(one.Series) == 0 {
		return nil, err
	}
	data, err := load(one.Series)
	if err != nil {
		return nil, err
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1 << 20, Timeout: time.Minute})
	ask := func(ctx context.Context, expression string, at time.Time) (promql.Vector, error) {
		run, err := engine.NewInstantQuery(ctx, data, nil, expression, at)
		if err != nil {
			return nil, err
		}
		return run.Exec(ctx).Vector()
	}
	minutes := make([][]sample, one.Minutes+1)
	for minute := range minutes {
		at := time.Unix(0, 0).Add(time.Duration(minute) * time.Minute)
		vector, err := ask(context.Background(), one.Expression, at)
		if err != nil {
			return nil, err
		}
		minutes[minute] = []sample{}
		for _, found := range vector {
			texts, err := expand(one.Texts, found, at, ask)
			if err != nil {
				return nil, err
			}
			minutes[minute] = append(minutes[minute], sample{found.Metric.DropMetricName(), texts})
		}
	}
	return minutes, nil
}

// expand refuses a label that the alert does not have.
func expand(texts []string, found promql.Sample, at time.Time, ask template.QueryFunc) ([]string, error) {
	expanded := make([]string, len(texts))
	data := template.AlertTemplateData(found.Metric.Map(), nil, "", found)
	for index, text := range texts {
		expander := template.NewTemplateExpander(context.Background(), "{{$labels := .Labels}}{{$value := .Value}}"+text, "text", data,
			model.TimeFromUnix(at.Unix()), ask, &url.URL{}, []string{"missingkey=error"})
		var err error
		if expanded[index], err = expander.Expand(); err != nil {
			return nil, err
		}
	}
	return expanded, nil
}
