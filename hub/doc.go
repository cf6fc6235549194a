// Package hub turns the names of models into files, and fetches the files.
//
// # Names
//
// A name is, in this order: that of a model embedded in the program, as "demo"
// is in one that imports package demo ([Embed]); the path of a file; the name of
// a model that the environment registers; or the name of a model in the local
// store. [Resolve] finds it, [List] tells what there is, and [Describe] reads
// what a model's file says about itself.
//
// The environment registers models with BITNET_MODEL_<NAME>=path (the name in
// lower case, with - for _) and with BITNET_REGISTRY, the path of a JSON array
// of objects {"name", "path", "description"}.
//
// # The store
//
// The store is the folder models below $TRIT_HOME, which defaults to the folder
// trit in the user's cache directory. Every file NAME.gguf in it is a model;
// NAME.json beside it, a [Manifest], says where it came from. A file NAME.derived
// is a model that shares the weights of another one ([Derived], [Create]). [Copy] and
// [Remove] keep house. Downloads under way live in the folder .partial, so that
// whatever bears a model's name is complete.
//
// # Downloads
//
//	pulled, err := hub.Pull(ctx, "bitnet-2b-4t", hub.PullOptions{})
//
// [Pull] takes a name of the built-in [Catalogue], a repository of the Hugging
// Face hub (hf:owner/repo, hf:owner/repo@revision:file), or a URL. It asks the
// hub which files there are, fetches them over several connections, checks size
// and checksum, and gives the file its name in one step at the end. Whatever
// interrupts it, a lost connection, a cancelled context, a killed process, the
// next Pull goes on where it stopped. A repository that has safetensors only is
// handed to [PullOptions.Convert].
//
// The hub is https://huggingface.co or $HF_ENDPOINT; the access token comes from
// $HF_TOKEN or the file that the hub's own tools keep it in, and is sent to that
// endpoint and to no other host. HTTP proxies are taken from the environment as
// net/http does.
package hub
