package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// values are what the argument of a command may be that begins in some way.
type values func(c *conversation, begun string) []string

// complete returns what the end of an input may become, and where that begins.
func (c *conversation) complete(input string) (from int, options []string) {
	if name, args, ok := strings.Cut(input, " "); ok && strings.HasPrefix(input, "/") {
		known, found := findCommand(name)
		if !found || known.values == nil {
			return len(input), nil
		}
		return len(input) - len(args), known.values(c, args)
	}
	if strings.HasPrefix(input, "/") && !strings.ContainsAny(input, "\n") {
		for _, known := range slashCommands() {
			for _, name := range append([]string{known.name}, strings.Fields(known.aliases)...) {
				if strings.HasPrefix(name, input) {
					options = append(options, name)
				}
			}
		}
		return 0, options
	}
	from = strings.LastIndexAny(input, " \t\n") + 1
	if path, ok := strings.CutPrefix(input[from:], "@"); ok {
		return from + 1, paths(c, path)
	}
	return len(input), nil
}

// words are a few values.
func words(list ...string) values {
	return func(_ *conversation, begun string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(w string) bool { return !strings.HasPrefix(w, begun) })
	}
}

// maxPaths is how many files of a folder are offered.
const maxPaths = 200

// paths are files and folders. Those that cannot be listed are none.
func paths(_ *conversation, begun string) []string {
	folder, name := filepath.Split(begun)
	path, err := filePath(folder)
	if folder == "" {
		path, err = ".", nil
	}
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil
	}
	var list []string
	for _, e := range entries {
		hidden := strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(name, ".")
		if hidden || !strings.HasPrefix(e.Name(), name) || len(list) == maxPaths {
			continue
		}
		option := folder + e.Name()
		if e.IsDir() {
			option += string(filepath.Separator)
		}
		list = append(list, option)
	}
	return list
}

// modelNames are the models that are there.
func modelNames(c *conversation, begun string) []string {
	c.mu.Lock() // the model may be changed meanwhile
	names := c.partner.names()
	c.mu.Unlock()
	return words(names...)(c, begun)
}

// settingNames are what /set changes.
func settingNames(c *conversation, begun string) []string {
	var names []string
	for _, s := range chatSettingList {
		names = append(names, s.name)
	}
	return words(names...)(c, begun)
}
