package main

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// load makes a storage of series that are written as in Prometheus' unit tests of rules, with a value for each minute.
func load(descriptions []string) (storage.Queryable, error) {
	var all []*storage.SeriesEntry
	for _, description := range descriptions {
		metric, values, err := parser.ParseSeriesDesc(description)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", description, err)
		}
		var samples []chunks.Sample
		for minute, value := range values {
			if !value.Omitted {
				samples = append(samples, point{int64(minute) * 60_000, value.Value})
			}
		}
		all = append(all, storage.NewListSeries(metric, samples))
	}
	choose := func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		chosen := &set{}
		for _, one := range all {
			if matches(one.Labels(), matchers) {
				chosen.rest = append(chosen.rest, one)
			}
		}
		return chosen
	}
	return &storage.MockQueryable{MockQuerier: &storage.MockQuerier{SelectMockFunction: choose}}, nil
}

func matches(metric labels.Labels, matchers []*labels.Matcher) bool {
	for _, matcher := range matchers {
		if !matcher.Matches(metric.Get(matcher.Name)) {
			return false
		}
	}
	return true
}

// set is a storage.SeriesSet.
type set struct {
	rest []*storage.SeriesEntry
	at   storage.Series
}

func (s *set) Next() bool {
	if len(s.rest) == 0 {
		return false
	}
	s.at, s.rest = s.rest[0], s.rest[1:]
	return true
}
func (s *set) At() storage.Series                { return s.at }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

// point is a chunks.Sample.
type point struct {
	milliseconds int64
	value        float64
}

func (p point) T() int64                      { return p.milliseconds }
func (p point) F() float64                    { return p.value }
func (p point) H() *histogram.Histogram       { return nil }
func (p point) FH() *histogram.FloatHistogram { return nil }
func (p point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample           { return p }
