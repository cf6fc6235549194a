package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"trit"
	"trit/internal/textfile"
	"trit/internal/tui"
)

// format is what answers look like.
type format struct {
	trit.Format
	name string // for people, "" for answers of any form
}

// maxSchema is the size of the largest schema or list of tools that is read.
const maxSchema = 4 << 20

// setFormat changes the format, if the model can keep to it.
func (c *conversation) setFormat(f format) error {
	if err := c.partner.accepts(context.Background(), trit.Conversation{Format: f.Format}); err != nil {
		return err
	}
	c.format = f
	return nil
}

func (c *conversation) jsonCommand(_ context.Context, args string, _ func(tui.Event)) (string, *exchange, error) {
	switch args {
	case "", "on":
		if err := c.setFormat(format{trit.Format{Object: true}, "a JSON object"}); err != nil {
			return "", nil, err
		}
	case "off":
		c.format = format{}
	default:
		return "", nil, fmt.Errorf("%q; want on or off", args)
	}
	return c.formatNote(), nil, nil
}

func (c *conversation) schemaCommand(_ context.Context, args string, _ func(tui.Event)) (string, *exchange, error) {
	switch {
	case args == "":
	case args == "off":
		c.format = format{}
	default:
		schema, name, err := schemaArgument(args)
		if err != nil {
			return "", nil, err
		}
		if err := c.setFormat(format{trit.Format{Schema: schema}, name}); err != nil {
			return "", nil, err
		}
	}
	return c.formatNote(), nil, nil
}

// schemaArgument reads a schema, or the file of one.
func schemaArgument(args string) (json.RawMessage, string, error) {
	if strings.HasPrefix(args, "{") {
		return json.RawMessage(args), "JSON of the schema " + shortText(args), nil
	}
	path, err := filePath(strings.Trim(args, `"`))
	if err != nil {
		return nil, "", err
	}
	data, err := textfile.Read(path, maxSchema)
	return data, "JSON of the schema in " + path, err
}

func (c *conversation) formatNote() string {
	if c.format.name == "" {
		return "Answers have any form."
	}
	return "Answers are " + c.format.name + "."
}
