package hub

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"path"
	"reflect"
	"strings"
	"sync"
)

// Demo is the name of the demo model. Programs that import package demo have it.
const Demo = "demo"

// embedded are the models that are part of the program, in the order in which they came.
var embedded struct {
	sync.Mutex
	models []embeddedModel
}

type embeddedModel struct {
	name, description string
	file              []byte
}

// embeddedFile returns the GGUF file of an embedded model.
func embeddedFile(name string) ([]byte, error) {
	m, ok := lookupEmbedded(name)
	if !ok {
		return nil, errNotEmbedded(name)
	}
	if !bytes.HasPrefix(m.file, []byte{0x1f, 0x8b}) { // what files of gzip begin with
		return m.file, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(m.file))
	if err != nil {
		return nil, fmt.Errorf("%w: the embedded model %q: %w", ErrNotModel, name, err)
	}
	file, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%w: the embedded model %q: %w", ErrNotModel, name, err)
	}
	return file, nil
}

// Embed makes a GGUF file that is part of the program known under a name, which goes before all others of that name.
// It is meant for init functions of packages that embed a model, such as package demo, and panics if the name is
// taken or cannot be one. The file may be compressed with gzip. It is not read before somebody opens the model, and
// must not change.
func Embed(name, description string, file []byte) {
	embedded.Lock()
	defer embedded.Unlock()
	if name == "" || cleanName(name) != name {
		panic(fmt.Sprintf("hub: Embed: %q cannot be the name of a model", name))
	}
	for _, m := range embedded.models {
		if strings.EqualFold(m.name, name) {
			panic(fmt.Sprintf("hub: Embed: there are two embedded models %q", name))
		}
	}
	embedded.models = append(embedded.models, embeddedModel{name, description, file})
}

// lookupEmbedded finds an embedded model by name.
func lookupEmbedded(name string) (embeddedModel, bool) {
	embedded.Lock()
	defer embedded.Unlock()
	for _, m := range embedded.models {
		if strings.EqualFold(m.name, name) {
			return m, true
		}
	}
	return embeddedModel{}, false
}

// listEmbedded returns all embedded models.
func listEmbedded() []Model {
	embedded.Lock()
	defer embedded.Unlock()
	var models []Model
	for _, m := range embedded.models {
		models = append(models, m.model())
	}
	return models
}

func (m embeddedModel) model() Model {
	return Model{Name: m.name, Source: Embedded, Description: m.description}
}

// reserved reports whether a name is that of an embedded model, here or in other programs.
func reserved(name string) bool {
	_, ok := lookupEmbedded(name)
	return ok || strings.EqualFold(name, Demo)
}

// errNotEmbedded says that the program has no such model, and how it gets the demo.
func errNotEmbedded(name string) error {
	remedy := "a package that embeds it must be imported"
	if strings.EqualFold(name, Demo) {
		here := reflect.TypeFor[Model]().PkgPath()
		remedy = fmt.Sprintf("import _ %q embeds it", path.Join(path.Dir(here), "demo"))
	}
	return fmt.Errorf("%w: %q is not part of this program; %s", ErrNotFound, name, remedy)
}
