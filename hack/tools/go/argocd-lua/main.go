// Runs Lua scripts as Argo CD does (util/lua/lua.go there): the same interpreter, only the libraries package, base, table and
// os.time/os.date, one second, the resource as the global `obj`, the result through the same JSON encoder.
//
// Standard input: a JSON array of {"script": "…", "obj": {…}}. Standard output: an array of {"value": …} or {"error": "…"}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

type request struct {
	Script string         `json:"script"`
	Obj    map[string]any `json:"obj"`
}

type answer struct {
	Value json.RawMessage `json:"value,omitempty"`
	Error string          `json:"error,omitempty"`
}

func main() {
	var requests []request
	if err := json.NewDecoder(os.Stdin).Decode(&requests); err != nil {
		fmt.Fprintln(os.Stderr, "standard input:", err)
		os.Exit(2)
	}
	answers := make([]answer, len(requests))
	for i, one := range requests {
		value, err := run(one)
		if err != nil {
			answers[i].Error = err.Error()
			continue
		}
		answers[i].Value = value
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func run(one request) (json.RawMessage, error) {
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage},
		{lua.BaseLibName, lua.OpenBase},
		{lua.TabLibName, lua.OpenTable},
		{lua.OsLibName, openSafeOs},
	} {
		if err := l.CallByParam(lua.P{Fn: l.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l.SetContext(ctx)
	l.SetGlobal("actionParams", l.NewTable())
	l.SetGlobal("obj", decode(l, one.Obj))
	if err := l.DoString(one.Script); err != nil {
		return nil, err
	}
	value := l.Get(-1)
	if value.Type() != lua.LTTable {
		return nil, fmt.Errorf("expect table output from Lua script, not %s", value.Type())
	}
	text, err := luajson.Encode(value)
	if err != nil {
		return nil, err
	}
	// Lua has one kind of table: an object that came in empty must not go out as a list
	var decoded any
	if err := json.Unmarshal(text, &decoded); err != nil {
		return nil, err
	}
	return json.Marshal(clean(decoded, one.Obj))
}

func openSafeOs(l *lua.LState) int {
	lua.OpenOs(l)
	module := l.GetGlobal(lua.OsLibName).(*lua.LTable)
	module.ForEach(func(key, _ lua.LValue) {
		if name := key.String(); name != "time" && name != "date" {
			module.RawSet(key, lua.LNil)
		}
	})
	l.Push(module)
	return 1
}

func decode(l *lua.LState, value any) lua.LValue {
	switch converted := value.(type) {
	case bool:
		return lua.LBool(converted)
	case float64:
		return lua.LNumber(converted)
	case string:
		return lua.LString(converted)
	case []any:
		list := l.CreateTable(len(converted), 0)
		for _, item := range converted {
			list.Append(decode(l, item))
		}
		return list
	case map[string]any:
		table := l.CreateTable(0, len(converted))
		for key, item := range converted {
			table.RawSetH(lua.LString(key), decode(l, item))
		}
		return table
	}
	return lua.LNil
}

func clean(after, before any) any {
	switch now := after.(type) {
	case map[string]any:
		if old, ok := before.(map[string]any); ok {
			for key, value := range now {
				now[key] = clean(value, old[key])
			}
		}
	case []any:
		if old, ok := before.([]any); ok {
			for i := range min(len(now), len(old)) {
				now[i] = clean(now[i], old[i])
			}
		} else if _, ok := before.(map[string]any); ok && len(now) == 0 {
			return map[string]any{}
		}
	}
	return after
}
