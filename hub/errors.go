package hub

import "errors"

// Errors that the functions of this package wrap with the model, file or host
// concerned, what was expected, what was found, and what to do about it.
var (
	// ErrNotFound reports a name that is neither a known model nor a file.
	ErrNotFound = errors.New("hub: no such model")
	// ErrRegistry reports a registry that cannot be read.
	ErrRegistry = errors.New("hub: bad model registry")
	// ErrName reports a name or an address that cannot be used.
	ErrName = errors.New("hub: bad name")
	// ErrExists reports a name that the store uses already.
	ErrExists = errors.New("hub: the name is taken")
	// ErrProtected reports a model that is not in the store and hence cannot be
	// removed: an embedded one, a registered one, a file elsewhere.
	ErrProtected = errors.New("hub: not a model of the store")
	// ErrModelfile reports a Modelfile, or another description of a derived model, that
	// cannot be used.
	ErrModelfile = errors.New("hub: bad description of a model")
	// ErrBase reports a model that others are derived from.
	ErrBase = errors.New("hub: other models are made of it")
	// ErrLocked reports a model that another process is working on.
	ErrLocked = errors.New("hub: the model is in use")

	// ErrOffline reports a server that cannot be reached at all.
	ErrOffline = errors.New("hub: no connection")
	// ErrAccess reports a server that wants a token, or another one.
	ErrAccess = errors.New("hub: access denied")
	// ErrRemote reports a repository, revision or file that the server does not
	// have, or a repository without anything that can be run.
	ErrRemote = errors.New("hub: not on the server")
	// ErrAmbiguous reports a repository with several models to choose from.
	ErrAmbiguous = errors.New("hub: several files match")
	// ErrServer reports a server that answers with errors, or against the
	// protocol, however often it is asked.
	ErrServer = errors.New("hub: the server misbehaves")
	// ErrUnsafePath reports a file name in a repository that would lead out of
	// the folder it is downloaded to.
	ErrUnsafePath = errors.New("hub: unsafe file name")
	// ErrSize reports a file that is longer or shorter than announced.
	ErrSize = errors.New("hub: wrong size")
	// ErrChecksum reports bytes that do not have the announced checksum.
	ErrChecksum = errors.New("hub: wrong checksum")
	// ErrChanged reports a file that changed on the server during its download.
	ErrChanged = errors.New("hub: the file changed during the download")
	// ErrNoSpace reports a disk that is full, or about to be.
	ErrNoSpace = errors.New("hub: no space left")
	// ErrNotModel reports a download or an embedded file that is not a GGUF file.
	ErrNotModel = errors.New("hub: not a model")
	// ErrNoConverter reports a checkpoint that would have to be converted where
	// [PullOptions.Convert] is nil.
	ErrNoConverter = errors.New("hub: the checkpoint needs conversion")
)
